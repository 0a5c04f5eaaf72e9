//! What is known of a running server: its processes and what its tests read. Kept in one file beside its data.

use std::io::ErrorKind;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use super::place::Place;
use super::{Ending, Environment};
use crate::process;

/// How long a process may take to end after it was asked.
const ENDING_TIME_MAX: Duration = Duration::from_secs(10);

/// How often a process that is to end is looked at.
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// A server that was started.
#[derive(Debug, Clone)]
pub(super) struct State {
    pub(super) processes: Vec<Process>,
    pub(super) environment: Environment,
}

/// A process, told apart from a later one of the same id by when it began.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Process {
    pub(super) id: u32,
    /// In clock ticks since the machine started.
    began: u64,
}

impl Process {
    /// The process of that id, which runs now.
    pub(super) fn running(id: u32) -> Result<Self> {
        let began = start_of(id).with_context(|| format!("process {id} ended at once"))?;
        Ok(Self { id, began })
    }

    /// Whether this very process runs; one that ended and was not waited for does not.
    pub(super) fn is_running(&self) -> bool {
        start_of(self.id) == Some(self.began)
    }

    fn signal(&self, signal: &str) {
        if self.is_running() {
            // One that ended just now needs no signal.
            let _ = process::succeeds(&mut process::command("kill", &[signal, &self.id.to_string()]));
        }
    }

    fn signal_or_kill(&self, signal: &str) {
        self.signal(signal);
        if !self.is_gone_within(ENDING_TIME_MAX) {
            self.signal("-KILL");
        }
    }

    pub(super) fn end(&self, ending: Ending) -> Result<()> {
        match ending {
            Ending::Asked => self.signal_or_kill("-TERM"),
            Ending::Interrupted => self.signal_or_kill("-INT"),
            Ending::Killed => self.signal("-KILL"),
        }
        if !self.is_gone_within(ENDING_TIME_MAX) {
            anyhow::bail!("process {} does not end: end it by hand", self.id);
        }
        Ok(())
    }

    fn is_gone_within(&self, time: Duration) -> bool {
        let started = Instant::now();
        while self.is_running() {
            if started.elapsed() >= time {
                return false;
            }
            std::thread::sleep(POLL_INTERVAL);
        }
        true
    }
}

/// When a process began; nothing if there is none, or only its remains.
fn start_of(id: u32) -> Option<u64> {
    parse_stat(&std::fs::read_to_string(format!("/proc/{id}/stat")).ok()?)
}

/// Reads the start time of `PID (NAME) STATE …`, where the name may hold anything.
fn parse_stat(stat: &str) -> Option<u64> {
    let fields: Vec<_> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let is_ended = matches!(*fields.first()?, "Z" | "X");
    (!is_ended).then(|| fields.get(19)?.parse().ok()).flatten()
}

impl State {
    /// Reads the state; nothing if the server was not started or was ended.
    pub(super) fn load(place: &Place) -> Result<Option<Self>> {
        let path = place.state_file();
        match std::fs::read(&path) {
            Ok(text) => {
                let parsed = serde_json::from_slice(&text).ok().and_then(|value| parse(&value));
                let state = parsed.with_context(|| {
                    format!(
                        "{} is damaged: end its server by hand, then remove the file",
                        path.display()
                    )
                })?;
                Ok(Some(state))
            }
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).with_context(|| format!("could not read {}", path.display())),
        }
    }

    /// Writes the state, whole or not at all.
    pub(super) fn save(&self, place: &Place) -> Result<()> {
        let processes: Vec<_> = self
            .processes
            .iter()
            .map(|process| json!({ "id": process.id, "began": process.began }))
            .collect();
        let text = json!({ "processes": processes, "environment": self.environment });
        let (path, draft) = (place.state_file(), place.state_file().with_extension("draft"));
        std::fs::write(&draft, text.to_string())
            .and_then(|()| std::fs::rename(&draft, &path))
            .with_context(|| format!("could not write {}", path.display()))
    }

    /// Whether all of its processes run.
    pub(super) fn is_running(&self) -> bool {
        !self.environment.is_empty() && self.processes.iter().all(Process::is_running)
    }

    /// The address among what the tests read.
    pub(super) fn address(&self) -> Option<&str> {
        let is_address = |name: &str| {
            ["__ENDPOINT", "__URL", "__ADDRESS"]
                .iter()
                .any(|end| name.ends_with(end))
        };
        let mut found = self.environment.iter().filter(|(name, _)| is_address(name));
        found.next().map(|(_, value)| value.as_str())
    }

    /// Ends the processes, the last one first, and removes all but the logs.
    pub(super) fn end(&self, place: &Place, ending: Ending) -> Result<()> {
        for process in self.processes.iter().rev() {
            process.end(ending)?;
        }
        place.clear()
    }
}

fn parse(value: &Value) -> Option<State> {
    let processes = value["processes"].as_array()?.iter().map(|process| {
        Some(Process {
            id: process["id"].as_u64()?.try_into().ok()?,
            began: process["began"].as_u64()?,
        })
    });
    let environment = value["environment"]
        .as_array()?
        .iter()
        .map(|pair| Some((pair[0].as_str()?.to_owned(), pair[1].as_str()?.to_owned())));
    Some(State {
        processes: processes.collect::<Option<_>>()?,
        environment: environment.collect::<Option<_>>()?,
    })
}

#[cfg(test)]
mod tests {
    use super::{Process, parse_stat};

    #[track_caller]
    fn check(stat: &str, expected: Option<u64>) {
        assert_eq!(parse_stat(stat), expected, "{stat}");
    }

    #[test]
    fn a_process_is_known_by_when_it_began() {
        let rest = "1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 4711 20";
        check(&format!("7 (a b) c) S {rest}"), Some(4711));
        check(&format!("7 (ended) Z {rest}"), None);
        check("7 (short) S 1 2", None);
        check("", None);
    }

    #[test]
    fn this_process_runs_and_one_of_another_time_does_not() {
        let mut own = Process::running(std::process::id()).unwrap();
        assert!(own.is_running());
        own.began += 1;
        assert!(!own.is_running());
    }
}

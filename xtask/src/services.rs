//! `cargo xtask services up|down|status|env`: the servers that the tests need, on this machine and for this tree only.
//!
//! To add one: a file in `services/` with a `pub(super) const SERVICE: Service`, its `mod` line, its line in
//! [`SERVICES`]. Everything a server writes is under `target/services/NAME`; it listens on free ports of the
//! loopback address alone, is known by its process ids and is ended by them. Its logs stay when it has ended.

mod ceph;
mod clamd;
mod fake_gcs;
mod garage;
mod place;
mod postgres;
mod probe;
mod redis;
mod session;
mod state;

use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};

use self::place::Place;
use self::state::State;
use crate::workspace::Workspace;

pub(crate) use self::session::{Choice, Session};

/// Every server, in the order in which they are started.
const SERVICES: &[Service] = &[
    ceph::SERVICE,
    fake_gcs::SERVICE,
    postgres::SERVICE,
    redis::SERVICE,
    clamd::SERVICE,
    garage::SERVICE,
];

/// The names and values by which tests find a server.
pub(crate) type Environment = Vec<(String, String)>;

/// The same without the prefix of the server.
type Found = Vec<(&'static str, String)>;

/// The variable that tells the tests which servers were left out on purpose, by name, with commas between.
const WITHOUT: &str = "BOARDS_STORAGE_TEST_WITHOUT";

/// The variable that tells our own servers in the environment from those that the user names.
const OWN: &str = "BOARDS_STORAGE_TEST_OWN_SERVERS";

/// A server that tests talk to.
#[derive(Debug)]
struct Service {
    name: &'static str,
    /// What is tested with it, as the summary says it when it is left out.
    tests: &'static str,
    /// The tests find it by variables that begin so.
    prefix: &'static str,
    /// The one of them that, set by the user, says that another server or a real account is to be used instead.
    decisive: &'static str,
    /// It starts in seconds, or it joins with `--full` alone.
    weight: Weight,
    /// Finds the programs, or installs them; the error says what to install.
    install: fn(&Place) -> Result<()>,
    /// Starts it in an empty place, and returns what its tests read, without the prefix.
    start: fn(&mut Place) -> Result<Found>,
    /// How its processes are ended.
    ending: Ending,
    /// Starts its last process, which clients talk to, once more over the data that are there; none if it cannot.
    restart: Option<fn(&mut Place, &State) -> Result<()>>,
    /// What this server answers wrongly, so that no test on it proves it, and where it is proven instead.
    unproven: &'static [&'static str],
}

/// Whether a server is part of each run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Weight {
    /// Installed and started in seconds.
    Light,
    /// Takes minutes to install.
    Heavy,
}

/// How a server's processes are ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    /// It is asked, and killed if it does not end within seconds.
    Asked,
    /// It is interrupted, since one that is asked waits for its clients, and killed if it does not end within seconds.
    Interrupted,
    /// It keeps nothing, and takes long to end when it is asked.
    Killed,
}

impl Service {
    /// Whether the user's environment names another server for these tests.
    fn is_replaced(&self) -> bool {
        // What `env` printed into a shell names our own servers, which may have ended since.
        let is_own = std::env::var_os(OWN).is_some();
        !is_own
            && std::env::var_os(format!("{}{}", self.prefix, self.decisive))
                .is_some_and(|value| !value.is_empty())
    }

    /// Starts the server unless it runs; says whether it was started now.
    fn up(&self, workspace: &Workspace) -> Result<(State, bool)> {
        let mut place = Place::of(workspace, self.name)?;
        if let Some(state) = State::load(&place)? {
            if state.is_running() {
                return Ok((state, false));
            }
            eprintln!("{}: a part of it has ended: starting it anew", self.name);
            state.end(&place, self.ending)?;
        }
        (self.install)(&place).with_context(|| format!("{} cannot be installed", self.name))?;
        place.clear()?;
        eprintln!("{}: starting", self.name);
        let started = std::time::Instant::now();
        match (self.start)(&mut place) {
            Ok(environment) => {
                let full = |(name, value): (&str, String)| (format!("{}{name}", self.prefix), value);
                let state = place.state_with(environment.into_iter().map(full).collect());
                state.save(&place)?;
                eprintln!("{}: up after {:.1} s", self.name, started.elapsed().as_secs_f64());
                Ok((state, true))
            }
            Err(error) => {
                place.state_with(Vec::new()).end(&place, self.ending)?;
                let logs = place.logs();
                Err(error.context(format!("{} did not start: see {}", self.name, logs.display())))
            }
        }
    }

    /// Kills the process that clients talk to; its data stay.
    fn kill_front(&self, workspace: &Workspace) -> Result<()> {
        let (_, state) = self.running(workspace)?;
        let front = state.processes.last().context("it has no process")?;
        front.end(Ending::Killed)
    }

    /// Starts the process again that [`Service::kill_front`] killed, and waits until it answers.
    fn restart_front(&self, workspace: &Workspace) -> Result<()> {
        let restart = self
            .restart
            .with_context(|| format!("{} cannot be started over its data", self.name))?;
        let (mut place, state) = self.running(workspace)?;
        place.keep_all_but_last(&state);
        let environment = state.environment.clone();
        let restarted = restart(&mut place, &state);
        // Noted in any case, so that what runs can be ended.
        place.state_with(environment).save(&place)?;
        restarted
    }

    fn running(&self, workspace: &Workspace) -> Result<(Place, State)> {
        let place = Place::of(workspace, self.name)?;
        let state = State::load(&place)?.with_context(|| format!("{} was not started", self.name))?;
        Ok((place, state))
    }

    /// Ends the server; says whether it was there.
    fn down(&self, workspace: &Workspace) -> Result<bool> {
        let place = Place::of(workspace, self.name)?;
        match State::load(&place)? {
            Some(state) => state.end(&place, self.ending).map(|()| true),
            None => Ok(false),
        }
    }
}

/// What `cargo xtask services` is to do.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Action {
    /// Installs and starts the servers that do not run.
    Up {
        #[command(flatten)]
        choice: Choice,
    },
    /// Ends all servers and removes what they hold; their logs stay.
    Down,
    /// Says which servers run, and where.
    Status,
    /// Prints what the tests read, as lines for a shell: `eval "$(cargo xtask services env)"`.
    Env,
}

/// Carries one action out.
pub(crate) fn main(workspace: &Workspace, action: &Action) -> Result<ExitCode> {
    match action {
        Action::Up { choice } => up(workspace, choice)?,
        Action::Down => down(workspace)?,
        Action::Status => return status(workspace),
        Action::Env => env(workspace)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn up(workspace: &Workspace, choice: &Choice) -> Result<()> {
    let session = Session::open(workspace, choice)?;
    session.print_gaps();
    for (name, value) in session.keep() {
        println!("{name}={value}");
    }
    Ok(())
}

fn down(workspace: &Workspace) -> Result<()> {
    let _alone = place::lock(workspace)?;
    for service in SERVICES {
        if service.down(workspace)? {
            println!("{}: down", service.name);
        }
    }
    Ok(())
}

/// Prints a line for each server; the exit code says whether all light ones run.
fn status(workspace: &Workspace) -> Result<ExitCode> {
    let mut code = ExitCode::SUCCESS;
    for service in SERVICES {
        let place = Place::of(workspace, service.name)?;
        let state = State::load(&place)?;
        let is_running = state.as_ref().is_some_and(State::is_running);
        let outcome = match (&state, is_running) {
            (Some(_), true) => "up",
            (Some(_), false) => "ENDED BY ITSELF",
            (None, _) if service.is_replaced() => "not needed: the environment names another server",
            (None, _) => "down",
        };
        let address = state.as_ref().and_then(State::address).unwrap_or_default();
        println!("{:10} {outcome:4} {address}  ({})", service.name, service.tests);
        if !is_running && service.weight == Weight::Light && !service.is_replaced() {
            code = ExitCode::FAILURE;
        }
    }
    Ok(code)
}

fn env(workspace: &Workspace) -> Result<()> {
    let (mut environment, mut absent) = (Environment::new(), Vec::new());
    for service in SERVICES {
        let place = Place::of(workspace, service.name)?;
        match State::load(&place)?.filter(State::is_running) {
            Some(state) => environment.extend(state.environment),
            None if service.weight == Weight::Heavy => absent.push(service.name),
            None => {}
        }
    }
    if environment.is_empty() {
        bail!("no server runs: start them with `cargo xtask services up`");
    }
    environment.push((OWN.to_owned(), "1".to_owned()));
    if !absent.is_empty() {
        environment.push((WITHOUT.to_owned(), absent.join(",")));
    }
    for (name, value) in environment {
        println!("export {name}={}", shell_quoted(&value));
    }
    Ok(())
}

fn shell_quoted(value: &str) -> String {
    format!("'{}'", value.replace('\'', r"'\''"))
}

/// Kills the process of a server that clients talk to; its data stay.
pub(crate) fn kill_front(workspace: &Workspace, name: &str) -> Result<()> {
    find(name)?.kill_front(workspace)
}

/// Starts what [`kill_front`] killed, and waits until it answers.
pub(crate) fn restart_front(workspace: &Workspace, name: &str) -> Result<()> {
    find(name)?.restart_front(workspace)
}

fn find(name: &str) -> Result<&'static Service> {
    let names = || {
        SERVICES
            .iter()
            .map(|service| service.name)
            .collect::<Vec<_>>()
            .join(", ")
    };
    SERVICES
        .iter()
        .find(|service| service.name == name)
        .with_context(|| format!("there is no server `{name}`: choose among {}", names()))
}

#[cfg(test)]
mod tests {
    use super::{SERVICES, find, shell_quoted};

    #[test]
    fn servers_are_told_apart_by_name_and_by_prefix() {
        for (index, service) in SERVICES.iter().enumerate() {
            assert_eq!(find(service.name).unwrap().tests, service.tests);
            assert!(service.prefix.ends_with("__"), "{}", service.prefix);
            let others = &SERVICES[index + 1..];
            assert!(others.iter().all(|other| other.prefix != service.prefix));
        }
        assert!(find("minitel").unwrap_err().to_string().contains("ceph"));
    }

    #[test]
    fn values_are_quoted_for_a_shell() {
        assert_eq!(shell_quoted("a b"), "'a b'");
        assert_eq!(shell_quoted("it's"), r"'it'\''s'");
    }
}

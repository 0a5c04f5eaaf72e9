//! Child processes: started without a standard input, shown before they run, checked when they end.

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

/// How often a child that has a deadline is looked at.
const POLL_INTERVAL: Duration = Duration::from_millis(100);

/// How much of a watched child's standard error is kept.
const ERROR_BYTES_MAX: usize = 1 << 20;

/// A command that reads nothing.
pub(crate) fn command(program: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null());
    command
}

/// Runs to the end, its output on ours; an exit code other than 0 is an error.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    announce(command);
    let status = command.status().with_context(|| could_not_start(command))?;
    check(command, status)
}

/// Runs to the end in silence and returns its standard output; an exit code other than 0 is an error.
pub(crate) fn capture(command: &mut Command) -> Result<Vec<u8>> {
    let output = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| could_not_start(command))?;
    if !output.status.success() {
        let complaint = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        bail!("`{}` ended with {}: {complaint}", display(command), output.status);
    }
    Ok(output.stdout)
}

/// As [`capture`], with the child's standard error on ours, where it says how far it is.
pub(crate) fn capture_with_progress(command: &mut Command) -> Result<Vec<u8>> {
    announce(command);
    let output = command
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| could_not_start(command))?;
    check(command, output.status)?;
    Ok(output.stdout)
}

/// Whether the command starts and ends with exit code 0; its output is dropped.
pub(crate) fn succeeds(command: &mut Command) -> bool {
    command
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// Runs at most until `deadline` has passed, then kills; its output is dropped.
pub(crate) fn succeeds_within(command: &mut Command, deadline: Duration) -> Result<bool> {
    let started = Instant::now();
    let mut child = command
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .with_context(|| could_not_start(command))?;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status.success());
        }
        if started.elapsed() >= deadline {
            child.kill()?;
            child.wait()?;
            return Ok(false);
        }
        std::thread::sleep(POLL_INTERVAL);
    }
}

/// Which of a child's outputs [`run_reading`] reads; the other goes straight to ours.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Output {
    Standard,
    Error,
}

/// Runs to the end and hands each line of one output to `on_line`, without its colours and its line end, next
/// to the line as it came. The exit status is the caller's to judge.
pub(crate) fn run_reading(
    command: &mut Command,
    output: Output,
    mut on_line: impl FnMut(&str, &str),
) -> Result<ExitStatus> {
    announce(command);
    match output {
        Output::Standard => command.stdout(Stdio::piped()),
        Output::Error => command.stderr(Stdio::piped()),
    };
    let mut child = command.spawn().with_context(|| could_not_start(command))?;
    let pipe: Box<dyn Read> = match output {
        Output::Standard => Box::new(child.stdout.take().expect("standard output was piped above")),
        Output::Error => Box::new(child.stderr.take().expect("standard error was piped above")),
    };
    let mut reader = BufReader::new(pipe);
    let mut line = Vec::new();
    while reader.read_until(b'\n', &mut line)? > 0 {
        let text = String::from_utf8_lossy(&line);
        let shown = text.trim_end_matches(['\r', '\n']);
        on_line(&without_colours(shown), shown);
        line.clear();
    }
    Ok(child.wait()?)
}

/// What a child left that was watched.
#[derive(Debug)]
pub(crate) struct Watched {
    /// None if it was killed, since its time was over.
    pub(crate) status: Option<ExitStatus>,
    /// The beginning of what it wrote to its standard error.
    pub(crate) errors: Vec<u8>,
}

/// Runs at most for `time_max`, then kills; hands each line of the standard output to `on_line`, without its colours.
pub(crate) fn run_watched(
    command: &mut Command,
    time_max: Duration,
    mut on_line: impl FnMut(&str),
) -> Result<Watched> {
    announce(command);
    let started = Instant::now();
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| could_not_start(command))?;
    let lines = lines_of(child.stdout.take().expect("standard output was piped above"));
    let errors = beginning_of(child.stderr.take().expect("standard error was piped above"));
    let mut status = None;
    loop {
        match lines.recv_timeout(POLL_INTERVAL) {
            Ok(line) => on_line(&without_colours(&line)),
            // What a child of the child holds open is not waited for.
            Err(_) if status.is_some() => break,
            Err(RecvTimeoutError::Timeout) => status = child.try_wait()?,
            Err(RecvTimeoutError::Disconnected) => {
                std::thread::sleep(POLL_INTERVAL);
                status = child.try_wait()?;
            }
        }
        if status.is_none() && started.elapsed() >= time_max {
            child.kill()?;
            child.wait()?;
            lines.try_iter().for_each(|line| on_line(&without_colours(&line)));
            break;
        }
    }
    let errors = errors.lock().expect("no thread panics with it").clone();
    Ok(Watched { status, errors })
}

/// Reads lines on a thread of their own, which ends with the pipe.
fn lines_of(pipe: impl Read + Send + 'static) -> Receiver<String> {
    let (tell, told) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let mut reader = BufReader::new(pipe);
        let mut line = Vec::new();
        while reader.read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
            let text = String::from_utf8_lossy(&line);
            // Nobody listens any more once the child was killed.
            if tell.send(text.trim_end_matches(['\r', '\n']).to_owned()).is_err() {
                break;
            }
            line.clear();
        }
    });
    told
}

/// Reads all, on a thread of its own, and keeps the beginning.
fn beginning_of(mut pipe: impl Read + Send + 'static) -> Arc<Mutex<Vec<u8>>> {
    let kept = Arc::new(Mutex::new(Vec::new()));
    let keeps = Arc::clone(&kept);
    std::thread::spawn(move || {
        let mut piece = [0; 8192];
        while let Ok(read @ 1..) = pipe.read(&mut piece) {
            let mut kept = keeps.lock().expect("no thread panics with it");
            let room = ERROR_BYTES_MAX.saturating_sub(kept.len());
            kept.extend_from_slice(&piece[..read.min(room)]);
        }
    });
    kept
}

/// The command as a person would type it.
pub(crate) fn display(command: &Command) -> String {
    let mut text = command.get_program().to_string_lossy().into_owned();
    for argument in command.get_args() {
        let argument = argument.to_string_lossy();
        let plain = !argument.is_empty() && !argument.contains(|c: char| c.is_whitespace() || c == '"');
        let written = if plain {
            write!(text, " {argument}")
        } else {
            write!(text, " {argument:?}")
        };
        written.expect("writing to a string cannot fail");
    }
    text
}

fn announce(command: &Command) {
    eprintln!("$ {}", display(command));
}

fn check(command: &Command, status: ExitStatus) -> Result<()> {
    if !status.success() {
        bail!("`{}` ended with {status}, expected exit code 0", display(command));
    }
    Ok(())
}

fn could_not_start(command: &Command) -> String {
    format!("could not start `{}`", display(command))
}

/// Drops the terminal's escape sequences `ESC [ … letter`.
fn without_colours(line: &str) -> String {
    let mut plain = String::with_capacity(line.len());
    let mut characters = line.chars();
    while let Some(character) = characters.next() {
        if character == '\u{1b}' {
            characters.by_ref().find(|c| c.is_ascii_alphabetic());
        } else {
            plain.push(character);
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Output, command, display, run_reading, run_watched, succeeds_within, without_colours};

    #[test]
    fn colours_are_dropped_and_text_stays() {
        assert_eq!(without_colours("\u{1b}[32;1mPASS\u{1b}[0m é"), "PASS é");
        assert_eq!(without_colours("plain [0m"), "plain [0m");
    }

    #[test]
    fn a_command_is_shown_with_quotes_where_they_are_needed() {
        assert_eq!(
            display(&command("cargo", &["a", "b c", ""])),
            r#"cargo a "b c" """#
        );
    }

    #[test]
    fn lines_of_the_chosen_output_arrive_with_and_without_colours() {
        let mut lines = Vec::new();
        let script = r"printf '\033[1mone\033[0m\ntwo' >&2";
        let status = run_reading(
            &mut command("sh", &["-c", script]),
            Output::Error,
            |plain, shown| {
                lines.push((plain.to_owned(), shown.to_owned()));
            },
        );
        assert!(status.unwrap().success());
        assert_eq!(lines[0], ("one".to_owned(), "\u{1b}[1mone\u{1b}[0m".to_owned()));
        assert_eq!(lines[1].0, "two");
    }

    #[test]
    fn a_child_past_its_deadline_is_killed() {
        assert!(!succeeds_within(&mut command("sleep", &["600"]), Duration::from_millis(1)).unwrap());
        assert!(succeeds_within(&mut command("true", &[]), Duration::from_secs(60)).unwrap());
    }

    #[track_caller]
    fn check_watched(script: &str, time_max: Duration, exit_code: Option<i32>, expected: &[&str]) {
        let mut lines = Vec::new();
        let watched = run_watched(&mut command("sh", &["-c", script]), time_max, |line| {
            lines.push(line.to_owned());
        });
        let watched = watched.unwrap();
        assert_eq!(lines, expected, "{script}");
        assert_eq!(
            watched.status.and_then(|status| status.code()),
            exit_code,
            "{script}"
        );
        assert_eq!(watched.errors, b"why", "{script}");
    }

    #[test]
    fn a_watched_child_is_read_to_its_end_and_no_longer_than_its_time() {
        let long = Duration::from_secs(60);
        check_watched(
            "echo one; printf two; printf why >&2; exit 3",
            long,
            Some(3),
            &["one", "two"],
        );
        // A child of the child keeps the pipe open.
        check_watched(
            "echo one; printf why >&2; sleep 2 & exit 0",
            long,
            Some(0),
            &["one"],
        );
        let short = Duration::from_millis(300);
        check_watched("echo one; printf why >&2; exec sleep 600", short, None, &["one"]);
    }
}

//! What a child process does, and how it is started.
//!
//! A child prints `ready` and waits for a line or the end of its input before it begins, so that all begin at once.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Arc;

use crate::support::{open, run as on_runtime};
use crate::{full, listing, race, staging};

/// A child of this program. If it still runs on drop, it is killed.
pub(crate) struct Running {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Running {
    /// Starts a role on a base path.
    pub(crate) fn start(role: &str, base: &Path, arguments: &[&str]) -> Self {
        Self::start_under(&[], role, base, arguments)
    }

    /// Starts a role by another program, whose command line ends where ours begins.
    pub(crate) fn start_under(wrapper: &[&str], role: &str, base: &Path, arguments: &[&str]) -> Self {
        let program = std::env::current_exe().expect("this program has a path");
        let mut command = match wrapper {
            [] => Command::new(program),
            [first, rest @ ..] => {
                let mut command = Command::new(first);
                command.args(rest).arg(program);
                command
            }
        };
        command.args(["--child", role]).arg(base).args(arguments);
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a child can be started");
        let input = child.stdin.take();
        let output = BufReader::new(child.stdout.take().expect("a pipe"));
        Self { child, input, output }
    }

    /// Waits for the next line.
    pub(crate) fn line(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).expect("text from the child");
        line.trim_end().to_owned()
    }

    /// Waits for this line.
    #[track_caller]
    pub(crate) fn expect(&mut self, expected: &str) {
        assert_eq!(self.line(), expected, "the child said something else");
    }

    /// Lets the child go on.
    pub(crate) fn go_on(&mut self) {
        self.input = None;
    }

    /// Waits for the end of the child, which must succeed, and returns the lines it still had to say.
    #[track_caller]
    pub(crate) fn finish(mut self) -> Vec<String> {
        self.go_on();
        let mut text = String::new();
        self.output
            .read_to_string(&mut text)
            .expect("text from the child");
        let status = self.child.wait().expect("an end");
        assert!(status.success(), "the child ended with {status}: {text}");
        text.lines().map(str::to_owned).collect()
    }

    /// Kills the child at once, as `kill -9` does.
    pub(crate) fn kill(mut self) {
        self.child.kill().expect("killed");
        self.child.wait().expect("an end");
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Both fail on a child that has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Starts several children on one base path, lets them begin together and returns what each says.
pub(crate) fn race(role: &str, base: &Path, arguments: &[&[&str]]) -> Vec<Vec<String>> {
    let mut children: Vec<_> = arguments
        .iter()
        .map(|some| Running::start(role, base, some))
        .collect();
    for child in &mut children {
        child.expect("ready");
    }
    for child in &mut children {
        child.go_on();
    }
    children.into_iter().map(Running::finish).collect()
}

/// Does the work of a child.
pub(crate) fn run(role: &str, arguments: &[String]) {
    let [base, rest @ ..] = arguments else {
        panic!("a child needs a base path")
    };
    let base = Path::new(base);
    let rest: Vec<&str> = rest.iter().map(String::as_str).collect();
    match (role, rest.as_slice()) {
        ("full", []) => full::child(base),
        ("list", [count]) => listing::child(base, count.parse().expect("a count")),
        ("stall", [key]) => on_runtime(staging::child(base, key)),
        ("claim", [name]) => on_runtime(async {
            let provider = Arc::new(open(base).await);
            wait_for_start();
            race::claim(&provider, name)
                .await
                .iter()
                .for_each(|line| tell(line));
        }),
        ("count", [tasks, increments]) => on_runtime(async {
            let provider = Arc::new(open(base).await);
            wait_for_start();
            let count = |text: &str| text.parse().expect("a count");
            race::count(&provider, count(tasks), count(increments)).await;
        }),
        other => panic!("there is no role {other:?}"),
    }
}

/// Tells the parent something.
pub(crate) fn tell(line: &str) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}")
        .and_then(|()| out.flush())
        .expect("the parent listens");
}

/// Waits until the parent lets us go on.
pub(crate) fn wait_for_parent() {
    std::io::stdin()
        .lock()
        .read_line(&mut String::new())
        .expect("the parent's word");
}

fn wait_for_start() {
    tell("ready");
    wait_for_parent();
}

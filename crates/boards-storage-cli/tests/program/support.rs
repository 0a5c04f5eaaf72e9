//! Runs the program and looks at what it said.

use std::ffi::OsStr;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

/// A folder to run the program in; it is the home folder, too.
#[derive(Debug)]
pub(crate) struct Place {
    folder: TempDir,
    validation: Validation,
}

/// Whether content is checked. Most tests store bytes that are no picture, since they are about something else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Validation {
    Off,
    AsConfigured,
}

/// What one run said.
#[derive(Debug)]
pub(crate) struct Said {
    command: String,
    pub(crate) code: i32,
    pub(crate) bytes: Vec<u8>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Place {
    pub(crate) fn new() -> Self {
        Self {
            folder: tempfile::tempdir().expect("a folder"),
            validation: Validation::Off,
        }
    }

    /// A folder in which content is checked, as it is for everybody who does not say otherwise.
    pub(crate) fn checked() -> Self {
        Self {
            validation: Validation::AsConfigured,
            ..Self::new()
        }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Makes a file, and the folders above it.
    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().expect("below the folder")).expect("made");
        std::fs::write(&path, content).expect("written");
        path
    }

    pub(crate) fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    /// Returns the names in the folder, in order.
    pub(crate) fn names(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.folder.path()).expect("listed");
        let mut names: Vec<String> = entries
            .map(|entry| {
                entry
                    .expect("an entry")
                    .file_name()
                    .to_string_lossy()
                    .into_owned()
            })
            .collect();
        names.sort();
        names
    }

    pub(crate) fn command<I: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = I>) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_boards-storage"));
        command
            .args(arguments)
            .current_dir(self.folder.path())
            .env_clear()
            .env("HOME", self.folder.path());
        if self.validation == Validation::Off {
            command.env("BOARDS_STORAGE__VALIDATION__ENABLED", "false");
        }
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// Runs a command line; words are separated by spaces.
    pub(crate) fn run(&self, line: &str) -> Said {
        self.finish(self.command(line.split_whitespace()), b"")
    }

    pub(crate) fn run_words<I: AsRef<OsStr>>(&self, words: impl IntoIterator<Item = I>) -> Said {
        self.finish(self.command(words), b"")
    }

    pub(crate) fn run_with_input(&self, line: &str, input: &[u8]) -> Said {
        self.finish(self.command(line.split_whitespace()), input)
    }

    pub(crate) fn run_with_variables(&self, line: &str, variables: &[(&str, &str)]) -> Said {
        let mut command = self.command(line.split_whitespace());
        command.envs(variables.iter().copied());
        self.finish(command, b"")
    }

    fn finish(&self, mut command: Command, input: &[u8]) -> Said {
        let shown = format!("{command:?}");
        command.stdin(Stdio::piped());
        let mut child = command.spawn().expect("started");
        let mut stdin = child.stdin.take().expect("piped");
        let input = input.to_vec();
        // A program that fails early does not read its input; that is its right.
        let writer = std::thread::spawn(move || drop(stdin.write_all(&input)));
        let output = child.wait_with_output().expect("ended");
        writer.join().expect("written");
        Said {
            command: shown,
            code: output.status.code().unwrap_or(-1),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            bytes: output.stdout,
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// Returns the only file below the data folder with this name.
    pub(crate) fn stored_file(&self, name: &str) -> PathBuf {
        let mut found = Vec::new();
        find(&self.path("boards-storage-data/objects"), name, &mut found);
        assert_eq!(found.len(), 1, "{name}: {found:?}");
        found.remove(0)
    }
}

fn find(folder: &Path, name: &str, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("listed") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            if path.file_name() != Some(OsStr::new(".boards-storage")) {
                find(&path, name, found);
            }
        } else if path.file_name() == Some(OsStr::new(name)) {
            found.push(path);
        }
    }
}

impl Said {
    /// Checks the exit code, and that a failure is told as every failure is.
    #[track_caller]
    pub(crate) fn code(self, expected: i32) -> Self {
        assert_eq!(
            self.code, expected,
            "{}\n--- stdout\n{}\n--- stderr\n{}",
            self.command, self.out, self.err
        );
        for trace in ["panicked", "RUST_BACKTRACE", "Error {", "Some(", "Err("] {
            assert!(!self.err.contains(trace), "{trace} in: {}", self.err);
        }
        self
    }

    #[track_caller]
    pub(crate) fn ok(self) -> Self {
        self.code(0)
    }

    /// Checks that the standard output has all of these.
    #[track_caller]
    pub(crate) fn says(self, texts: &[&str]) -> Self {
        for text in texts {
            assert!(self.out.contains(text), "no {text:?} in: {}", self.out);
        }
        self
    }

    /// Checks that the standard error has all of these.
    #[track_caller]
    pub(crate) fn complains(self, texts: &[&str]) -> Self {
        for text in texts {
            assert!(self.err.contains(text), "no {text:?} in: {}", self.err);
        }
        self
    }

    /// Reads the standard output as JSON.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {}", self.out))
    }

    /// Reads the standard error as one JSON error.
    #[track_caller]
    pub(crate) fn json_error(&self) -> Value {
        let value: Value =
            serde_json::from_str(&self.err).unwrap_or_else(|error| panic!("{error}: {}", self.err));
        value["error"].clone()
    }
}

/// Returns bytes that repeat nowhere soon.
pub(crate) fn binary(length: usize) -> Vec<u8> {
    let mut state: u32 = 0x9e37_79b9;
    let step = |_| {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state.to_le_bytes()[1]
    };
    (0..length).map(step).collect()
}

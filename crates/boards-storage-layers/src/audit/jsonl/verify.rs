//! Finding out whether a log is whole: every line, in order, up to the head that was acknowledged.

use std::fmt;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use boards_storage_core::{AuditHead, Error, ErrorKind, Result};
use serde::Serialize;

use super::files::{self, LINE_BYTES_MAX, failed};
use super::key::{AuditKey, AuditKeys};
use super::line::{self, Entry, Record, ZERO};

/// How many problems are described; further ones are counted.
const PROBLEMS_MAX: usize = 100;

/// What is wrong at one place of a log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct AuditProblem {
    /// What kind of problem it is.
    pub kind: AuditProblemKind,
    /// The file's name; absent where it is about the whole log.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// The number of the line in its file, from 1 on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<u64>,
    /// The number of the entry that was expected there.
    pub sequence: u64,
    /// What is wrong, in words.
    pub message: String,
}

impl fmt::Display for AuditProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.file, self.line) {
            (Some(file), Some(line)) => write!(f, "{file}:{line}: ")?,
            (Some(file), None) => write!(f, "{file}: ")?,
            (None, _) => {}
        }
        f.write_str(&self.message)
    }
}

/// What kind of problem a log has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum AuditProblemKind {
    /// A line is not the one that was written.
    Changed,
    /// Entries are missing between two lines, or before the first.
    Missing,
    /// A line stands where it does not belong: it is repeated, moved, or of another log.
    Misplaced,
    /// A file is missing.
    FileMissing,
    /// A file has no header of its own.
    Header,
    /// The key of a file was not given.
    UnknownKey,
    /// The log ends before the last acknowledged entry.
    Truncated,
    /// The last acknowledged entry is another.
    Forked,
}

/// What a verification found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct AuditVerification {
    /// How many files were read.
    pub files: u64,
    /// How many lines the chain vouches for: headers, events and repairs.
    pub entries: u64,
    /// How many of them are events.
    pub events: u64,
    /// How many of them say that a process died while it wrote.
    pub repairs: u64,
    /// The number of the first entry that is there; greater than 1 where the settings removed old files.
    pub first_sequence: u64,
    /// The number of the last entry.
    pub last_sequence: u64,
    /// The head that the catalog keeps: the last acknowledged entry. Without one, nobody can tell whether the end of
    /// the log was cut off.
    pub head: Option<AuditHead>,
    /// Bytes behind the last line that are none: a process died while it wrote, or is writing. They were never
    /// acknowledged.
    pub unfinished_bytes: u64,
    /// How many problems there are.
    pub problem_count: u64,
    /// The first of them.
    pub problems: Vec<AuditProblem>,
}

impl AuditVerification {
    /// Returns whether nothing is wrong.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.problem_count == 0
    }
}

/// Reads a whole log and checks every line against its code, its predecessor and the head that the catalog keeps.
///
/// The head has to be read before, for others may write meanwhile. A log that does not exist has nothing wrong, unless
/// there is a head.
///
/// # Errors
///
/// `Storage` or `AccessDenied` if a file cannot be read. What is wrong with the log is no error, but what is answered.
pub async fn verify_audit(
    folder: impl AsRef<Path>,
    keys: AuditKeys,
    head: Option<AuditHead>,
) -> Result<AuditVerification> {
    let folder = folder.as_ref().to_owned();
    tokio::task::spawn_blocking(move || Verifier::new(folder, keys, head).run())
        .await
        .map_err(|source| {
            Error::new(ErrorKind::Storage, "verifying the audit log was ended").with_source(source)
        })?
}

struct Verifier {
    folder: PathBuf,
    keys: AuditKeys,
    found: AuditVerification,
    /// The number and the code of the last line; before the first, nothing is known unless the log begins there.
    last: Option<(u64, String)>,
    /// Files before this one may be missing.
    first_file: u32,
    log: Option<String>,
    has_met_head: bool,
}

/// Where a line stands.
#[derive(Clone, Copy)]
struct Place {
    file: u32,
    line: u64,
}

impl Verifier {
    fn new(folder: PathBuf, keys: AuditKeys, head: Option<AuditHead>) -> Self {
        Self {
            folder,
            keys,
            found: AuditVerification {
                head,
                ..AuditVerification::default()
            },
            last: None,
            first_file: 1,
            log: None,
            has_met_head: false,
        }
    }

    fn run(mut self) -> Result<AuditVerification> {
        let numbers = files::numbers(&self.folder)?;
        let first = numbers.first().copied();
        if first == Some(1) {
            self.last = Some((0, ZERO.to_owned()));
        }
        let mut before = None;
        for number in &numbers {
            for missing in before.map_or(*number, |before| before + 1)..*number {
                self.file_problem(missing);
            }
            let is_last = numbers.last() == Some(number);
            self.file(*number, is_last)?;
            before = Some(*number);
        }
        for missing in self.first_file..first.unwrap_or(self.first_file) {
            self.file_problem(missing);
        }
        self.check_head();
        self.found.last_sequence = self.expected() - 1;
        Ok(self.found)
    }

    /// The number of the line that comes next.
    fn expected(&self) -> u64 {
        self.last.as_ref().map_or(1, |(sequence, _mac)| sequence + 1)
    }

    fn file(&mut self, number: u32, is_last: bool) -> Result<()> {
        let path = files::path(&self.folder, number);
        let cannot = |source| failed("cannot read the audit log", &path, source);
        let mut reader = BufReader::new(File::open(&path).map_err(cannot)?);
        self.found.files += 1;
        let mut key = None;
        let mut place = Place {
            file: number,
            line: 0,
        };
        let mut text = Vec::new();
        loop {
            text.clear();
            let read = Read::take(&mut reader, LINE_BYTES_MAX as u64)
                .read_until(b'\n', &mut text)
                .map_err(cannot)?;
            if read == 0 {
                break;
            }
            place.line += 1;
            match text.strip_suffix(b"\n") {
                Some(line) => self.line(line, place, &mut key),
                None if is_last && read < LINE_BYTES_MAX => self.found.unfinished_bytes = read as u64,
                None => self.problem(
                    AuditProblemKind::Changed,
                    place,
                    "the line does not end, although the log goes on".to_owned(),
                ),
            }
        }
        if place.line == 0 && !is_last {
            self.problem(AuditProblemKind::Header, place, "the file is empty".to_owned());
        }
        Ok(())
    }

    fn line(&mut self, line: &[u8], place: Place, key: &mut Option<AuditKey>) {
        let entry = line::read(line);
        if place.line == 1 {
            *key = self.header(entry.as_ref(), place);
        }
        // Without its key nothing of a file can be told.
        let Some(key) = key else { return };
        let parts = line::split(line).filter(|parts| parts.is_authentic(key));
        let (Some(parts), Some(entry)) = (parts, entry) else {
            self.changed(line, place);
            return;
        };
        self.follow(&entry, place);
        self.found.entries += 1;
        match &entry.record {
            Record::Header(header) => {
                self.first_file = self.first_file.max(header.first_file);
                if place.line != 1 {
                    let message = "a header stands in the middle of a file".to_owned();
                    self.problem(AuditProblemKind::Misplaced, place, message);
                }
            }
            Record::Event(_) => self.found.events += 1,
            Record::Repair(_) => self.found.repairs += 1,
        }
        if self.found.first_sequence == 0 {
            self.found.first_sequence = entry.sequence;
        }
        if let Some(head) = self
            .found
            .head
            .clone()
            .filter(|head| head.sequence == entry.sequence)
        {
            self.has_met_head = true;
            if head.mac != parts.mac {
                let message = format!(
                    "the entry {} is not the one that was acknowledged: the catalog's head has another code",
                    head.sequence
                );
                self.problem(AuditProblemKind::Forked, place, message);
            }
        }
        self.last = Some((entry.sequence, parts.mac.to_owned()));
    }

    /// Checks what the first line of a file says of it, and returns its key.
    fn header(&mut self, entry: Option<&Entry>, place: Place) -> Option<AuditKey> {
        let Some(Record::Header(header)) = entry.map(|entry| &entry.record) else {
            let message = "the file does not begin with its header".to_owned();
            self.problem(AuditProblemKind::Header, place, message);
            // The other lines can still be checked.
            return Some(self.keys.present().clone());
        };
        let log = self.log.get_or_insert_with(|| header.log.clone());
        if header.file != place.file || *log != header.log {
            let message = format!(
                "the header is of the file '{}' of the log '{}'",
                files::name(header.file),
                header.log
            );
            self.problem(AuditProblemKind::Header, place, message);
        }
        let key = self.keys.find(&header.key_id).cloned();
        if key.is_none() {
            let message = format!(
                "the file was written with the key {}, which is not among those given",
                header.key_id
            );
            self.problem(AuditProblemKind::UnknownKey, place, message);
        }
        key
    }

    /// Checks that a line follows the one before.
    fn follow(&mut self, entry: &Entry, place: Place) {
        let Some((last, mac)) = &self.last else { return };
        let expected = last + 1;
        if entry.sequence > expected {
            let missing = if entry.sequence == expected + 1 {
                format!("the entry {expected} is missing")
            } else {
                format!("the entries {expected} to {} are missing", entry.sequence - 1)
            };
            self.problem(AuditProblemKind::Missing, place, missing);
        } else if entry.sequence < expected {
            let message = format!(
                "the entry {} stands where {expected} belongs: it is repeated or moved",
                entry.sequence
            );
            self.problem(AuditProblemKind::Misplaced, place, message);
        } else if entry.previous != *mac && !mac.is_empty() {
            let message = format!("the entry {expected} does not follow the one before it");
            self.problem(AuditProblemKind::Misplaced, place, message);
        }
    }

    /// A line that is not the one that was written.
    fn changed(&mut self, line: &[u8], place: Place) {
        let expected = self.expected();
        let message = if line::split(line).is_some() {
            format!("the entry {expected} was changed: its code is not the one of its content")
        } else {
            "this is no line of the log".to_owned()
        };
        self.problem(AuditProblemKind::Changed, place, message);
        // The next line is held against what this one says of itself, so that one change is one problem.
        if self.last.is_some() {
            let mac = line::split(line).map(|parts| parts.mac.to_owned());
            self.last = Some((expected, mac.unwrap_or_default()));
        }
    }

    fn check_head(&mut self) {
        let Some(head) = self.found.head.clone() else {
            return;
        };
        let last = self.expected() - 1;
        if last < head.sequence {
            let message = format!(
                "the log ends with the entry {last}, but {} was acknowledged: the end was cut off",
                head.sequence
            );
            self.add(AuditProblem {
                kind: AuditProblemKind::Truncated,
                file: None,
                line: None,
                sequence: last + 1,
                message,
            });
        } else if !self.has_met_head && self.found.problem_count == 0 {
            let message = format!("the acknowledged entry {} is not there", head.sequence);
            self.add(AuditProblem {
                kind: AuditProblemKind::Missing,
                file: None,
                line: None,
                sequence: head.sequence,
                message,
            });
        }
    }

    fn file_problem(&mut self, number: u32) {
        let problem = AuditProblem {
            kind: AuditProblemKind::FileMissing,
            file: Some(files::name(number)),
            line: None,
            sequence: self.expected(),
            message: "the file is missing".to_owned(),
        };
        self.add(problem);
    }

    fn problem(&mut self, kind: AuditProblemKind, place: Place, message: String) {
        let problem = AuditProblem {
            kind,
            file: Some(files::name(place.file)),
            line: Some(place.line),
            sequence: self.expected(),
            message,
        };
        self.add(problem);
    }

    fn add(&mut self, problem: AuditProblem) {
        self.found.problem_count += 1;
        if self.found.problems.len() < PROBLEMS_MAX {
            self.found.problems.push(problem);
        }
    }
}

//! Whatever is done to a log afterwards is found out.

use std::collections::BTreeMap;

use boards_storage_core::AuditHead;
use boards_storage_layers::{AuditProblemKind, AuditVerification, verify_audit};
use proptest::prelude::*;

use super::{Log, append, file, keys};

/// The files of a log, by number, and its head.
#[derive(Clone, Debug)]
struct Files {
    contents: BTreeMap<u32, Vec<u8>>,
    head: Option<AuditHead>,
}

impl Files {
    /// Three files of several lines each.
    async fn new() -> Self {
        let log = Log::new();
        let sink = log.open();
        for day in 0..3 {
            for index in 0..3 {
                append(&sink, &[&format!("event-{day}-{index}")]).await;
            }
            log.next_day();
        }
        let contents = (1..=3)
            .map(|number| {
                (
                    number,
                    std::fs::read(log.path().join(file(number))).expect("read"),
                )
            })
            .collect();
        Self {
            contents,
            head: boards_storage_core::Catalog::audit_head(&*log.catalog, "audit")
                .await
                .expect("asked"),
        }
    }

    async fn verify(&self) -> AuditVerification {
        let folder = tempfile::tempdir().expect("a folder");
        for (number, content) in &self.contents {
            std::fs::write(folder.path().join(file(*number)), content).expect("written");
        }
        verify_audit(folder.path(), keys(), self.head.clone())
            .await
            .expect("read")
    }

    fn lines(&self, number: u32) -> Vec<Vec<u8>> {
        let lines = self.contents[&number].split_inclusive(|byte| *byte == b'\n');
        lines.map(<[u8]>::to_vec).collect()
    }

    fn set_lines(&mut self, number: u32, lines: &[Vec<u8>]) {
        self.contents.insert(number, lines.concat());
    }
}

/// What is found first.
async fn first(files: &Files) -> (AuditProblemKind, Option<String>, Option<u64>, u64) {
    let found = files.verify().await;
    let problem = found
        .problems
        .first()
        .unwrap_or_else(|| panic!("nothing was found: {found:?}"));
    (problem.kind, problem.file.clone(), problem.line, problem.sequence)
}

#[tokio::test]
async fn an_untouched_log_is_whole() {
    let files = Files::new().await;
    let found = files.verify().await;
    assert!(found.is_whole(), "{found:?}");
    assert_eq!((found.files, found.entries, found.events), (3, 12, 9));
}

#[tokio::test]
async fn a_changed_line_is_found_with_its_place_and_is_one_problem() {
    let mut files = Files::new().await;
    let mut lines = files.lines(2);
    let text = String::from_utf8(lines[2].clone())
        .expect("text")
        .replace("\"ada\"", "\"eve\"");
    lines[2] = text.into_bytes();
    files.set_lines(2, &lines);
    assert_eq!(
        first(&files).await,
        (AuditProblemKind::Changed, Some(file(2)), Some(3), 7)
    );
    assert_eq!(files.verify().await.problem_count, 1);
}

#[tokio::test]
async fn a_dropped_line_is_found() {
    let mut files = Files::new().await;
    let mut lines = files.lines(2);
    lines.remove(2);
    files.set_lines(2, &lines);
    assert_eq!(
        first(&files).await,
        (AuditProblemKind::Missing, Some(file(2)), Some(3), 7)
    );
    assert_eq!(files.verify().await.problem_count, 1);
}

#[tokio::test]
async fn a_repeated_and_a_moved_line_are_found() {
    let mut files = Files::new().await;
    let mut lines = files.lines(2);
    lines.insert(2, lines[2].clone());
    files.set_lines(2, &lines);
    assert_eq!(
        first(&files).await,
        (AuditProblemKind::Misplaced, Some(file(2)), Some(4), 8)
    );
    let mut files = Files::new().await;
    let mut lines = files.lines(2);
    lines.swap(1, 2);
    files.set_lines(2, &lines);
    assert_eq!(first(&files).await.0, AuditProblemKind::Missing);
}

#[tokio::test]
async fn a_cut_off_end_is_found_by_the_head() {
    let mut files = Files::new().await;
    let mut lines = files.lines(3);
    lines.pop();
    files.set_lines(3, &lines);
    assert_eq!(first(&files).await, (AuditProblemKind::Truncated, None, None, 12));
    let mut files = Files::new().await;
    files.contents.remove(&3);
    assert_eq!(first(&files).await, (AuditProblemKind::Truncated, None, None, 9));
    files.contents.clear();
    assert_eq!(first(&files).await, (AuditProblemKind::Truncated, None, None, 1));
}

#[tokio::test]
async fn a_missing_file_is_found() {
    for number in [1, 2] {
        let mut files = Files::new().await;
        files.contents.remove(&number);
        let found = files.verify().await;
        let kinds: Vec<_> = found.problems.iter().map(|problem| problem.kind).collect();
        assert!(kinds.contains(&AuditProblemKind::FileMissing), "{found:?}");
        assert_eq!(
            found
                .problems
                .iter()
                .find(|problem| problem.kind == AuditProblemKind::FileMissing)
                .and_then(|problem| problem.file.clone()),
            Some(file(number))
        );
    }
}

#[tokio::test]
async fn another_history_of_the_same_length_is_found_by_the_head() {
    let (files, other) = (Files::new().await, Files::new().await);
    let forged = Files {
        head: files.head,
        ..other
    };
    assert_eq!(first(&forged).await.0, AuditProblemKind::Forked);
}

#[tokio::test]
async fn a_file_of_another_log_is_found() {
    let (mut files, other) = (Files::new().await, Files::new().await);
    files.contents.insert(2, other.contents[&2].clone());
    let found = files.verify().await;
    assert_eq!(found.problems[0].kind, AuditProblemKind::Misplaced, "{found:?}");
}

#[tokio::test]
async fn swapped_files_are_found() {
    let mut files = Files::new().await;
    let (first, second) = (files.contents[&1].clone(), files.contents[&2].clone());
    files.contents.insert(1, second);
    files.contents.insert(2, first);
    assert!(!files.verify().await.is_whole());
}

/// One thing that somebody does to a log.
#[derive(Clone, Debug)]
enum Tampering {
    Change {
        file: u32,
        place: prop::sample::Index,
        flip: u8,
    },
    Remove {
        file: u32,
        line: prop::sample::Index,
    },
    Repeat {
        file: u32,
        line: prop::sample::Index,
        to: prop::sample::Index,
    },
    Swap {
        file: u32,
        one: prop::sample::Index,
        other: prop::sample::Index,
    },
    Truncate {
        file: u32,
        place: prop::sample::Index,
    },
    RemoveFile {
        file: u32,
    },
    Insert {
        file: u32,
        place: prop::sample::Index,
        byte: u8,
    },
}

fn tampering() -> impl Strategy<Value = Tampering> {
    let index = any::<prop::sample::Index>;
    prop_oneof![
        4 => (1..=3_u32, index(), 1..=255_u8).prop_map(|(file, place, flip)| Tampering::Change { file, place, flip }),
        1 => (1..=3_u32, index()).prop_map(|(file, line)| Tampering::Remove { file, line }),
        1 => (1..=3_u32, index(), index()).prop_map(|(file, line, to)| Tampering::Repeat { file, line, to }),
        1 => (1..=3_u32, index(), index()).prop_map(|(file, one, other)| Tampering::Swap { file, one, other }),
        1 => (1..=3_u32, index()).prop_map(|(file, place)| Tampering::Truncate { file, place }),
        1 => (1..=3_u32).prop_map(|file| Tampering::RemoveFile { file }),
        2 => (1..=3_u32, index(), any::<u8>()).prop_map(|(file, place, byte)| Tampering::Insert { file, place, byte }),
    ]
}

impl Files {
    fn tamper(&mut self, tampering: &Tampering) {
        match tampering {
            Tampering::Change { file, place, flip } => {
                let content = self.contents.get_mut(file).expect("a file");
                let place = place.index(content.len());
                content[place] ^= flip;
            }
            Tampering::Remove { file, line } => {
                let mut lines = self.lines(*file);
                lines.remove(line.index(lines.len()));
                self.set_lines(*file, &lines);
            }
            Tampering::Repeat { file, line, to } => {
                let mut lines = self.lines(*file);
                let line = lines[line.index(lines.len())].clone();
                lines.insert(to.index(lines.len() + 1), line);
                self.set_lines(*file, &lines);
            }
            Tampering::Swap { file, one, other } => {
                let mut lines = self.lines(*file);
                let count = lines.len();
                lines.swap(one.index(count), other.index(count));
                self.set_lines(*file, &lines);
            }
            Tampering::Truncate { file, place } => {
                let content = self.contents.get_mut(file).expect("a file");
                content.truncate(place.index(content.len()));
            }
            Tampering::RemoveFile { file } => drop(self.contents.remove(file)),
            Tampering::Insert { file, place, byte } => {
                let content = self.contents.get_mut(file).expect("a file");
                content.insert(place.index(content.len() + 1), *byte);
            }
        }
    }
}

#[test]
fn any_single_tampering_is_found() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let whole = runtime.block_on(Files::new());
    proptest!(ProptestConfig::with_cases(400), |(tampering in tampering())| {
        let mut files = whole.clone();
        files.tamper(&tampering);
        prop_assume!(files.contents != whole.contents);
        let found = runtime.block_on(files.verify());
        // Bytes behind the last line are no line: they change nothing of what was acknowledged, and are told.
        let is_told = !found.is_whole() || found.unfinished_bytes > 0;
        prop_assert!(is_told, "{tampering:?} was not found: {found:?}");
    });
}

#[tokio::test]
async fn every_byte_of_a_file_matters() {
    let whole = Files::new().await;
    for place in 0..whole.contents[&3].len() {
        let mut files = whole.clone();
        files.contents.get_mut(&3).expect("a file")[place] ^= 0x01;
        assert!(!files.verify().await.is_whole(), "the byte {place} was changed");
    }
}

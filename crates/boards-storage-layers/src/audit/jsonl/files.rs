//! The folder of a log: names, the lock, and how its files are read from their end.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use boards_storage_core::{Error, ErrorKind, Result};

use super::key::private;

/// The name of the key file.
pub(super) const KEY: &str = "key";

/// The name of the lock file.
const LOCK: &str = "lock";

/// The longest line that is read, in bytes. Those that are written are far shorter.
pub(super) const LINE_BYTES_MAX: usize = 1 << 20;

/// How long a process waits for its turn to append.
const LOCK_TIME_MAX: Duration = Duration::from_secs(20);

/// The first and the longest pause between two looks at the lock.
const LOCK_PAUSES: (Duration, Duration) = (Duration::from_micros(100), Duration::from_millis(4));

/// Returns the name of a log file.
pub(super) fn name(number: u32) -> String {
    format!("audit-{number:08}.jsonl")
}

/// Returns the path of a log file.
pub(super) fn path(folder: &Path, number: u32) -> PathBuf {
    folder.join(name(number))
}

/// Returns the numbers of the log files, in order; none if the folder does not exist.
pub(super) fn numbers(folder: &Path) -> Result<Vec<u32>> {
    let cannot = |source| failed("cannot list the audit log", folder, source);
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(cannot(error)),
    };
    let mut numbers = Vec::new();
    for entry in entries {
        let entry = entry.map_err(cannot)?;
        numbers.extend(entry.file_name().to_str().and_then(number));
    }
    numbers.sort_unstable();
    Ok(numbers)
}

fn number(file_name: &str) -> Option<u32> {
    let number = file_name
        .strip_prefix("audit-")?
        .strip_suffix(".jsonl")?
        .parse()
        .ok()?;
    (name(number) == file_name).then_some(number)
}

/// Makes the folder, whose path is absolute, for its owner alone, and makes its name last.
pub(super) fn make_folder(folder: &Path) -> Result<()> {
    let cannot = |source| failed("cannot make the folder of the audit log", folder, source);
    if folder.is_dir() {
        return Ok(());
    }
    let missing: Vec<&Path> = folder
        .ancestors()
        .take_while(|ancestor| !ancestor.is_dir())
        .collect();
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder).map_err(cannot)?;
    for made in missing {
        if let Some(parent) = made.parent() {
            sync_folder(parent).map_err(cannot)?;
        }
    }
    Ok(())
}

/// Makes the names in a folder survive a power failure, where the system can.
pub(super) fn sync_folder(folder: &Path) -> io::Result<()> {
    if cfg!(unix) {
        File::open(folder)?.sync_all()
    } else {
        Ok(())
    }
}

/// Opens a file of the log to append to it.
pub(super) fn open_to_append(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).append(true).open(path)
}

/// Makes a file of the log, for its owner alone.
pub(super) fn create(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).append(true).create_new(true);
    private(&mut options);
    options.open(path)
}

/// The lock of all processes that append, held until it is dropped.
pub(super) struct Locked<'a>(&'a File);

impl<'a> Locked<'a> {
    /// Waits for the lock.
    pub(super) fn wait(file: &'a File, folder: &Path) -> Result<Self> {
        let (mut pause, pause_max) = LOCK_PAUSES;
        let begun = Instant::now();
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(Self(file)),
                Err(TryLockError::WouldBlock) if begun.elapsed() < LOCK_TIME_MAX => {
                    std::thread::sleep(pause);
                    pause = (pause * 2).min(pause_max);
                }
                Err(TryLockError::WouldBlock) => {
                    return Err(Error::new(
                        ErrorKind::ProviderUnavailable,
                        format!(
                            "the audit log '{}' was locked by other processes for {LOCK_TIME_MAX:?}",
                            folder.display()
                        ),
                    )
                    .with_help("look for a process that hangs"));
                }
                Err(TryLockError::Error(source)) => {
                    return Err(failed("cannot lock the audit log", folder, source));
                }
            }
        }
    }
}

impl Drop for Locked<'_> {
    fn drop(&mut self) {
        // It cannot fail on a file that is locked; were it to, the lock goes with the file.
        let _ = self.0.unlock();
    }
}

/// Opens the lock file, making it if it is missing.
pub(super) fn open_lock(folder: &Path) -> Result<File> {
    let path = folder.join(LOCK);
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    private(&mut options);
    options
        .open(&path)
        .map_err(|source| failed("cannot open the lock of the audit log", &path, source))
}

/// Returns whether an open lock file is still the one of the folder.
pub(super) fn is_lock(lock: &File, folder: &Path) -> bool {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        let identity = |metadata: std::fs::Metadata| (metadata.dev(), metadata.ino());
        let (open, named) = (lock.metadata(), std::fs::metadata(folder.join(LOCK)));
        matches!((open.map(identity), named.map(identity)), (Ok(open), Ok(named)) if open == named)
    }
    #[cfg(not(unix))]
    {
        let _ = (lock, folder);
        true
    }
}

/// The end of a file: its last whole line, and what stands behind it.
#[derive(Debug, Default)]
pub(super) struct FileEnd {
    /// The last whole line, without its end; `None` if there is none.
    pub(super) line: Option<Vec<u8>>,
    /// Where the whole lines end.
    pub(super) whole_bytes: u64,
    /// How many bytes there are.
    pub(super) length: u64,
}

/// Looks at the end of a file.
pub(super) fn end_of(file: &mut File) -> io::Result<FileEnd> {
    const BLOCK: u64 = 4096;
    let length = file.metadata()?.len();
    let mut tail: Vec<u8> = Vec::new();
    let mut start = length;
    // Until it holds the end of the last line, and the end of the one before.
    while start > 0 && tail.iter().filter(|byte| **byte == b'\n').count() < 2 {
        if tail.len() > 2 * LINE_BYTES_MAX {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "a line is too long to be one",
            ));
        }
        let block = BLOCK.min(start);
        start -= block;
        let mut read = vec![0; usize::try_from(block).unwrap_or_default()];
        file.seek(SeekFrom::Start(start))?;
        file.read_exact(&mut read)?;
        read.extend_from_slice(&tail);
        tail = read;
    }
    let Some(last) = tail.iter().rposition(|byte| *byte == b'\n') else {
        return Ok(FileEnd {
            length,
            ..FileEnd::default()
        });
    };
    let begin = tail[..last]
        .iter()
        .rposition(|byte| *byte == b'\n')
        .map_or(0, |before| before + 1);
    Ok(FileEnd {
        line: Some(tail[begin..last].to_vec()),
        whole_bytes: start + last as u64 + 1,
        length,
    })
}

/// An error of a file.
pub(super) fn failed(what: &str, path: &Path, source: io::Error) -> Error {
    let kind = match source.kind() {
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => ErrorKind::AccessDenied,
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
            ErrorKind::InsufficientStorage
        }
        _ => ErrorKind::Storage,
    };
    Error::new(kind, format!("{what} '{}'", path.display())).with_source(source)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn a_name_has_its_number_and_nothing_else() {
        assert_eq!(number("audit-00000012.jsonl"), Some(12));
        assert_eq!(number("audit-123456789.jsonl"), Some(123_456_789));
        for other in [
            "audit-12.jsonl",
            "audit-0000001a.jsonl",
            "audit-00000001.jsonl.old",
            "key",
        ] {
            assert_eq!(number(other), None, "{other}");
        }
    }

    #[track_caller]
    fn check(content: &[u8], line: Option<&[u8]>, whole_bytes: u64) {
        let mut file = tempfile::tempfile().expect("a file");
        file.write_all(content).expect("written");
        let end = end_of(&mut file).expect("read");
        assert_eq!(end.line.as_deref(), line);
        assert_eq!((end.whole_bytes, end.length), (whole_bytes, content.len() as u64));
    }

    #[test]
    fn the_last_whole_line_is_found() {
        check(b"", None, 0);
        check(b"torn", None, 0);
        check(b"one\n", Some(b"one"), 4);
        check(b"one\ntwo\n", Some(b"two"), 8);
        check(b"one\ntwo\ntor", Some(b"two"), 8);
        check(b"\n", Some(b""), 1);
        let long = vec![b'x'; 10_000];
        let mut content = b"first\n".to_vec();
        content.extend_from_slice(&long);
        content.push(b'\n');
        check(&content, Some(&long), 10_007);
        content.extend_from_slice(&long);
        check(&content, Some(&long), 10_007);
    }
}

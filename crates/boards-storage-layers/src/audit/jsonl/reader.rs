//! Reading events back, from either end, a page at a time.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use boards_storage_core::{AuditEntry, Error, ErrorKind, Result};

use super::files::{self, LINE_BYTES_MAX, failed};
use super::line::{self, Record};

/// How many bytes are read at a time.
const PAGE_BYTES: usize = 256 << 10;

/// In which order events are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuditOrder {
    /// In the order of their completion.
    OldestFirst,
    /// The last first.
    NewestFirst,
}

/// A place between two lines of a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AuditPosition {
    file: u32,
    offset: u64,
}

/// Reads the events of a log in files, across all of them, in bounded memory.
///
/// It needs no key, takes no lock, and may read while others write. It believes what it reads: [`verify_audit`] finds
/// out whether it was tampered with. Lines that are no entries are left out and counted.
///
/// [`verify_audit`]: crate::verify_audit
///
/// # Examples
///
/// ```
/// use std::path::Path;
/// use boards_storage_core::Result;
/// use boards_storage_layers::{AuditOrder, AuditReader};
///
/// async fn count_failures(folder: &Path) -> Result<u64> {
///     let mut reader = AuditReader::open(folder, AuditOrder::NewestFirst).await?;
///     let mut failures = 0;
///     while let Some(entry) = reader.next().await? {
///         failures += u64::from(entry.event.error_kind.is_some());
///     }
///     Ok(failures)
/// }
/// ```
#[derive(Debug)]
pub struct AuditReader {
    folder: PathBuf,
    order: AuditOrder,
    position: AuditPosition,
    page: VecDeque<AuditEntry>,
    unreadable: u64,
}

impl AuditReader {
    /// Begins at the first or the last event, as the order says. A folder that does not exist has no events.
    ///
    /// # Errors
    ///
    /// `Storage` or `AccessDenied` if the folder cannot be read.
    pub async fn open(folder: impl AsRef<Path>, order: AuditOrder) -> Result<Self> {
        let folder = folder.as_ref();
        let position = match order {
            AuditOrder::OldestFirst => AuditPosition { file: 0, offset: 0 },
            AuditOrder::NewestFirst => Self::end_of(folder).await?,
        };
        Ok(Self::open_at(folder, order, position))
    }

    /// Begins at a place: with the event behind it, or before it, as the order says.
    #[must_use]
    pub fn open_at(folder: impl AsRef<Path>, order: AuditOrder, position: AuditPosition) -> Self {
        Self {
            folder: folder.as_ref().to_owned(),
            order,
            position,
            page: VecDeque::new(),
            unreadable: 0,
        }
    }

    /// Returns the place where the log ends now.
    ///
    /// # Errors
    ///
    /// As [`AuditReader::open`].
    pub async fn end_of(folder: impl AsRef<Path>) -> Result<AuditPosition> {
        let folder = folder.as_ref().to_owned();
        blocking(move || {
            let Some(number) = files::numbers(&folder)?.pop() else {
                return Ok(AuditPosition { file: 0, offset: 0 });
            };
            let path = files::path(&folder, number);
            let end = File::open(&path).and_then(|mut file| files::end_of(&mut file));
            Ok(AuditPosition {
                file: number,
                offset: end
                    .map_err(|source| failed("cannot read the audit log", &path, source))?
                    .whole_bytes,
            })
        })
        .await
    }

    /// Returns the next event; `None` at the end. With the oldest first, it may be asked again later, when there may
    /// be more.
    ///
    /// # Errors
    ///
    /// `Storage` or `AccessDenied` if a file cannot be read.
    pub async fn next(&mut self) -> Result<Option<AuditEntry>> {
        while self.page.is_empty() {
            let (folder, order, position) = (self.folder.clone(), self.order, self.position);
            let page = blocking(move || match order {
                AuditOrder::OldestFirst => forward(&folder, position),
                AuditOrder::NewestFirst => backward(&folder, position),
            })
            .await?;
            let Some(page) = page else { return Ok(None) };
            self.position = page.position;
            self.unreadable += page.unreadable;
            self.page = page.entries;
        }
        Ok(self.page.pop_front())
    }

    /// Returns how many lines were left out so far, because they are no entries.
    #[must_use]
    pub fn unreadable(&self) -> u64 {
        self.unreadable
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(|source| {
        Error::new(ErrorKind::Storage, "reading the audit log was ended").with_source(source)
    })?
}

/// What was read at once.
struct Page {
    entries: VecDeque<AuditEntry>,
    position: AuditPosition,
    unreadable: u64,
}

impl Page {
    fn at(position: AuditPosition) -> Self {
        Self {
            entries: VecDeque::new(),
            position,
            unreadable: 0,
        }
    }

    fn add(&mut self, line: &[u8]) {
        match line::read(line) {
            Some(entry) => match entry.record {
                Record::Event(event) => self.entries.push_back(AuditEntry::new(entry.sequence, *event)),
                Record::Header(_) | Record::Repair(_) => {}
            },
            None => self.unreadable += 1,
        }
    }
}

/// Reads whole lines behind a place; `None` at the end of the log.
fn forward(folder: &Path, mut position: AuditPosition) -> Result<Option<Page>> {
    loop {
        if let Some(page) = forward_in_file(folder, position)? {
            return Ok(Some(page));
        }
        // A file is whole when there is another behind it.
        let numbers = files::numbers(folder)?;
        let Some(next) = numbers.into_iter().find(|number| *number > position.file) else {
            return Ok(None);
        };
        // It may have grown between the two looks.
        if let Some(page) = forward_in_file(folder, position)? {
            return Ok(Some(page));
        }
        position = AuditPosition {
            file: next,
            offset: 0,
        };
    }
}

fn forward_in_file(folder: &Path, position: AuditPosition) -> Result<Option<Page>> {
    let path = files::path(folder, position.file);
    let cannot = |source| failed("cannot read the audit log", &path, source);
    let mut file = match File::open(&path) {
        Ok(file) => file,
        // Removed by the settings, or no file at all: there may be one behind it.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(cannot(error)),
    };
    file.seek(SeekFrom::Start(position.offset)).map_err(cannot)?;
    let mut reader = BufReader::new(file);
    let mut page = Page::at(position);
    let mut line = Vec::new();
    let begun = position.offset;
    while page.position.offset - begun < PAGE_BYTES as u64 {
        line.clear();
        let read = Read::take(&mut reader, LINE_BYTES_MAX as u64)
            .read_until(b'\n', &mut line)
            .map_err(cannot)?;
        match line.strip_suffix(b"\n") {
            Some(text) => page.add(text),
            // A line too long to be one is left out in pieces; one that is not finished is read when it is.
            None if read == LINE_BYTES_MAX => page.unreadable += 1,
            None => break,
        }
        page.position.offset += read as u64;
    }
    Ok((page.position != position).then_some(page))
}

/// Reads whole lines before a place; `None` at the beginning of the log.
fn backward(folder: &Path, mut position: AuditPosition) -> Result<Option<Page>> {
    while position.offset == 0 {
        let numbers = files::numbers(folder)?;
        let Some(before) = numbers.into_iter().rfind(|number| *number < position.file) else {
            return Ok(None);
        };
        let path = files::path(folder, before);
        let length = std::fs::metadata(&path)
            .map_err(|source| failed("cannot read the audit log", &path, source))?
            .len();
        position = AuditPosition {
            file: before,
            offset: length,
        };
    }
    let path = files::path(folder, position.file);
    let cannot = |source| failed("cannot read the audit log", &path, source);
    let mut file = match File::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(cannot(error)),
    };
    let mut size = PAGE_BYTES as u64;
    loop {
        let start = position.offset.saturating_sub(size);
        let mut block = vec![0; usize::try_from(position.offset - start).unwrap_or_default()];
        file.seek(SeekFrom::Start(start))
            .and_then(|_start| file.read_exact(&mut block))
            .map_err(cannot)?;
        // What stands before the first end of a line may be the rest of one.
        let skipped = match (start, block.iter().position(|byte| *byte == b'\n')) {
            (0, _) => 0,
            (_, Some(first)) if first + 1 < block.len() => first + 1,
            (_, _) if block.len() < 2 * LINE_BYTES_MAX => {
                size *= 2;
                continue;
            }
            // Too long to be a line.
            (_, _) => 0,
        };
        let mut page = Page::at(AuditPosition {
            file: position.file,
            offset: start + skipped as u64,
        });
        let lines = block[skipped..].split_inclusive(|byte| *byte == b'\n');
        for line in lines.rev().filter_map(|line| line.strip_suffix(b"\n")) {
            page.add(line);
        }
        return Ok(Some(page));
    }
}

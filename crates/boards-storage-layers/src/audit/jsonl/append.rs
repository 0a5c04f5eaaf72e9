//! Appending: under the lock of all processes, from where the log ends to where it ends then.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use boards_storage_core::{AuditEvent, AuditHead, Error, ErrorKind, Result};
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use sha2::{Digest as _, Sha256};

use super::files::{self, FileEnd, Locked, failed};
use super::key::{AuditKey, AuditKeys, hex};
use super::line::{self, Entry, FORMAT, Header, Record, Repair, ZERO};
use super::sink::JsonlConfig;

/// What appends to one log. Everything here blocks.
#[derive(Debug)]
pub(super) struct Appender {
    config: JsonlConfig,
    folder: PathBuf,
    lock: Option<File>,
    keys: Option<AuditKeys>,
    /// Where the log ended when this process wrote last, and the file.
    known: Option<(Tail, File)>,
    /// What has to be said of bytes that were removed.
    repairs: Vec<Repair>,
}

/// The end of a log.
#[derive(Clone, Debug)]
struct Tail {
    /// The last file that has a header, and how long it is.
    number: u32,
    length: u64,
    day: Date,
    key_id: String,
    first_file: u32,
    /// The last line.
    sequence: u64,
    mac: String,
}

/// What to do with events.
pub(super) enum Appended {
    /// They are in the log, durably, up to this head.
    Done(AuditHead),
    /// Another process wrote meanwhile, or this one has not written yet: the head that was acknowledged has to be
    /// known first.
    HeadNeeded,
}

/// What is known of the head that was acknowledged.
#[derive(Clone, Copy)]
pub(super) enum Acknowledged<'a> {
    /// It was not asked for.
    Unasked,
    Head(Option<&'a AuditHead>),
}

impl Appender {
    pub(super) fn new(config: JsonlConfig, folder: PathBuf) -> Self {
        Self {
            config,
            folder,
            lock: None,
            keys: None,
            known: None,
            repairs: Vec::new(),
        }
    }

    /// Makes what is missing, and looks whether the log ends where it should.
    pub(super) fn prove(&mut self, acknowledged: Option<&AuditHead>, now: Timestamp) -> Result<()> {
        self.with_lock(|this| {
            this.known = this.find_end(acknowledged, now)?;
            Ok(())
        })
    }

    /// Appends events and flushes them to the disk.
    pub(super) fn append(
        &mut self,
        events: &[AuditEvent],
        acknowledged: Acknowledged<'_>,
        now: Timestamp,
    ) -> Result<Appended> {
        self.with_lock(|this| {
            let known = this
                .known
                .take()
                .filter(|(tail, file)| this.is_the_end(tail, file));
            let end = match (known, acknowledged) {
                (Some(known), _) => Some(known),
                (None, Acknowledged::Unasked) => return Ok(Appended::HeadNeeded),
                (None, Acknowledged::Head(head)) => this.find_end(head, now)?,
            };
            this.write(events, end, now).map(Appended::Done)
        })
    }

    /// Frees what is open.
    pub(super) fn close(&mut self) {
        self.known = None;
        self.lock = None;
    }

    fn with_lock<T>(&mut self, work: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        files::make_folder(&self.folder)?;
        // The folder may have been removed and made again.
        let lock = match self.lock.take().filter(|lock| files::is_lock(lock, &self.folder)) {
            Some(lock) => lock,
            None => files::open_lock(&self.folder)?,
        };
        let result = {
            let _locked = Locked::wait(&lock, &self.folder)?;
            work(self)
        };
        self.lock = Some(lock);
        result
    }

    /// Whether the log still ends where this process left it.
    fn is_the_end(&self, tail: &Tail, file: &File) -> bool {
        let is_same_length = file
            .metadata()
            .is_ok_and(|metadata| metadata.len() == tail.length);
        // By its path, for it may have been removed or replaced.
        let is_there = std::fs::metadata(files::path(&self.folder, tail.number))
            .is_ok_and(|metadata| metadata.len() == tail.length);
        let has_next = files::path(&self.folder, tail.number + 1)
            .try_exists()
            .unwrap_or(true);
        is_same_length && is_there && !has_next
    }

    fn keys(&mut self, is_new: bool) -> Result<AuditKeys> {
        if let Some(keys) = &self.keys {
            return Ok(keys.clone());
        }
        let keys = match &self.config.keys {
            Some(keys) => keys.clone(),
            None if is_new => AuditKeys::read_or_make(&self.folder)?,
            None => AuditKeys::read(&self.folder)?,
        };
        self.keys = Some(keys.clone());
        Ok(keys)
    }

    /// Finds where the log ends, and removes what a process that died left behind it; `None` if it has not begun.
    fn find_end(&mut self, acknowledged: Option<&AuditHead>, now: Timestamp) -> Result<Option<(Tail, File)>> {
        let numbers = files::numbers(&self.folder)?;
        let keys = self.keys(numbers.is_empty() && acknowledged.is_none())?;
        let mut repairs = Vec::new();
        let mut found = None;
        for number in numbers.into_iter().rev() {
            let (end, file) = self.end_of_file(number, &keys, now, &mut repairs)?;
            if let Some(tail) = end {
                found = Some((tail, file));
                break;
            }
            // A file without a header is one whose maker died; there is at most one of these, the last.
        }
        let reached = found.as_ref().map_or(0, |(tail, _file)| tail.sequence);
        if let Some(head) = acknowledged {
            let is_short = reached < head.sequence;
            let is_other = found
                .as_ref()
                .is_some_and(|(tail, _file)| tail.sequence == head.sequence && tail.mac != head.mac);
            if is_short || is_other {
                return Err(self.damaged(format!(
                    "the entry {} was acknowledged, and the log ends with {}",
                    head.sequence,
                    if is_other {
                        "another".to_owned()
                    } else {
                        format!("the entry {reached}")
                    }
                )));
            }
        }
        for repair in repairs {
            self.cut(&repair)?;
            if repair.removed_bytes > 0 {
                self.repairs.push(repair);
            }
        }
        let Some((mut tail, file)) = found else {
            return Ok(None);
        };
        tail.length = length_of(&file, &self.folder)?;
        Ok(Some((tail, file)))
    }

    /// Finds the last line of a file that the chain vouches for; `None` if it has no header.
    fn end_of_file(
        &self,
        number: u32,
        keys: &AuditKeys,
        now: Timestamp,
        repairs: &mut Vec<Repair>,
    ) -> Result<(Option<Tail>, File)> {
        let path = files::path(&self.folder, number);
        let cannot = |source| failed("cannot read the audit log", &path, source);
        let mut file = files::open_to_append(&path).map_err(cannot)?;
        let FileEnd {
            line,
            whole_bytes,
            length,
        } = files::end_of(&mut file).map_err(cannot)?;
        let Some(line) = line else {
            repairs.push(removal(&mut file, number, 0, length, now).map_err(cannot)?);
            return Ok((None, file));
        };
        let header = self.header(&mut file, number)?;
        let key = keys.find(&header.key_id).ok_or_else(|| {
            Error::configuration(format!(
                "the audit log '{}' was written with the key {}, which is not among those given",
                self.folder.display(),
                header.key_id
            ))
            .with_help("give the key that the log was begun with, or add it to previous_keys")
        })?;
        let tail = |sequence, mac: &str| Tail {
            number,
            length,
            day: day(header.time),
            key_id: header.key_id.clone(),
            first_file: header.first_file,
            sequence,
            mac: mac.to_owned(),
        };
        if let Some((sequence, mac)) = authentic(&line, key) {
            if whole_bytes < length {
                repairs.push(removal(&mut file, number, whole_bytes, length, now).map_err(cannot)?);
            }
            return Ok((Some(tail(sequence, &mac)), file));
        }
        // Pages may have reached the disk in any order when the power failed. What follows the last good line was
        // never acknowledged, or the head says otherwise.
        let (kept_bytes, last) = last_good_line(&mut file, key).map_err(cannot)?;
        repairs.push(removal(&mut file, number, kept_bytes, length, now).map_err(cannot)?);
        Ok((last.map(|(sequence, mac)| tail(sequence, &mac)), file))
    }

    /// Reads the header of a file.
    fn header(&self, file: &mut File, number: u32) -> Result<Header> {
        let path = files::path(&self.folder, number);
        let mut first = Vec::new();
        file.seek(SeekFrom::Start(0))
            .and_then(|_start| {
                let limit = files::LINE_BYTES_MAX as u64;
                std::io::BufRead::read_until(
                    &mut std::io::BufReader::new(Read::take(&mut *file, limit)),
                    b'\n',
                    &mut first,
                )
            })
            .map_err(|source| failed("cannot read the audit log", &path, source))?;
        let entry = first.strip_suffix(b"\n").and_then(line::read);
        match entry.map(|entry| entry.record) {
            Some(Record::Header(header)) if header.format > FORMAT => Err(Error::configuration(format!(
                "the audit log '{}' has the format {}; this program knows formats up to {FORMAT}",
                path.display(),
                header.format
            ))
            .with_help("use the newer version of this program that wrote it")),
            Some(Record::Header(header)) if header.log != self.config.log => {
                Err(Error::configuration(format!(
                    "the audit log in '{}' is called '{}', not '{}'",
                    self.folder.display(),
                    header.log,
                    self.config.log
                )))
            }
            Some(Record::Header(header)) if header.file == number => Ok(header),
            Some(Record::Header(_) | Record::Event(_) | Record::Repair(_)) | None => Err(self.damaged(
                format!("the file '{}' has no header of its own", files::name(number)),
            )),
        }
    }

    fn damaged(&self, what: String) -> Error {
        Error::new(
            ErrorKind::Corruption,
            format!("the audit log '{}' was tampered with or damaged: {what}", self.folder.display()),
        )
        .with_help("see `boards-storage audit verify`; put the log's files back, or move the log away and begin another under a new name")
    }

    /// Removes what a process that died left behind; of a file without a header nothing stays.
    fn cut(&self, repair: &Repair) -> Result<()> {
        let path = files::path(&self.folder, repair.file);
        tracing::warn!(
            target: "boards_storage::audit",
            file = %path.display(),
            offset = repair.offset,
            removed_bytes = repair.removed_bytes,
            "the end of the audit log was never acknowledged and is removed: a process died while it wrote"
        );
        let cut = if repair.offset == 0 {
            std::fs::remove_file(&path).and_then(|()| files::sync_folder(&self.folder))
        } else {
            files::open_to_append(&path).and_then(|file| {
                file.set_len(repair.offset)?;
                file.sync_all()
            })
        };
        cut.map_err(|source| failed("cannot repair the audit log", &path, source))
    }

    /// Writes behind the end, in a new file where one is due.
    fn write(
        &mut self,
        events: &[AuditEvent],
        end: Option<(Tail, File)>,
        now: Timestamp,
    ) -> Result<AuditHead> {
        let keys = self.keys(false)?;
        let key = keys.present();
        let (number, first_file, file) = match &end {
            Some((tail, file)) if !self.is_full(tail, key, now) => (tail.number, tail.first_file, Some(file)),
            Some((tail, _file)) => (tail.number + 1, self.first_kept(tail), None),
            None => (1, 1, None),
        };
        let mut batch = Batch::after(end.as_ref().map(|(tail, _file)| tail), key);
        if file.is_none() {
            batch.add(Record::Header(Header {
                format: FORMAT,
                log: self.config.log.clone(),
                file: number,
                first_file,
                key_id: key.id().to_owned(),
                time: now,
            }))?;
        }
        for repair in &self.repairs {
            batch.add(Record::Repair(repair.clone()))?;
        }
        for event in events {
            batch.add(Record::Event(Box::new(event.clone())))?;
        }
        let Batch { head, lines, .. } = batch;
        let is_new = file.is_none();
        let file = match end {
            Some((tail, file)) if !is_new => {
                self.add_to(&file, &tail, &lines)?;
                file
            }
            Some(_) | None => self.begin_file(number, &lines)?,
        };
        self.repairs.clear();
        let length = length_of(&file, &self.folder)?;
        self.known = Some((
            Tail {
                number,
                length,
                // Of another day it would be full, and the file another.
                day: day(now),
                key_id: key.id().to_owned(),
                first_file,
                sequence: head.sequence,
                mac: head.mac.clone(),
            },
            file,
        ));
        if is_new {
            self.remove_before(first_file);
        }
        Ok(head)
    }

    fn is_full(&self, tail: &Tail, key: &AuditKey, now: Timestamp) -> bool {
        tail.length >= self.config.size_bytes_max || tail.day != day(now) || tail.key_id != key.id()
    }

    /// The first file that the settings keep when another is begun.
    fn first_kept(&self, tail: &Tail) -> u32 {
        match self.config.files_max {
            Some(files_max) => tail
                .first_file
                .max((tail.number + 2).saturating_sub(files_max.max(1))),
            None => tail.first_file,
        }
    }

    fn add_to(&self, mut file: &File, tail: &Tail, lines: &[u8]) -> Result<()> {
        let path = files::path(&self.folder, tail.number);
        let written = file.write_all(lines).and_then(|()| file.sync_data());
        written.map_err(|source| {
            // Half of it would be in the way. If this fails too, the next one to write repairs it.
            let _ = file.set_len(tail.length).and_then(|()| file.sync_all());
            failed("cannot write the audit log", &path, source)
        })
    }

    fn begin_file(&self, number: u32, lines: &[u8]) -> Result<File> {
        let path = files::path(&self.folder, number);
        let cannot = |source| failed("cannot write the audit log", &path, source);
        let mut file = files::create(&path).map_err(cannot)?;
        let written = file
            .write_all(lines)
            .and_then(|()| file.sync_all())
            .and_then(|()| files::sync_folder(&self.folder));
        written.map_err(|source| {
            // Half of a file would be in the way. If this fails too, the next one to write repairs it.
            let _ = std::fs::remove_file(&path);
            cannot(source)
        })?;
        Ok(file)
    }

    /// Removes files that the settings do not keep, which the header of the newest file says already.
    fn remove_before(&self, first_file: u32) {
        let numbers = files::numbers(&self.folder).unwrap_or_default();
        for number in numbers.into_iter().filter(|number| *number < first_file) {
            let path = files::path(&self.folder, number);
            if let Err(error) = std::fs::remove_file(&path) {
                tracing::warn!(
                    target: "boards_storage::audit",
                    %error,
                    file = %path.display(),
                    "an old file of the audit log could not be removed"
                );
            }
        }
    }
}

/// Lines on their way into a file.
struct Batch<'k> {
    key: &'k AuditKey,
    head: AuditHead,
    lines: Vec<u8>,
}

impl<'k> Batch<'k> {
    fn after(tail: Option<&Tail>, key: &'k AuditKey) -> Self {
        Self {
            key,
            head: AuditHead {
                sequence: tail.map_or(0, |tail| tail.sequence),
                mac: tail.map_or_else(|| ZERO.to_owned(), |tail| tail.mac.clone()),
            },
            lines: Vec::new(),
        }
    }

    fn add(&mut self, record: Record) -> Result<()> {
        let entry = Entry {
            sequence: self.head.sequence + 1,
            previous: std::mem::take(&mut self.head.mac),
            record,
        };
        self.head.mac = line::write(&entry, self.key, &mut self.lines)?;
        self.head.sequence = entry.sequence;
        Ok(())
    }
}

fn length_of(file: &File, folder: &Path) -> Result<u64> {
    let metadata = file
        .metadata()
        .map_err(|source| failed("cannot look at the audit log", folder, source))?;
    Ok(metadata.len())
}

fn day(time: Timestamp) -> Date {
    time.to_zoned_datetime(TimeZone::UTC).date()
}

/// Returns the number and the code of a line that the key vouches for.
fn authentic(line: &[u8], key: &AuditKey) -> Option<(u64, String)> {
    let parts = line::split(line).filter(|parts| parts.is_authentic(key))?;
    Some((line::read(line)?.sequence, parts.mac.to_owned()))
}

/// Finds the last line from the beginning on that the chain vouches for, and where it ends.
fn last_good_line(file: &mut File, key: &AuditKey) -> std::io::Result<(u64, Option<(u64, String)>)> {
    use std::io::BufRead as _;
    file.seek(SeekFrom::Start(0))?;
    let mut reader = std::io::BufReader::new(file);
    let (mut kept_bytes, mut last) = (0, None::<(u64, String)>);
    let mut text = Vec::new();
    loop {
        text.clear();
        let read = Read::take(&mut reader, files::LINE_BYTES_MAX as u64).read_until(b'\n', &mut text)?;
        let good = text.strip_suffix(b"\n").and_then(|line| {
            let (sequence, mac) = authentic(line, key)?;
            let follows = last.as_ref().is_none_or(|(before, _mac)| sequence == before + 1);
            follows.then_some((sequence, mac))
        });
        match good {
            Some(good) => {
                kept_bytes += read as u64;
                last = Some(good);
            }
            None => return Ok((kept_bytes, last)),
        }
    }
}

/// Describes bytes that are to be removed.
fn removal(file: &mut File, number: u32, offset: u64, end: u64, now: Timestamp) -> std::io::Result<Repair> {
    file.seek(SeekFrom::Start(offset))?;
    let mut hasher = Sha256::new();
    let mut rest = Read::take(&mut *file, end - offset);
    let mut block = vec![0; 64 << 10];
    loop {
        match rest.read(&mut block)? {
            0 => break,
            read => hasher.update(&block[..read]),
        }
    }
    Ok(Repair {
        time: now,
        file: number,
        offset,
        removed_bytes: end - offset,
        removed_sha256: hex(&hasher.finalize()),
    })
}

//! Copies and changes of attributes: a new generation of bytes that are in the store already.
//!
//! The copy shares blocks with its source where the file system can do that (a reflink), never the file itself.

use boards_storage_core::{
    CopyOptions, Error, ErrorKind, ObjectAttributes, ObjectMetadata, Precondition, Result, StorageKey,
};
use bytes::Bytes;
use rustix::fd::{AsFd, OwnedFd};
use rustix::io::{Errno, retry_on_intr};

use crate::buffers::BUFFER_BYTES;
use crate::error::{While, corruption, from_errno, too_busy};
use crate::hop::Cancellation;
use crate::read::{Snapshot, read_exactly};
use crate::sidecar::Record;
use crate::store::Store;
use crate::write::{Draft, Payload, is_ours};

/// How often a change of attributes begins anew because the object was overwritten meanwhile.
const ATTEMPTS_MAX: usize = 100;

/// How many bytes the kernel copies in one call, so that a cancelled call ends soon.
const KERNEL_COPY_BYTES: usize = 64 * 1024 * 1024;

impl Store {
    /// Copies an object.
    pub(crate) fn copy(
        &self,
        from: &StorageKey,
        to: &StorageKey,
        options: &CopyOptions,
        cancellation: &Cancellation,
    ) -> Result<ObjectMetadata> {
        let source = self.snapshot(from)?;
        if let Some(wanted) = &options.source_if_match
            && source.generation.etag() != *wanted
        {
            return Err(Error::new(
                ErrorKind::PreconditionFailed,
                format!(
                    "the source has the etag {:?}, wanted was {wanted:?}",
                    source.generation.etag()
                ),
            ));
        }
        let payload = self.duplicate(&source, cancellation)?;
        let record = Record {
            attributes: options.attributes.clone().unwrap_or(source.record.attributes),
            checksum: None,
            digest: source.record.digest,
            write_id: options.write_id,
        };
        self.commit(to, payload, record, &options.precondition, cancellation)
    }

    /// Replaces the attributes of an object.
    pub(crate) fn set_metadata(
        &self,
        key: &StorageKey,
        attributes: &ObjectAttributes,
        precondition: &Precondition,
        cancellation: &Cancellation,
    ) -> Result<ObjectMetadata> {
        for _ in 0..ATTEMPTS_MAX {
            let source = match self.snapshot(key) {
                Err(error) if error.kind() == ErrorKind::NotFound && *precondition != Precondition::None => {
                    return Err(Error::new(ErrorKind::PreconditionFailed, "there is no object"));
                }
                other => other?,
            };
            crate::write::check_precondition(precondition, crate::tree::Present::Object(source.generation))?;
            let payload = self.duplicate(&source, cancellation)?;
            let record = Record {
                attributes: attributes.clone(),
                ..source.record
            };
            // Whatever the caller asked for, these bytes must still be the present ones.
            let unchanged = Precondition::IfMatch(source.generation.etag());
            match self.commit(key, payload, record, &unchanged, cancellation) {
                Err(error) if error.kind() == ErrorKind::PreconditionFailed => {}
                other => return other,
            }
        }
        Err(too_busy())
    }

    /// Stages a copy of an open payload.
    fn duplicate(&self, source: &Snapshot, cancellation: &Cancellation) -> Result<Payload> {
        let known = source.record.checksum.clone().filter(is_ours);
        let size = source.generation.size_bytes;
        if self.has_checksums && known.is_none() {
            // The bytes were put there by hand: they get their checksum now.
            let mut draft = Draft::begin(self, true, None)?;
            copy_through_memory(self, &source.file, size, cancellation, |bytes| {
                draft.write(&[bytes])
            })?;
            return draft.finish();
        }
        let draft = Draft::begin(self, false, None)?;
        if !reflink(&source.file, &draft.staged.file)? {
            copy_in_kernel(&source.file, &draft.staged.file, size, cancellation)?;
        }
        let stat = rustix::fs::fstat(&draft.staged.file).during("the copy could not be looked at")?;
        if u64::try_from(stat.st_size) != Ok(size) {
            return Err(corruption(
                "the object changed its length while it was being copied: it was cut in place",
            ));
        }
        // The checksum goes along unverified: if the bytes are damaged, the copy must not look sound.
        let payload = draft.finish()?;
        Ok(Payload {
            size_bytes: size,
            checksum: known,
            ..payload
        })
    }
}

/// Shares the blocks, where the file system can.
#[cfg(target_os = "linux")]
fn reflink(source: &OwnedFd, target: &OwnedFd) -> Result<bool> {
    match rustix::fs::ioctl_ficlone(target, source) {
        Ok(()) => Ok(true),
        Err(errno @ (Errno::NOSPC | Errno::DQUOT | Errno::IO)) => {
            Err(from_errno("the object could not be copied", errno))
        }
        Err(_) => Ok(false),
    }
}

#[cfg(not(target_os = "linux"))]
fn reflink(_source: &OwnedFd, _target: &OwnedFd) -> Result<bool> {
    Ok(false)
}

/// Copies from the beginning of `source` to the position of `target`, without moving the bytes through us where the
/// kernel can.
#[cfg(target_os = "linux")]
pub(crate) fn copy_in_kernel(
    source: impl AsFd,
    target: impl AsFd,
    size: u64,
    cancellation: &Cancellation,
) -> Result<()> {
    let mut offset = 0;
    while offset < size {
        cancellation.check()?;
        let count = usize::try_from(size - offset)
            .unwrap_or(usize::MAX)
            .min(KERNEL_COPY_BYTES);
        let copied =
            retry_on_intr(|| rustix::fs::copy_file_range(&source, Some(&mut offset), &target, None, count));
        match copied {
            Ok(0) => return Err(corruption("the object became shorter while it was being copied")),
            // The kernel has moved `offset` on.
            Ok(_) => {}
            Err(Errno::XDEV | Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP | Errno::PERM)
                if offset == 0 =>
            {
                return copy_by_reading(source, target, size, cancellation);
            }
            Err(errno) => return Err(from_errno("the object could not be copied", errno)),
        }
    }
    Ok(())
}

#[cfg(not(target_os = "linux"))]
pub(crate) use copy_by_reading as copy_in_kernel;

pub(crate) fn copy_by_reading(
    source: impl AsFd,
    target: impl AsFd,
    size: u64,
    cancellation: &Cancellation,
) -> Result<()> {
    let mut memory = vec![0; BUFFER_BYTES];
    let mut offset = 0;
    while offset < size {
        cancellation.check()?;
        let wanted = usize::try_from(size - offset)
            .unwrap_or(usize::MAX)
            .min(BUFFER_BYTES);
        let count = retry_on_intr(|| rustix::io::pread(&source, &mut memory[..wanted], offset))
            .during("the object could not be read")?;
        if count == 0 {
            return Err(corruption("the object became shorter while it was being copied"));
        }
        let mut left = &memory[..count];
        while !left.is_empty() {
            let written =
                retry_on_intr(|| rustix::io::write(&target, left)).during("the copy could not be written")?;
            left = &left[written..];
        }
        offset += count as u64;
    }
    Ok(())
}

/// Hands the bytes of an open file to `each`, piece by piece.
pub(crate) fn copy_through_memory(
    store: &Store,
    source: &OwnedFd,
    size: u64,
    cancellation: &Cancellation,
    mut each: impl FnMut(Bytes) -> Result<()>,
) -> Result<()> {
    let mut offset = 0;
    while offset < size {
        cancellation.check()?;
        let end = size.min(offset + BUFFER_BYTES as u64);
        each(read_exactly(&store.buffers, source, offset..end, None)?)?;
        offset = end;
    }
    Ok(())
}

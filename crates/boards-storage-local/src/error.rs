//! What the operating system answers, as [`Error`]s.

use boards_storage_core::{Error, ErrorKind, Retry};
use rustix::io::Errno;

/// Makes an error of the store out of one of the operating system.
///
/// `action` says what failed, as in `the payload could not be written`.
pub(crate) fn from_errno(action: impl Into<std::borrow::Cow<'static, str>>, errno: Errno) -> Error {
    let (kind, help) = match errno {
        Errno::NOENT => (ErrorKind::NotFound, None),
        Errno::NOSPC | Errno::DQUOT | Errno::FBIG => (
            ErrorKind::InsufficientStorage,
            Some("make room on the disk or raise the quota"),
        ),
        Errno::ACCESS | Errno::PERM => (
            ErrorKind::AccessDenied,
            Some("give the program's user access to the base path"),
        ),
        Errno::ROFS => (
            ErrorKind::AccessDenied,
            Some("mount the file system of the base path writable"),
        ),
        Errno::LOOP => (
            ErrorKind::Storage,
            Some(
                "replace the symbolic link by what it points to; links are never followed below the base path",
            ),
        ),
        Errno::XDEV => (
            ErrorKind::Storage,
            Some("keep the whole base path on one file system; a rename cannot cross to another"),
        ),
        Errno::NAMETOOLONG => (ErrorKind::InvalidInput, Some("use shorter key segments")),
        Errno::MFILE | Errno::NFILE => (
            ErrorKind::ProviderUnavailable,
            Some("raise the limit of open files (ulimit -n)"),
        ),
        Errno::NOMEM | Errno::AGAIN | Errno::STALE | Errno::BUSY => (ErrorKind::ProviderUnavailable, None),
        _ => (ErrorKind::Storage, None),
    };
    let error = Error::new(kind, action).with_source(std::io::Error::from(errno));
    match help {
        Some(help) => error.with_help(help),
        None => error,
    }
}

/// Says in passing what was being done when the operating system refused.
pub(crate) trait While<T> {
    /// Turns the failure into an error that says `action`.
    fn during(self, action: &'static str) -> Result<T, Error>;
}

impl<T> While<T> for Result<T, Errno> {
    fn during(self, action: &'static str) -> Result<T, Error> {
        self.map_err(|errno| from_errno(action, errno))
    }
}

/// There is no object at the key.
pub(crate) fn not_found() -> Error {
    Error::not_found("there is no object")
}

/// There is something at the key that is no object.
pub(crate) fn not_regular(what: &'static str) -> Error {
    Error::new(
        ErrorKind::Storage,
        format!("there is {what} at the key, which is no object"),
    )
    .with_help("remove it from the base path; only regular files are objects")
}

/// The bytes are not the ones that were written.
pub(crate) fn corruption(problem: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    Error::new(ErrorKind::Corruption, problem).with_help("restore the object from a replica or a backup")
}

/// Others changed the same thing so often that the operation never came to its turn.
pub(crate) fn too_busy() -> Error {
    Error::new(ErrorKind::Storage, "the key or its folder kept changing").with_retry(Retry::Yes)
}

/// The bytes did what they should, but whether they survive a crash is unknown.
pub(crate) fn unknown_outcome(source: Errno) -> Error {
    Error::new(
        ErrorKind::OutcomeUnknown,
        "the change was made, but syncing its folders failed",
    )
    .with_source(std::io::Error::from(source))
    .with_help("look at the disk's health; the change may be lost in a power failure")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_insufficient_storage() {
        for errno in [Errno::NOSPC, Errno::DQUOT, Errno::FBIG] {
            assert_eq!(from_errno("x", errno).kind(), ErrorKind::InsufficientStorage);
        }
        assert_eq!(from_errno("x", Errno::IO).kind(), ErrorKind::Storage);
        assert_eq!(from_errno("x", Errno::MFILE).retry(), Retry::Yes);
    }
}

//! Byte ranges of an object.

use std::fmt;
use std::ops::{Range, RangeFrom};

use crate::error::{Error, Result};

/// A part of an object's bytes, as in an HTTP `Range` header with one range.
///
/// # Examples
///
/// ```
/// use boards_storage_core::ByteRange;
///
/// assert_eq!(ByteRange::from(2..5).resolve(10)?, 2..5);
/// assert_eq!(ByteRange::from(8..50).resolve(10)?, 8..10);
/// assert_eq!(ByteRange::suffix(3).resolve(10)?, 7..10);
/// assert!(ByteRange::from(10..).resolve(10).is_err());
/// # Ok::<(), boards_storage_core::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ByteRange {
    /// From `start` up to but not including `end`; an end beyond the object is cut to its size.
    Bounded {
        /// The first byte.
        start: u64,
        /// The byte after the last.
        end: u64,
    },
    /// From this byte to the end.
    From(u64),
    /// The last bytes; more than there are means all.
    Suffix(u64),
}

impl ByteRange {
    /// Returns the range of the last `count` bytes.
    #[must_use]
    pub fn suffix(count: u64) -> Self {
        Self::Suffix(count)
    }

    /// Returns the bytes that the range means in an object of `size` bytes; never empty.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if the range is empty or begins at or after the object's end (HTTP's 416). So every range
    /// of an empty object is refused.
    pub fn resolve(self, size: u64) -> Result<Range<u64>> {
        self.validate()?;
        let range = match self {
            Self::Bounded { start, end } => start..end.min(size),
            Self::From(start) => start..size,
            Self::Suffix(count) => size.saturating_sub(count)..size,
        };
        if range.start >= range.end {
            return Err(Error::invalid_input(format!(
                "the range {self} lies beyond the end of the object, which has {size} bytes"
            ))
            .with_status(416));
        }
        Ok(range)
    }

    /// Checks what can be checked without knowing the object.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if the range is empty for every object.
    pub fn validate(self) -> Result<()> {
        match self {
            Self::Bounded { start, end } if start >= end => Err(Error::invalid_input(format!(
                "the range {self} is empty: its end must be above its start"
            ))),
            Self::Suffix(0) => Err(Error::invalid_input("a suffix range of 0 bytes is empty")),
            Self::Bounded { .. } | Self::From(_) | Self::Suffix(_) => Ok(()),
        }
    }

    /// Parses `START-END` (both inclusive, as in HTTP), `START-` or `-COUNT`.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if the text has another form or the range is empty.
    pub fn parse(text: &str) -> Result<Self> {
        let wrong = || {
            Error::invalid_input(format!("'{text}' is not a byte range"))
                .with_help("give START-END (both inclusive), START- or -COUNT, such as 0-1023")
        };
        let number = |digits: &str| {
            // `parse` alone would also take a sign.
            if digits.bytes().all(|byte| byte.is_ascii_digit()) {
                digits.parse::<u64>().ok()
            } else {
                None
            }
        };
        let (start, end) = text
            .strip_prefix("bytes=")
            .unwrap_or(text)
            .split_once('-')
            .ok_or_else(wrong)?;
        let range = match (start, end) {
            ("", count) => Self::Suffix(number(count).ok_or_else(wrong)?),
            (start, "") => Self::From(number(start).ok_or_else(wrong)?),
            (start, end) => Self::Bounded {
                start: number(start).ok_or_else(wrong)?,
                end: number(end).ok_or_else(wrong)?.checked_add(1).ok_or_else(wrong)?,
            },
        };
        range.validate()?;
        Ok(range)
    }
}

impl From<Range<u64>> for ByteRange {
    fn from(range: Range<u64>) -> Self {
        Self::Bounded {
            start: range.start,
            end: range.end,
        }
    }
}

impl From<RangeFrom<u64>> for ByteRange {
    fn from(range: RangeFrom<u64>) -> Self {
        Self::From(range.start)
    }
}

impl fmt::Display for ByteRange {
    /// Writes the range as HTTP does: both ends inclusive.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bounded { start, end } => write!(f, "bytes={start}-{}", end.saturating_sub(1)),
            Self::From(start) => write!(f, "bytes={start}-"),
            Self::Suffix(count) => write!(f, "bytes=-{count}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(range: ByteRange, size: u64, expected: Option<Range<u64>>) {
        assert_eq!(range.resolve(size).ok(), expected, "{range} of {size}");
    }

    #[test]
    fn ranges_resolve_at_their_edges() {
        check(ByteRange::from(0..1), 1, Some(0..1));
        check(ByteRange::from(0..u64::MAX), 5, Some(0..5));
        check(ByteRange::from(4..5), 5, Some(4..5));
        check(ByteRange::from(5..6), 5, None);
        check(ByteRange::Bounded { start: 3, end: 3 }, 5, None);
        check(ByteRange::from(0..), 5, Some(0..5));
        check(ByteRange::from(5..), 5, None);
        check(ByteRange::suffix(5), 5, Some(0..5));
        check(ByteRange::suffix(6), 5, Some(0..5));
        check(ByteRange::suffix(1), 0, None);
        check(ByteRange::suffix(0), 5, None);
        check(ByteRange::from(0..), 0, None);
    }

    #[test]
    fn text_is_parsed_or_refused() {
        let parse = |text| ByteRange::parse(text).ok();
        assert_eq!(parse("0-0"), Some(ByteRange::from(0..1)));
        assert_eq!(parse("bytes=2-4"), Some(ByteRange::from(2..5)));
        assert_eq!(parse("7-"), Some(ByteRange::from(7..)));
        assert_eq!(parse("-7"), Some(ByteRange::suffix(7)));
        for bad in [
            "",
            "-",
            "5",
            "4-2",
            "a-b",
            "+1-2",
            "0-18446744073709551615",
            "0-1,3-4",
            "-0",
            " 1-2",
        ] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }
}

//! Cutting content into parts: which size each gets, and gathering the bytes of one.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;

use crate::capabilities::PartRules;
use crate::content::ByteStream;
use crate::error::{Error, Result};

pub(super) fn as_usize(value: u64) -> usize {
    usize::try_from(value).unwrap_or(usize::MAX)
}

/// Which size each part gets.
#[derive(Clone, Copy, Debug)]
pub(super) struct PartSizes {
    rules: PartRules,
    base: u64,
    grows: bool,
}

impl PartSizes {
    /// After so many parts of one size, a growing size doubles.
    const STEP: u32 = 1000;

    pub(super) fn new(rules: PartRules, wanted: u64, length: Option<u64>) -> Result<Self> {
        let needed = length.map_or(0, |length| {
            let filled = length.saturating_add(rules.first_less_bytes);
            filled.div_ceil(u64::from(rules.count_max.max(1)))
        });
        let size = wanted.max(needed).max(rules.size_bytes_min).max(1);
        let multiple = rules.multiple_of_bytes.max(1);
        let size = size.div_ceil(multiple).saturating_mul(multiple);
        let largest = (rules.size_bytes_max / multiple * multiple).max(1);
        if needed > largest {
            return Err(Error::new(
                crate::ErrorKind::Rejected,
                format!(
                    "the object is too large: {} parts of at most {largest} bytes are allowed",
                    rules.count_max
                ),
            ));
        }
        Ok(Self {
            rules,
            base: size.min(largest),
            grows: length.is_none() && !rules.equal_size,
        })
    }

    pub(super) fn next(&mut self, number: u32) -> Result<usize> {
        if number > self.rules.count_max {
            return Err(Error::new(
                crate::ErrorKind::Rejected,
                format!(
                    "the stream is too long for {} parts of {} bytes",
                    self.rules.count_max, self.base
                ),
            )
            .with_help("declare the length, so that larger parts are used"));
        }
        let doublings = if self.grows { (number - 1) / Self::STEP } else { 0 };
        let multiple = self.rules.multiple_of_bytes.max(1);
        let largest = self.rules.size_bytes_max / multiple * multiple;
        let size = self.base.saturating_mul(1 << doublings.min(32)).min(largest);
        let less = if number == 1 {
            self.rules.first_less_bytes
        } else {
            0
        };
        Ok(as_usize(size.saturating_sub(less).max(1)))
    }
}

/// Cuts a stream into buffers of the sizes asked for.
pub(super) struct Gatherer {
    stream: ByteStream,
    waiting: VecDeque<Bytes>,
    waiting_bytes: usize,
    ended: bool,
}

impl Gatherer {
    pub(super) fn new(stream: ByteStream) -> Self {
        Self {
            stream,
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            ended: false,
        }
    }

    /// Looks for another byte.
    pub(super) async fn has_more(&mut self) -> Result<bool> {
        self.has(1).await
    }

    /// Says whether at least `size` more bytes are there, and holds so many in memory to know it.
    pub(super) async fn has(&mut self, size: usize) -> Result<bool> {
        while self.waiting_bytes < size {
            let Some(piece) = self.read().await? else {
                return Ok(false);
            };
            self.waiting_bytes += piece.len();
            self.waiting.push_back(piece);
        }
        Ok(true)
    }

    async fn read(&mut self) -> Result<Option<Bytes>> {
        if self.ended {
            return Ok(None);
        }
        let piece = self.stream.next().await.transpose()?;
        self.ended = piece.is_none();
        Ok(piece)
    }

    /// Returns the next `size` bytes, fewer only at the end. A part that is one piece is not copied; of any other each
    /// piece is let go as it is copied, so that no part is held twice.
    pub(super) async fn take(&mut self, size: usize) -> Result<Bytes> {
        self.has_more().await?;
        if let Some(first) = self.waiting.front_mut()
            && first.len() >= size
        {
            self.waiting_bytes -= size;
            return Ok(first.split_to(size));
        }
        if self.ended && self.waiting.len() == 1 {
            self.waiting_bytes = 0;
            return Ok(self.waiting.pop_front().unwrap_or_default());
        }
        let mut gathered = BytesMut::new();
        while gathered.len() < size && self.has_more().await? {
            let Some(mut piece) = self.waiting.pop_front() else {
                break;
            };
            self.waiting_bytes -= piece.len();
            if gathered.is_empty() && !piece.is_empty() {
                let rest = if self.ended {
                    piece.len() + self.waiting_bytes
                } else {
                    size
                };
                gathered.reserve(rest.min(size));
            }
            let wanted = piece.len().min(size - gathered.len());
            gathered.extend_from_slice(&piece.split_to(wanted));
            if !piece.is_empty() {
                self.waiting_bytes += piece.len();
                self.waiting.push_front(piece);
            }
        }
        Ok(gathered.freeze())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_sizes(rules: PartRules, wanted: u64, length: Option<u64>, expected: &[(u32, usize)]) {
        let mut sizes = PartSizes::new(rules, wanted, length).expect("possible");
        for (number, size) in expected {
            assert_eq!(sizes.next(*number).expect("allowed"), *size, "part {number}");
        }
    }

    #[test]
    fn part_sizes_follow_the_rules() {
        let mib = 1 << 20;
        check_sizes(
            PartRules::any(),
            mib,
            Some(10 * mib),
            &[(1, 1 << 20), (10, 1 << 20)],
        );
        // 100,000 MiB need parts of 10 MiB where 10,000 are allowed.
        check_sizes(PartRules::any(), mib, Some(100_000 * mib), &[(1, 10 << 20)]);
        check_sizes(
            PartRules::any(),
            mib,
            None,
            &[(1000, 1 << 20), (1001, 2 << 20), (3001, 8 << 20)],
        );
        let equal = PartRules {
            equal_size: true,
            ..PartRules::any()
        };
        check_sizes(equal, mib, None, &[(1, 1 << 20), (9999, 1 << 20)]);
        let multiples = PartRules {
            multiple_of_bytes: 256 << 10,
            size_bytes_min: 5 << 20,
            ..PartRules::any()
        };
        check_sizes(multiples, mib + 1, None, &[(1, 5 << 20)]);
        check_sizes(multiples, (6 << 20) + 1, None, &[(1, (6 << 20) + (256 << 10))]);
    }

    #[test]
    fn a_first_part_is_smaller_where_the_rules_say_so() {
        let rules = PartRules {
            multiple_of_bytes: 100,
            first_less_bytes: 7,
            count_max: 3,
            ..PartRules::any()
        };
        check_sizes(rules, 150, None, &[(1, 193), (2, 200), (3, 200)]);
        check_sizes(rules, 1, Some(293), &[(1, 93), (2, 100), (3, 100)]);
        check_sizes(rules, 1, Some(294), &[(1, 193), (2, 200), (3, 200)]);
    }

    #[test]
    fn more_parts_than_allowed_are_refused() {
        let few = PartRules {
            count_max: 2,
            size_bytes_max: 10,
            ..PartRules::any()
        };
        assert!(PartSizes::new(few, 10, Some(21)).is_err());
        let mut sizes = PartSizes::new(few, 10, Some(20)).expect("possible");
        assert!(sizes.next(2).is_ok() && sizes.next(3).is_err());
    }

    #[tokio::test]
    async fn a_gatherer_cuts_at_any_size() {
        let pieces = ["ab", "", "cdefg", "h"].map(|piece| Ok(Bytes::from_static(piece.as_bytes())));
        let mut gatherer = Gatherer::new(Box::pin(futures_util::stream::iter(pieces)));
        for expected in ["abc", "d", "ef", "gh", ""] {
            assert_eq!(
                gatherer
                    .take(if expected.len() == 1 {
                        1
                    } else {
                        expected.len().max(2)
                    })
                    .await
                    .expect("read"),
                expected
            );
        }
        assert!(!gatherer.has_more().await.expect("read"));
    }
}

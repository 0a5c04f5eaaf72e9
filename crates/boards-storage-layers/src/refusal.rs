//! Calls that a layer of ours refused: the mark by which the other layers tell them from what a store answers.

use std::error::Error as StdError;
use std::fmt;

use boards_storage_core::Error;

/// Why a layer of this crate refused a call. Nothing was sent.
///
/// It is the [source](StdError::source) of the refusal's error, so that a `RateLimited` or `ProviderUnavailable` of our
/// own is told from a store's: the breaker does not count it, and the retry layer spends no token on it.
///
/// # Examples
///
/// ```
/// use boards_storage_core::{Error, ErrorKind};
/// use boards_storage_layers::Refusal;
///
/// let own = Error::new(ErrorKind::RateLimited, "the queue is full").with_source(Refusal::QueueFull);
/// assert_eq!(Refusal::of(&own), Some(Refusal::QueueFull));
/// assert_eq!(Refusal::of(&Error::new(ErrorKind::RateLimited, "slow down")), None);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The circuit breaker is open, or half-open with all its calls under way.
    CircuitOpen,
    /// As many calls wait for their turn as may.
    QueueFull,
    /// The call's turn did not come in time.
    QueueTimeout,
}

impl Refusal {
    /// Returns why a layer of ours refused the call; `None` if the error is another.
    #[must_use]
    pub fn of(error: &Error) -> Option<Self> {
        error.source()?.downcast_ref().copied()
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::CircuitOpen => "refused by the circuit breaker; nothing was sent",
            Self::QueueFull | Self::QueueTimeout => "refused by the limits; nothing was sent",
        })
    }
}

impl StdError for Refusal {}

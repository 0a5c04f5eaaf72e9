//! What can be done to an exchange, and to which.

use std::time::Duration;

use bytes::Bytes;

/// What is done to one exchange. Bytes of a body are counted without the framing of chunks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Waits so long before anything is passed on; then all is well.
    Delay(Duration),
    /// Answers without asking the server, once the request's body has been read. One that waits for
    /// `100 Continue` is not asked for its body.
    Answer(Answer),
    /// Resets both connections once so many bytes of the request's body were passed on. A shorter body goes through.
    ResetRequest {
        /// The bytes that the server gets.
        after_bytes: u64,
    },
    /// Resets both connections once so many bytes of the answer's body were passed on: the client gets that many at
    /// most. A shorter body goes through.
    ResetResponse {
        /// The bytes that are passed on.
        after_bytes: u64,
    },
    /// Closes in good order once so many bytes of the answer's body were passed on. A shorter body goes through.
    TruncateResponse {
        /// The bytes that the client gets.
        after_bytes: u64,
    },
    /// Passes so many bytes of the answer's body on and then nothing: for a time, or until the client goes away. A
    /// shorter body goes through.
    StallResponse {
        /// The bytes that the client gets before.
        after_bytes: u64,
        /// How long nothing comes; without it, for ever.
        stall: Option<Duration>,
    },
    /// Passes the whole request on, waits for the whole answer, and resets the client's connection without a byte of
    /// it. The request reaches the server even if the client goes away after sending it.
    LoseAnswer,
}

impl From<Answer> for Fault {
    fn from(answer: Answer) -> Self {
        Self::Answer(answer)
    }
}

/// An answer that the server never gave.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The headers; `content-length` and `connection` are added.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Bytes,
}

impl Answer {
    /// Creates an answer without headers and body.
    #[must_use]
    pub fn new(status: u16) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: Bytes::new(),
        }
    }

    /// Adds a header.
    #[must_use]
    pub fn with_header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Sets the body.
    #[must_use]
    pub fn with_body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self
    }
}

/// Which requests meet a fault: by default the next one, whatever it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    fault: Fault,
    method: Option<String>,
    target_part: Option<String>,
    /// How many fitting requests go through first.
    skipped: usize,
    /// How many meet the fault; without a number, all.
    times: Option<usize>,
}

impl Rule {
    /// Creates a rule for the next request.
    #[must_use]
    pub fn new(fault: impl Into<Fault>) -> Self {
        Self {
            fault: fault.into(),
            method: None,
            target_part: None,
            skipped: 0,
            times: Some(1),
        }
    }

    /// Fits requests of this method only.
    #[must_use]
    pub fn with_method(mut self, method: impl Into<String>) -> Self {
        self.method = Some(method.into());
        self
    }

    /// Fits requests whose target, path and query as they are sent, contains this text.
    #[must_use]
    pub fn with_target_part(mut self, part: impl Into<String>) -> Self {
        self.target_part = Some(part.into());
        self
    }

    /// Lets so many fitting requests go through first.
    #[must_use]
    pub fn with_skipped(mut self, count: usize) -> Self {
        self.skipped = count;
        self
    }

    /// Sets how many fitting requests meet the fault.
    #[must_use]
    pub fn with_times(mut self, count: usize) -> Self {
        self.times = Some(count);
        self
    }

    /// Lets every fitting request meet the fault.
    #[must_use]
    pub fn always(mut self) -> Self {
        self.times = None;
        self
    }

    pub(super) fn is_spent(&self) -> bool {
        self.times == Some(0)
    }

    pub(super) fn fits(&self, method: &str, target: &str) -> bool {
        !self.is_spent()
            && self.method.as_ref().is_none_or(|own| own == method)
            && self
                .target_part
                .as_ref()
                .is_none_or(|part| target.contains(part.as_str()))
    }

    /// Counts a fitting request, and returns its fault.
    pub(super) fn take(&mut self) -> Option<Fault> {
        if self.skipped > 0 {
            self.skipped -= 1;
            return None;
        }
        if let Some(times) = &mut self.times {
            *times = times.checked_sub(1)?;
        }
        Some(self.fault.clone())
    }
}

impl<F: Into<Fault>> From<F> for Rule {
    fn from(fault: F) -> Self {
        Self::new(fault)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Which of five equal requests meet the fault.
    #[track_caller]
    fn check_counts(mut rule: Rule, expected: [bool; 5]) {
        let met = expected.map(|_| rule.fits("GET", "/a") && rule.take().is_some());
        assert_eq!(met, expected, "{rule:?}");
    }

    #[test]
    fn a_rule_counts_the_requests_that_fit() {
        let rule = || Rule::new(Fault::LoseAnswer);
        check_counts(rule(), [true, false, false, false, false]);
        check_counts(rule().with_times(0), [false; 5]);
        check_counts(rule().with_times(2), [true, true, false, false, false]);
        check_counts(
            rule().with_skipped(1).with_times(2),
            [false, true, true, false, false],
        );
        check_counts(rule().with_skipped(2).always(), [false, false, true, true, true]);
    }

    #[track_caller]
    fn check_fits(method: Option<&str>, part: Option<&str>, expected: bool) {
        let mut rule = Rule::new(Fault::LoseAnswer);
        rule.method = method.map(str::to_owned);
        rule.target_part = part.map(str::to_owned);
        assert_eq!(rule.fits("PUT", "/media/a?partNumber=2"), expected, "{rule:?}");
    }

    #[test]
    fn a_rule_fits_by_method_and_by_a_part_of_the_target() {
        check_fits(None, None, true);
        check_fits(Some("PUT"), Some("/media/"), true);
        check_fits(Some("put"), None, false);
        check_fits(Some("PUT"), Some("partNumber=2"), true);
        check_fits(Some("PUT"), Some("partNumber=3"), false);
    }
}

//! The budget of tokens that keeps retries from multiplying an outage.

use std::sync::atomic::{AtomicU32, Ordering};

use boards_storage_core::ErrorKind;

/// What another attempt costs, and what a throttled one does; the figures of the AWS SDKs' standard mode.
const COST: u32 = 14;
const COST_THROTTLED: u32 = 5;

/// Tokens shared by all calls of one provider.
#[derive(Debug)]
pub(super) struct Budget {
    tokens: AtomicU32,
    max: u32,
}

impl Budget {
    /// Creates a full budget.
    pub(super) fn new(max: u32) -> Self {
        Self {
            tokens: AtomicU32::new(max),
            max,
        }
    }

    /// Takes the tokens of one more attempt after an error of this kind; `false`, and nothing, if there are too few.
    pub(super) fn take(&self, kind: ErrorKind) -> bool {
        let cost = if kind == ErrorKind::RateLimited {
            COST_THROTTLED
        } else {
            COST
        };
        self.tokens
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |tokens| {
                tokens.checked_sub(cost)
            })
            .is_ok()
    }

    /// Gives one token back after a success. A full budget stays untouched, so that healthy calls share no write.
    pub(super) fn pay_back(&self) {
        if self.tokens.load(Ordering::Relaxed) < self.max {
            let _full = self
                .tokens
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |tokens| {
                    (tokens < self.max).then_some(tokens + 1)
                });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(max: u32, kind: ErrorKind, expected: usize) {
        let budget = Budget::new(max);
        let taken = (0..1000).take_while(|_| budget.take(kind)).count();
        assert_eq!(taken, expected, "{max} tokens, {kind}");
    }

    #[test]
    fn a_repeat_costs_14_and_a_throttled_one_5() {
        check(500, ErrorKind::ProviderUnavailable, 35);
        check(500, ErrorKind::RateLimited, 100);
        check(14, ErrorKind::Timeout, 1);
        check(13, ErrorKind::Timeout, 0);
        check(0, ErrorKind::RateLimited, 0);
    }

    #[test]
    fn a_success_pays_back_one_and_never_above_the_limit() {
        let budget = Budget::new(14);
        budget.pay_back();
        assert!(budget.take(ErrorKind::Timeout));
        assert!(!budget.take(ErrorKind::Timeout));
        (0..13).for_each(|_| budget.pay_back());
        assert!(!budget.take(ErrorKind::Timeout));
        budget.pay_back();
        assert!(budget.take(ErrorKind::Timeout));
    }
}

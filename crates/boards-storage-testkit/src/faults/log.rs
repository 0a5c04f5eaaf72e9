//! What was done to which call.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::time::Duration;

use boards_storage_core::{Operation, OperationKind, StorageKey};

/// So many of the last faults are remembered one by one; all are counted.
pub(super) const INJECTED_MAX: usize = 10_000;

/// A fault that happened to a call.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Injected {
    /// The number of the call, from 1 on.
    pub call: u64,
    /// When, by tokio's clock, since the faults were created.
    pub at: Duration,
    /// Which method.
    pub operation: OperationKind,
    /// The key, where there is one.
    pub key: Option<StorageKey>,
    /// The attempt that the context names.
    pub attempt: u32,
    /// The fault's name, or the step's where it was asked for.
    pub fault: &'static str,
}

impl fmt::Display for Injected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            call,
            at,
            operation,
            attempt,
            fault,
            ..
        } = self;
        write!(f, "{:>9.3}s call {call}: {operation}", at.as_secs_f64())?;
        if let Some(key) = &self.key {
            write!(f, " of '{key}'")?;
        }
        write!(f, ", attempt {attempt}: {fault}")
    }
}

/// How often what happened.
pub type FaultCounts = BTreeMap<(OperationKind, &'static str), u64>;

/// What happened so far.
#[derive(Debug, Default)]
pub(super) struct Log {
    pub(super) calls: u64,
    pub(super) spent_contents: u64,
    pub(super) injected: VecDeque<Injected>,
    pub(super) counts: FaultCounts,
}

impl Log {
    pub(super) fn note(&mut self, operation: &Operation, at: Duration, fault: &'static str) {
        *self.counts.entry((operation.kind(), fault)).or_default() += 1;
        if self.injected.len() == INJECTED_MAX {
            self.injected.pop_front();
        }
        self.injected.push_back(Injected {
            call: self.calls,
            at,
            operation: operation.kind(),
            key: operation.key().cloned(),
            attempt: operation.context().attempt,
            fault,
        });
    }
}

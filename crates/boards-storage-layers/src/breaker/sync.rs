//! The primitives of the circuit, in one place: its tests put others here, which try out every order of threads.

pub(super) use std::sync::atomic::{AtomicU64, Ordering};
pub(super) use std::sync::{Mutex, MutexGuard};

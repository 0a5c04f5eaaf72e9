//! The policy: what passes, what is refused and why.

mod accepted;
mod clamav;
mod hostile;
mod policy;
mod streams;
mod support;

//! The encryption layer: what it stores, what it fetches, and that nothing which was touched is ever given out.

mod bench;
mod keys;
mod metadata;
mod multipart;
mod range;
mod round_trip;
mod tamper;
mod tink;

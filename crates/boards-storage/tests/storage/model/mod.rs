//! Random programs against a simple model: whatever a store does, no acknowledged write is lost, no read is corrupt,
//! no success is without its effect, and no spent stream is sent again.
//!
//! A program is a few tasks that share a few keys, over the layers that an application gets, over faults, over
//! memory, in paused time. Its seed decides everything; a failure prints it. Then
//! `BOARDS_STORAGE_TEST_SEED=… cargo test -p boards-storage --test storage model::objects` runs that program alone.

mod artifact;
mod client;
mod linearize;
mod mutants;
mod object;
mod objects;
mod program;
mod seeds;

//! The program as its users meet it: each test runs it in a folder of its own, with a scrubbed environment.

#![expect(
    clippy::disallowed_methods,
    reason = "these tests are ordinary blocking programs: they prepare files and look at what the program left"
)]

mod support;

mod address;
mod audit;
mod batch;
mod deletion;
mod errors;
mod get;
mod health;
mod help;
mod keys;
mod listing;
mod process;
mod settings;
mod stats;
mod store;
mod validation;

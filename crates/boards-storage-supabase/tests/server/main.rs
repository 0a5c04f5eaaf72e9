//! What the conformance suite does not ask: the server's peculiarities, one by one.

mod access;
mod curl;
mod failures;
mod listing;
mod parts;
mod registration;
mod said;
mod support;

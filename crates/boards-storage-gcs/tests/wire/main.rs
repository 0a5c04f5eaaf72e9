//! What goes over the wire, and what scripted answers mean: for what no server at hand answers, or answers rightly.

mod answers;
mod conditions;
mod reading;
mod registration;
mod requests;
mod server;
mod sessions;
mod signing;

//! Calls that fail on demand, by a script, and by chance: what was asked for happens, and no more.

mod chance;
mod every_operation;
mod late;
mod script;

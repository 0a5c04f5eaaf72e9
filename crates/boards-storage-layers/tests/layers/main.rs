//! Each layer over a scripted memory store, in paused time: what it does, and that it is missed when it is gone.

mod recorder;
mod support;

mod audit;
mod context;
mod deadline;
mod delete_many;
mod metrics;
mod observability;
mod property;
mod resume;
mod retry;
mod settle;
mod timeout;
mod tracing;

//! Each layer over a scripted memory store, in paused time: what it does, and that it is missed when it is gone.

mod recorder;
mod support;

mod audit;
mod breaker;
mod breaker_model;
mod context;
mod deadline;
mod delete_many;
mod hedge;
mod limits;
mod metrics;
mod observability;
mod property;
mod refused;
mod resume;
mod retry;
mod settle;
mod threads;
mod timeout;
mod tracing;

//! What differs between stores: how they are opened, and how an operation looks on the wire.

use std::time::Duration;

use boards_storage::BoxFuture;
use boards_storage_testkit::SupabaseDouble;
use boards_storage_testkit::proxy::ProxiedRequest;
use serde_json::Value;

use crate::Config;
use crate::case::{Case, Does};

/// A kind of store, as a row of the tests.
#[derive(Clone, Copy)]
pub(crate) struct Store {
    pub(crate) name: &'static str,
    /// The provider's type in the settings.
    pub(crate) kind: &'static str,
    /// The server that it needs and the name in its variables; none if a double is started.
    pub(crate) server: Option<(&'static str, &'static str)>,
    /// The field of the settings with the server's address.
    pub(crate) address: &'static str,
    pub(crate) open: fn(Config) -> BoxFuture<'static, Opened>,
    /// The size of a part in bytes.
    pub(crate) part_bytes: usize,
    /// How an operation looks on the wire.
    pub(crate) at: fn(Does, At) -> OnWire,
    pub(crate) cases: fn() -> Vec<Case>,
    /// Whether a request that goes on with a download names the state that it is of, if it does.
    pub(crate) pinned: Option<fn(&ProxiedRequest) -> bool>,
    /// The setting by which the bare provider bounds a download that pauses, if it does.
    pub(crate) pause: Option<fn(&mut Config, Duration)>,
    /// How many uploads in parts were begun at the store and are neither completed nor aborted.
    pub(crate) unfinished: fn(Unfinished) -> BoxFuture<'static, usize>,
    /// The beginnings of the names of tests that the server at hand answers wrongly, and what it answers.
    pub(crate) left_out: &'static [(&'static str, &'static str)],
}

/// A store that runs.
pub(crate) struct Opened {
    /// The provider's settings for the store itself, without the proxy.
    pub(crate) config: Config,
    pub(crate) double: Option<SupabaseDouble>,
}

/// What is needed to count unfinished uploads.
pub(crate) struct Unfinished {
    pub(crate) config: Config,
    pub(crate) requests: Vec<ProxiedRequest>,
}

/// Where on the wire a fault happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum At {
    Put,
    Create,
    /// The second part.
    SecondPart,
    /// What completes an upload in parts that is driven from outside.
    Complete,
    Get,
    Head,
    Delete,
    DeleteMany,
    List,
    Copy,
}

/// The requests of one operation: method, a part of the target, and how many of them come before.
pub(crate) type OnWire = (&'static str, &'static str, usize);

/// Returns a field of the settings as text.
pub(crate) fn text<'a>(config: &'a Config, name: &str) -> &'a str {
    config.get(name).and_then(Value::as_str).unwrap_or_default()
}

/// Asks a store past everything of ours.
pub(crate) async fn curl(arguments: &[&str]) -> String {
    let output = tokio::process::Command::new("curl")
        .args(["--silent", "--show-error", "--max-time", "20"])
        .args(arguments)
        .output()
        .await
        .expect("curl is there");
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).expect("text")
}

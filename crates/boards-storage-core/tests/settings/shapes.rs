//! The shapes that serde types of other crates can have: what they take is not refused, what they refuse is named.

use std::collections::BTreeMap;

use boards_storage_core::{
    BoxFuture, ByteSize, Error, FriendlyDuration, OneOrMany, ProviderFactory, ProviderPlugin, Registry,
    Result, Secret, Settings, SettingsSources, SharedProvider,
};
use schemars::JsonSchema;
use serde::Deserialize;

#[derive(Debug, Deserialize, JsonSchema)]
#[expect(dead_code, reason = "only parsed")]
struct ShapesSettings {
    #[serde(flatten)]
    common: Common,
    #[serde(flatten)]
    place: Place,
    auth: Option<Auth>,
    endpoint: Option<Endpoint>,
    #[serde(default)]
    weights: BTreeMap<String, u32>,
    pair: Option<(u8, String)>,
    next: Option<Box<Inner>>,
    size: Option<OneOrMany<ByteSize>>,
    pins: Option<OneOrMany<Secret>>,
    #[schemars(extend("x-maximum" = "1m"))]
    wait: Option<FriendlyDuration>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[expect(dead_code, reason = "only parsed")]
struct Common {
    bucket: String,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(tag = "where", rename_all = "lowercase")]
#[expect(dead_code, reason = "only parsed")]
enum Place {
    Here { floor: i8 },
    There { city: String },
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[expect(dead_code, reason = "only parsed")]
enum Auth {
    None,
    Basic { user: String, password: Secret },
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "only parsed")]
enum Endpoint {
    Url(String),
    Port(u16),
    Parts { host: String, port: u16 },
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "only parsed")]
struct Inner {
    next: Option<Box<Inner>>,
}

struct Shapes;

impl ProviderFactory for Shapes {
    const KIND: &'static str = "shapes";
    const SUMMARY: &'static str = "a provider for tests";
    type Settings = ShapesSettings;

    fn open(_name: String, _settings: ShapesSettings) -> BoxFuture<'static, Result<SharedProvider>> {
        Box::pin(async { Err(Error::unsupported("settings tests open nothing")) })
    }
}

#[track_caller]
fn check(line: &str, expected: &[&str]) {
    let mut registry = Registry::empty();
    registry
        .register(ProviderPlugin::of::<Shapes>())
        .expect("a new name");
    let place = if line.starts_with("where") {
        ""
    } else {
        "        where: here\n        floor: 0\n"
    };
    let text = format!(
        "storage:\n  default_provider: a\n  providers:\n    a:\n      type: shapes\n      config:\n        bucket: b\n        {line}\n{place}"
    );
    let environment = [("N".to_owned(), "7".to_owned())];
    let sources = SettingsSources::new()
        .with_file("f", &text)
        .with_environment(environment);
    match Settings::load(&sources, &registry) {
        Ok(loaded) => {
            assert_eq!(expected, [""; 0], "{line}");
            let parsed = loaded.settings.storage.providers["a"].parse_config::<ShapesSettings>();
            assert!(parsed.is_ok(), "{line}: {parsed:?}");
        }
        Err(error) => {
            let shown: Vec<_> = error
                .problems
                .iter()
                .map(|problem| {
                    problem
                        .to_string()
                        .replace("storage.providers.a.config", "config")
                })
                .collect();
            assert_eq!(shown, expected, "{line}");
        }
    }
}

#[test]
fn what_a_type_takes_is_not_refused() {
    for line in [
        "unknown_fields_are_taken: true",
        "where: here\n        floor: -3",
        "where: there\n        city: Rome",
        "auth: none",
        "auth: {basic: {user: u, password: p}}",
        "endpoint: http://x",
        "endpoint: 80",
        "endpoint: ${N}",
        "endpoint: {host: h, port: 80}",
        "endpoint: {host: h, port: \"${N}\"}"
            .replace("\"${N}\"", "8")
            .as_str(),
        "weights: {a: 1, b: 4294967295}",
        "pair: [5, x]",
        "next: {next: {next: {}}}",
        "size: [1MB, 5]",
        "size: ${N}",
        "pins: [a, b]",
        "wait: 60s",
    ] {
        check(line, &[]);
    }
}

#[test]
fn what_a_type_refuses_is_named() {
    check(
        "where: heer",
        &["f:8:16: config.where: expected one of 'here', 'there', found \"heer\"; did you mean 'here'?"],
    );
    check(
        "where: here",
        &["f:6:7: config.floor: the field is required: expected a whole number from -128 to 127"],
    );
    check(
        "auth: nome",
        &["f:8:15: config.auth: expected 'none', found \"nome\"; did you mean 'none'?"],
    );
    check(
        "auth: {basic: {user: u}}",
        &["f:8:16: config.auth.basic.password: the field is required: expected text"],
    );
    check(
        "endpoint: [80]",
        &[
            "f:8:9: config.endpoint: expected text or a whole number from 0 to 65535 or a map with 'host', 'port', \
           found a list",
        ],
    );
    check(
        "endpoint: {host: h}",
        &["f:8:9: config.endpoint.port: the field is required: expected a whole number from 0 to 65535"],
    );
    check(
        "weights: {a: 4294967296}",
        &[
            "f:8:22: config.weights.a: expected a whole number from 0 to 4294967295, found the number 4294967296",
        ],
    );
    check(
        "pair: [5, 6]",
        &["f:8:19: config.pair[1]: expected text, found the number 6; put it in quotes"],
    );
    check(
        "pair: [5]",
        &["f:8:9: config.pair: expected a list of 2, found a list of 1"],
    );
    check(
        "next: {next: {nxt: 1}}",
        &["f:8:23: config.next.next.nxt: there is no such field; did you mean 'next'?"],
    );
    check(
        "pins: 7112233",
        &[
            "f:8:15: config.pins: expected text or a list that is not empty, found a whole number that is not shown; put it in quotes",
        ],
    );
    check(
        "wait: 61s",
        &["f:8:15: config.wait: expected a duration of at most 1m, found \"61s\""],
    );
}

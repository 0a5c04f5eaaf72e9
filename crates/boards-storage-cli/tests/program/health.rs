//! `health`, and what shows of fallback.

use std::io::{BufRead, BufReader};

use serde_json::Value;

use crate::support::Place;

/// Settings whose default provider cannot be opened.
fn broken(place: &Place, fallback: &str) {
    place.write("file", "not a folder");
    let text = format!(
        "\
storage:
  default_provider: bad
  fallback: [{fallback}]
  providers:
    bad: {{type: local, config: {{base_path: file/objects}}}}
    good: {{type: local, config: {{base_path: objects}}}}
"
    );
    place.write("storage.yaml", text);
}

#[test]
fn a_storage_that_works_is_ready() {
    let place = Place::new();
    let said = place.run("health").ok();
    assert_eq!(said.err, "");
    let lines: Vec<&str> = said.out.lines().collect();
    assert!(lines[0].starts_with("catalog\thealthy\t"), "{}", said.out);
    assert!(lines[1].starts_with("provider local\thealthy\t"), "{}", said.out);
    assert!(lines[1].ends_with("\t-\t-"), "{}", said.out);
    assert_eq!(lines[2..], ["ready"]);
    assert_eq!(place.run("health --quiet").ok().out, "ready\n");
    let report = place.run("health --json").ok().json();
    assert_eq!(report["is_ready"], true);
    assert_eq!(report["catalog"]["state"], "healthy");
    assert_eq!(report["providers"][0]["provider"], "local");
    assert_eq!(report["providers"][0]["canary"], "off");
    assert!(report["providers"][0]["latency_seconds"].is_number());
    assert_eq!(report["routes"][0]["usable"], serde_json::json!(["local"]));
}

#[test]
fn a_canary_leaves_nothing() {
    let place = Place::new();
    let report = place.run("health --canary --json").ok().json();
    assert_eq!(report["providers"][0]["canary"], "passed");
    assert!(!place.path("boards-storage-data/objects/temp").exists());
    assert_eq!(place.run("ls --quiet").ok().out, "");
}

#[test]
fn what_no_write_gets_through_is_told_with_an_exit_code() {
    let place = Place::new();
    broken(&place, "");
    let said = place.run("health").code(8);
    assert_eq!(said.err, "");
    said.says(&[
        "provider bad\tunavailable\t",
        "provider good\thealthy\t",
        "no provider takes writes of the default route, meant for 'bad'",
        "not ready",
    ]);
    let report = place.run("health --json").code(8).json();
    assert_eq!(
        (&report["is_ready"], &report["routes"][0]["usable"]),
        (&false.into(), &serde_json::json!([]))
    );
    broken(&place, "good");
    place
        .run("health")
        .ok()
        .says(&["provider bad\tunavailable\t", "\nready\n"]);
    place.write(
        "boards-storage-data/catalog.db",
        "this is no database, but long enough to be looked at".repeat(9),
    );
    let report = place.run("health --json").code(8).json();
    assert_eq!(report["catalog"]["state"], "unavailable");
    assert_eq!(report["providers"][1]["health"], Value::Null, "it is not nested");
    assert_eq!(report["providers"][1]["state"], "healthy");
}

#[test]
fn it_looks_again_and_again_without_a_terminal() {
    let place = Place::new();
    let mut watch = place
        .command(["health", "--watch", "--every", "1", "--json"])
        .spawn()
        .expect("started");
    let lines = BufReader::new(watch.stdout.take().expect("piped")).lines();
    for line in lines.take(2) {
        let report: Value = serde_json::from_str(&line.expect("a line")).expect("JSON");
        assert_eq!(report["is_ready"], true);
    }
    watch.kill().expect("killed");
    watch.wait().expect("ended");
    place.run("health --every 1").code(2);
}

#[test]
fn a_route_tells_who_stands_in() {
    let place = Place::new();
    place.write(
        "storage.yaml",
        "\
storage:
  default_provider: main
  fallback: [open, spare]
  providers:
    main: {type: local, config: {base_path: a}}
    open: {type: local, config: {base_path: b, public_url_base: http://x}}
    spare: {type: local, config: {base_path: c}}
  routing_rules:
    - {condition: {artifact_type: model}, provider: main, fallback: []}
",
    );
    place.run("route explain -t image").ok().says(&[
        "goes to 'main', the default provider",
        "'open' does not stand in: its objects are public, the artifact is not",
        "if that cannot take it, 'spare' does",
    ]);
    let explained = place
        .run("route explain -t image --access public --json")
        .ok()
        .json();
    assert_eq!(
        explained["fallback"],
        serde_json::json!([
            { "provider": "open", "passed_over": null },
            { "provider": "spare", "passed_over": null },
        ])
    );
    let said = place.run("route explain -t model").ok();
    assert!(
        !said.out.contains("stand in") && !said.out.contains("spare"),
        "{}",
        said.out
    );
    place
        .run("config check")
        .ok()
        .says(&["'open' takes over public artifacts only"]);
    place.write("a.txt", "a");
    place.run("put a.txt --artifact a -t text").ok();
    assert_eq!(place.run("ls --displaced --quiet").ok().out, "");
    assert_eq!(place.run("ls --quiet").ok().out, "a\n");
    place.run("ls --displaced --versions a").code(2);
}

//! The audit log as an operator meets it.

use std::io::{BufRead, BufReader};

use serde_json::Value;

use crate::support::{Place, Said};

const LOG: &str = "boards-storage-data/audit/audit-00000001.jsonl";

/// Puts, gets and removes an artifact.
fn worked() -> Place {
    let place = Place::new();
    place.write("a.txt", "hello");
    place.run("put a.txt -t text --artifact note --quiet").ok();
    place.run("get note -o b.txt --quiet").ok();
    place.run("rm note --quiet").ok();
    place
}

fn events(said: &Said) -> Vec<Value> {
    let lines = said.out.lines();
    lines
        .map(|line| serde_json::from_str(line).expect("an event per line"))
        .collect()
}

#[test]
fn every_command_leaves_its_events() {
    let place = worked();
    let events = events(&place.run("audit query --json").ok());
    let operations: Vec<_> = events
        .iter()
        .map(|event| event["operation"].as_str().expect("named"))
        .collect();
    assert_eq!(operations, ["store", "reference", "open", "delete"]);
    for event in &events {
        assert_eq!(event["outcome"], "success");
        assert_eq!(event["artifact"], "note");
        assert_eq!(event["principal"]["kind"], "user");
        assert!(event["principal"]["id"].as_str().is_some_and(|id| !id.is_empty()));
        let agent = event["user_agent"].as_str().expect("told");
        assert!(agent.starts_with("boards-storage/"), "{agent}");
    }
    let requests: Vec<_> = events
        .iter()
        .map(|event| event["request_id"].as_str().expect("told"))
        .collect();
    assert_eq!(requests[1], requests[2], "one run is one request");
    assert_ne!(requests[0], requests[1]);
    place
        .run_with_variables("put a.txt -t text --artifact other --quiet", &[("USER", "ada")])
        .ok();
    place
        .run("audit query --principal ada")
        .ok()
        .says(&["store", "success", "ada", "other"]);
}

#[test]
fn the_tail_and_the_query_choose() {
    let place = worked();
    place.run("get nothing").code(3);
    let said = place.run("audit tail -n 2").ok();
    let rows: Vec<_> = said
        .out
        .lines()
        .map(|line| line.split('\t').collect::<Vec<_>>())
        .collect();
    assert_eq!(rows.len(), 2, "{}", said.out);
    assert_eq!(
        (rows[0][1], rows[0][2], rows[0][4]),
        ("reference", "failure (not_found)", "nothing/original")
    );
    assert_eq!(
        (rows[1][1], rows[1][2]),
        ("list", "success"),
        "what the advice is looked up by"
    );
    let count = |line: &str| events(&place.run(&format!("audit query --json {line}")).ok()).len();
    assert_eq!(count(""), 6);
    assert_eq!(count("--outcome failure"), 1);
    assert_eq!(
        count("--operation store --artifact note --provider local --tenant default"),
        1
    );
    assert_eq!(count("--tenant other"), 0);
    assert_eq!(count("--since 1h"), 6);
    assert_eq!(count("--until 1h"), 0);
    assert_eq!(count("--since 2020-01-01 --until 2021-01-01T00:00:00Z"), 0);
    assert_eq!(count("--limit 2"), 2);
    let newest = events(&place.run("audit query --json --reverse --limit 1").ok());
    assert_eq!(newest[0]["artifact"], "nothing");
    place
        .run("audit query --since yesterdayish")
        .code(2)
        .complains(&["--since", "2h"]);
    place
        .run("audit query --operation destroy")
        .code(2)
        .complains(&["download_url"]);
}

#[test]
fn verify_finds_what_was_done_to_the_log() {
    let place = worked();
    place
        .run("audit verify")
        .ok()
        .says(&["the log is whole", "4 events", "acknowledged entry 5"]);
    let whole = String::from_utf8(place.read(LOG)).expect("text");
    let lines: Vec<&str> = whole.lines().collect();
    place.write(
        LOG,
        whole.replacen("\"operation\":\"delete\"", "\"operation\":\"fetch!\"", 1),
    );
    place.run("audit verify").code(9).says(&[
        "audit-00000001.jsonl:5",
        "the entry 5 was changed",
        "not whole: 1 problem;",
    ]);
    place.write(
        LOG,
        format!("{}\n", [lines[0], lines[1], lines[3], lines[4]].join("\n")),
    );
    place
        .run("audit verify")
        .code(9)
        .says(&["audit-00000001.jsonl:3", "the entry 3 is missing"]);
    place.write(LOG, format!("{}\n", lines[..4].join("\n")));
    let said = place
        .run("audit verify")
        .code(9)
        .says(&["5 was acknowledged: the end was cut off"]);
    assert_eq!(said.err, "");
    let value = place.run("audit verify --json").code(9).json();
    assert_eq!(
        (&value["whole"], &value["problems"][0]["kind"]),
        (&false.into(), &"truncated".into())
    );
    // The program goes on, and says that it cannot record any more.
    place.write("c.txt", "more");
    place.run("put c.txt -t text --quiet").ok().complains(&[
        "audit log",
        "could not be recorded",
        "tampered with",
    ]);
    let refuse = [("BOARDS_STORAGE__AUDIT__ON_FAILURE", "refuse")];
    place
        .run_with_variables("put c.txt -t text --quiet", &refuse)
        .code(8)
        .complains(&["nothing was done", "cause:", "audit verify"]);
    place.write(LOG, &whole);
    place
        .run_with_variables("put c.txt -t text --quiet", &refuse)
        .ok();
    place.run("audit verify").ok();
}

#[test]
fn a_log_is_followed() {
    let place = worked();
    let mut following = place
        .command(["audit", "tail", "-f", "-n", "1", "--json"])
        .spawn()
        .expect("started");
    let mut lines = BufReader::new(following.stdout.take().expect("piped")).lines();
    let mut next = || -> Value {
        let line = lines.next().expect("a line").expect("text");
        serde_json::from_str(&line).expect("an event")
    };
    assert_eq!(next()["operation"], "delete");
    place.run("put a.txt -t text --artifact later --quiet").ok();
    let event = next();
    assert_eq!(
        (&event["operation"], &event["artifact"]),
        (&"store".into(), &"later".into())
    );
    following.kill().expect("killed");
    following.wait().expect("ended");
}

#[test]
fn settings_without_a_log_say_so() {
    let place = Place::new();
    place.write("a.txt", "hello");
    let none = [("BOARDS_STORAGE__AUDIT__TYPE", "none")];
    place.run_with_variables("put a.txt -t text --quiet", &none).ok();
    assert!(!place.path("boards-storage-data/audit").exists());
    place
        .run_with_variables("audit tail", &none)
        .code(12)
        .complains(&["storage.audit.type"]);
    place.run("audit verify").ok();
    place.run("audit tail").ok();
}

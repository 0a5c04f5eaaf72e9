//! What is stored, as the program tells it: once, and again and again.

use std::io::{BufRead, BufReader};
use std::process::Child;
use std::time::{Duration, Instant};

use crate::support::Place;

/// Three artifacts of two tenants: 5 + 5 + 2 bytes, one of them in two versions.
fn filled() -> Place {
    let place = Place::new();
    place.write("a.txt", "12345");
    place.write("b.txt", "12");
    for line in [
        "put a.txt -t text --artifact a",
        "put b.txt -t text --artifact a --overwrite",
        "put a.txt -t image --artifact b",
        "put b.txt -t text --artifact a --tenant other",
    ] {
        place.run(line).ok();
    }
    place
}

#[test]
fn what_is_stored_is_told_by_provider_tenant_and_type() {
    let place = filled();
    let stored = [
        "stored\tlocal\tdefault\timage\t1\t5",
        "stored\tlocal\tdefault\ttext\t2\t7",
        "stored\tlocal\tother\ttext\t1\t2",
    ];
    let told = |line: &str| -> Vec<String> {
        let said = place.run(line).ok().out;
        said.lines()
            .filter(|line| line.starts_with("stored\t"))
            .map(str::to_owned)
            .collect()
    };
    assert_eq!(told("stats"), stored);
    assert_eq!(told("stats --tenant other"), stored[2..]);
    assert_eq!(told("stats --tenant nobody"), [""; 0]);
    let json = place.run("stats --json").ok().json();
    assert_eq!(
        json["stored"][1],
        serde_json::json!({
            "provider": "local", "tenant": "default", "artifact_type": "text", "objects": 2, "bytes": 7,
        })
    );
    place.run("rm a").ok();
    assert_eq!(told("stats"), [stored[0], stored[2]]);
}

#[test]
fn what_was_done_is_added_up_from_the_audit_log() {
    let place = filled();
    place.run("cat a").ok().says(&["12"]);
    place.run("cat nothing").code(3);
    let told = |line: &str| -> Vec<String> {
        let said = place.run(line).ok().out;
        // Without the times, which nobody knows before.
        said.lines()
            .filter(|line| line.starts_with("operations\t"))
            .map(|line| line.split('\t').take(8).collect::<Vec<_>>().join(" "))
            .collect()
    };
    let all = told("stats");
    for row in [
        "operations store local 4 0 0 14 0",
        "operations open local 1 0 0 0 2",
    ] {
        assert!(all.iter().any(|found| found == row), "no {row} in {all:#?}");
    }
    let refused: Vec<&String> = all.iter().filter(|row| row.contains(" - 1 0 0 0 0")).collect();
    assert!(
        !refused.is_empty(),
        "not found is counted and is no failure: {all:#?}"
    );
    let other = told("stats --tenant other --since 1h");
    assert_eq!(other, ["operations store local 1 0 0 2 0"]);
    std::thread::sleep(Duration::from_millis(20));
    assert_eq!(told("stats --since 10ms"), [""; 0]);
    place.run("stats --since soon").code(2).complains(&["24h"]);
    let json = place.run("stats --json").ok().json();
    let done = json["operations"]["done"].as_array().expect("operations");
    let store = done
        .iter()
        .find(|row| row["operation"] == "store")
        .expect("a store");
    assert_eq!(
        (store["count"].as_u64(), store["bytes_in"].as_u64()),
        (Some(4), Some(14))
    );
    assert!(
        store["duration"]["p50_seconds"]
            .as_f64()
            .is_some_and(|time| time > 0.0)
    );
}

#[test]
fn an_empty_storage_has_no_rows() {
    let place = Place::new();
    assert!(!place.run("stats").ok().out.contains("stored\t"));
    assert_eq!(
        place.run("stats --json").ok().json()["stored"],
        serde_json::json!([])
    );
}

#[test]
fn an_interval_has_bounds_and_goes_with_watch() {
    let place = Place::new();
    for interval in ["99ms", "61m", "0", "soon"] {
        place
            .run(&format!("stats --watch --interval {interval}"))
            .code(2)
            .complains(&["100ms to 1h"]);
    }
    place.run("stats --interval 1s").code(2).complains(&["--watch"]);
}

#[track_caller]
fn wait(mut child: Child) -> Option<i32> {
    let begin = Instant::now();
    while begin.elapsed() < Duration::from_secs(60) {
        if let Some(status) = child.try_wait().expect("asked") {
            return status.code();
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    child.kill().expect("ended");
    panic!("the program does not end");
}

/// Runs `stats --watch` until two tables of it were read.
fn watched(place: &Place) -> (Child, BufReader<std::process::ChildStdout>) {
    let mut child = place
        .command(["stats", "--watch", "--interval", "100ms"])
        .spawn()
        .expect("started");
    let mut lines = BufReader::new(child.stdout.take().expect("piped"));
    let mut tables = 0;
    while tables < 2 {
        let mut line = String::new();
        assert!(lines.read_line(&mut line).expect("read") > 0, "it goes on");
        tables += usize::from(line.starts_with("stored\tlocal\tother\t"));
    }
    (child, lines)
}

#[test]
fn watching_ends_when_nobody_reads() {
    let place = filled();
    let (child, lines) = watched(&place);
    drop(lines);
    assert_eq!(wait(child), Some(141));
}

#[cfg(unix)]
#[test]
fn watching_ends_when_it_is_interrupted() {
    let place = filled();
    let (child, _lines) = watched(&place);
    let sent = std::process::Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status()
        .expect("kill");
    assert!(sent.success());
    assert_eq!(wait(child), Some(130));
}

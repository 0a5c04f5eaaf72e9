//! What is read, with which places, and what is refused.

use super::*;
use crate::settings::tree::shorten;

#[track_caller]
fn check(text: &str, expected: &[&str]) {
    let mut problems = Vec::new();
    parse("f.yaml", text, &mut problems);
    let shown: Vec<_> = problems.iter().map(ToString::to_string).collect();
    assert_eq!(shown, expected, "{}", shorten(text, 200));
}

fn read(text: &str) -> serde_json::Value {
    let mut problems = Vec::new();
    let node = parse("f.yaml", text, &mut problems).expect("readable");
    assert_eq!(problems, [], "{text}");
    node.to_json()
}

#[test]
fn yaml_and_json_are_read() {
    assert_eq!(read(""), serde_json::json!({}));
    assert_eq!(read("# nothing\n---\n"), serde_json::json!({}));
    assert_eq!(
        read("\u{feff}a: 1\nb: [x, \"2\", !!str 3]"),
        serde_json::json!({"a": 1, "b": ["x", "2", "3"]})
    );
    assert_eq!(
        read("{\"a\": {\"b\": null, \"c\": 1.5}}"),
        serde_json::json!({"a": {"c": 1.5}})
    );
    assert_eq!(
        read("a: &x {b: 1}\nc: *x"),
        serde_json::json!({"a": {"b": 1}, "c": {"b": 1}})
    );
}

#[test]
fn every_value_has_its_place() {
    let mut problems = Vec::new();
    let node = parse("f.yaml", "a:\n  b: 1\n  c:\n    - \"x\"\n", &mut problems).expect("readable");
    let at = |names: &[&str]| node.descend(names).expect("there").origin.to_string();
    assert_eq!(at(&["a"]), "f.yaml:1:1");
    assert_eq!(at(&["a", "b"]), "f.yaml:2:6");
    assert_eq!(at(&["a", "c"]), "f.yaml:3:3");
    let list = node.descend(&["a", "c"]).and_then(Node::as_list).expect("a list");
    assert_eq!(list[0].origin.to_string(), "f.yaml:4:7");
}

#[test]
fn what_settings_do_without_is_refused_with_its_line() {
    check(
        "a: 1\nb: 2\na: 3\n",
        &["f.yaml:3:1: a: the field is given twice, first in line 1"],
    );
    check(
        "x:\n  - a: 1\n    a: 2",
        &["f.yaml:3:5: x[0].a: the field is given twice, first in line 2"],
    );
    check(
        "1: a\n[b]: c\n",
        &[
            "f.yaml:1:1: expected text as the name of a field, found a whole number; put the name in quotes",
            "f.yaml:2:1: expected text as the name of a field, found a list; put the name in quotes",
        ],
    );
    check(
        "a: 1\n---\nb: 2\n",
        &["f.yaml:2:1: the file has a second document; settings are one document"],
    );
    for tagged in ["a: !secret x", "a: !!int 5", "a: !x [1]", "a: !x {b: 1}"] {
        check(tagged, &["f.yaml:1:4: tags are not supported, except for !!str"]);
    }
    check(
        "a: &a [*a]",
        &["f.yaml:1:8: an alias can't stand inside of what it names"],
    );
    check(
        "b: &b {x: 1}\na:\n  <<: *b",
        &["f.yaml:3:3: merge keys ('<<') are not part of YAML 1.2; write the fields out"],
    );
}

#[test]
fn limits_hold_at_their_edges() {
    let nested = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
    check(&nested(DEPTH_MAX), &[]);
    check(
        &nested(DEPTH_MAX + 1),
        &["f.yaml:1:33: this is nested deeper than 32 levels"],
    );
    check(
        &nested(100_000),
        &["f.yaml:1:256: this is not YAML: recursion limit exceeded"],
    );
    let comment = "#".repeat(TEXT_BYTES_MAX);
    check(&comment, &[]);
    check(
        &format!("{comment}\n"),
        &["f.yaml:1:1: the file has 1048577 bytes, at most 1048576 are allowed"],
    );
    let list = |items: usize| format!("[{}]", "a,".repeat(items));
    check(&list(NODES_MAX - 1), &[]);
    check(
        &list(NODES_MAX),
        &["f.yaml:1:1: the file has more than 50000 values, aliases included"],
    );
}

#[test]
fn an_alias_bomb_is_stopped() {
    let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..10 {
        let aliases = vec![format!("*a{}", level - 1); 10].join(", ");
        text.push_str(&format!("a{level}: &a{level} [{aliases}]\n"));
    }
    let mut problems = Vec::new();
    assert!(parse("f.yaml", &text, &mut problems).is_none());
    assert!(
        problems[0].message.contains("more than 50000 values"),
        "{}",
        problems[0]
    );
}

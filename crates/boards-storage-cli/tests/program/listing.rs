//! Lists: filters, pages, forms.

use crate::support::Place;

#[test]
fn filters_hold_together() {
    let place = Place::new();
    place.write("a.txt", "a");
    for line in [
        "--artifact a -t text --board one --meta colour=red --meta shape=round",
        "--artifact b -t text --board two --meta colour=red",
        "--artifact c -t image --board one --meta colour=blue --meta shape=",
        "--artifact a -t text --board one --variant small",
    ] {
        place.run(&format!("put a.txt {line}")).ok();
    }
    #[track_caller]
    fn check(place: &Place, filters: &str, expected: &[&str]) {
        let said = place.run(&format!("ls --quiet {filters}")).ok();
        assert_eq!(said.out.lines().collect::<Vec<_>>(), expected, "{filters}");
    }
    check(&place, "", &["a", "a", "b", "c"]);
    check(&place, "--type text", &["a", "a", "b"]);
    check(&place, "--board one", &["a", "a", "c"]);
    check(&place, "--board one -t image", &["c"]);
    check(&place, "--artifact a", &["a", "a"]);
    check(&place, "--meta colour=red", &["a", "b"]);
    check(&place, "--meta colour=red --meta shape=round", &["a"]);
    check(&place, "--meta shape=", &["c"]);
    check(&place, "--limit 3", &["a", "a", "b"]);
    check(&place, "--type audio", &[]);
    place.run("ls --limit 0").code(2);
    place.run("ls --meta colour").code(2).complains(&["NAME=VALUE"]);
    place.run("ls --tenant a --all-tenants").code(2);
    place.run("ls --versions nothing").code(3).complains(&["help: "]);
}

#[test]
fn a_list_goes_on_over_pages() {
    let place = Place::new();
    place.write(
        "storage.yaml",
        "\
storage:
  default_provider: local
  providers: {local: {type: local, config: {base_path: objects, fsync: false}}}
",
    );
    let names: Vec<String> = (0..1003).map(|number| format!("f{number:04}")).collect();
    for name in &names {
        place.write(name, name);
    }
    place
        .run_words(
            ["put", "-q", "-t", "text"]
                .into_iter()
                .chain(names.iter().map(String::as_str)),
        )
        .ok();
    assert_eq!(place.run("ls").ok().out.lines().count(), 1003);
    assert_eq!(
        place.run("ls --limit 1001 --quiet").ok().out.lines().count(),
        1001
    );
    let all = place.run("ls --json").ok().json();
    assert_eq!(all.as_array().map(Vec::len), Some(1003));
}

#[test]
fn nothing_from_outside_reaches_the_terminal_raw() {
    let place = Place::new();
    let name = "a\u{1b}[2J\u{202e}.txt";
    place.write(name, "x");
    let said = place
        .run_words([
            "put",
            name,
            "-t",
            "text",
            "--artifact",
            "x\u{202e}y",
            "--meta",
            "a=\u{2066}b",
        ])
        .ok();
    assert!(!said.out.contains(['\u{1b}', '\u{202e}']), "{:?}", said.out);
    let said = said.says(&["\\u{1b}[2J\\u{202e}"]);
    drop(said);
    for line in [
        vec!["info", "x\u{202e}y"],
        vec!["ls"],
        vec!["get", "x\u{202e}y"],
        vec!["rm", "x\u{202e}y"],
        vec!["cat", "x\u{202e}y"],
    ] {
        let said = place.run_words(&line);
        assert!(
            !format!("{}{}", said.out, said.err).contains(['\u{202e}', '\u{2066}', '\u{1b}']),
            "{line:?}: {}",
            said.out
        );
    }
    let refused = place
        .run_words(["put", name, "-t", "text", "--meta", "a=\u{1b}[2J"])
        .code(6);
    assert!(!refused.err.contains('\u{1b}'));
}

#[test]
fn the_history_tells_each_change_and_goes_on_where_it_ended() {
    let place = Place::new();
    place.write("a.txt", "hello");
    place.run("put a.txt -t text --artifact a").ok();
    place.run("put a.txt -t text --artifact b --tenant other").ok();
    place.run("rm a").ok();
    #[track_caller]
    fn check(place: &Place, arguments: &str, expected: &[&str]) {
        let said = place.run(&format!("history {arguments}")).ok();
        let told: Vec<_> = said
            .out
            .lines()
            .map(|line| {
                let columns: Vec<_> = line.split('\t').collect();
                format!("{} {}", columns[2], columns[3])
            })
            .collect();
        assert_eq!(told, expected, "{arguments}");
    }
    let (stored, deleted, purged) = ("committed a/original", "deleted a/original", "purged a/original");
    check(&place, "", &[stored, deleted, purged]);
    check(&place, "a", &[stored, deleted, purged]);
    check(&place, "--after 1", &[deleted, purged]);
    check(&place, "--limit 1", &[stored]);
    check(&place, "--tenant other", &["committed b/original"]);
    check(
        &place,
        "--all-tenants --limit 2",
        &[stored, "committed b/original"],
    );
    check(&place, "nothing", &[]);
    let said = place.run("history --json --limit 1").ok();
    let event = said.json();
    assert_eq!(
        (&event["change"], &event["sequence"]),
        (&"committed".into(), &1.into())
    );
    assert_eq!(event["record"]["size_bytes"], 5);
    place.run("history --limit 0").code(2);
    place.run("history a --all-tenants").code(2);
}

//! How failures are told, and their exit codes.

use crate::support::Place;

const LIMITED: &str = "\
storage:
  default_provider: disk
  providers: {disk: {type: local, config: {base_path: objects}}}
  limits: {size_max: 10B, content_types: [\"text/*\"]}
";

#[test]
fn every_failure_says_what_and_what_to_do() {
    let place = Place::new();
    place.write("a.txt", "hello");
    place.write("bad.yaml", "storage: {default_provider: a}");
    place.run("put a.txt -t text --artifact x --board b").ok();
    #[track_caller]
    fn check(place: &Place, line: &str, code: i32, kind: &str) {
        let said = place.run(line).code(code);
        assert_eq!(said.out, "", "{line}");
        let lines: Vec<&str> = said.err.lines().collect();
        assert!(lines[0].starts_with("error: "), "{line}: {lines:?}");
        assert_eq!(said.err.matches("error: ").count(), 1, "{line}: {lines:?}");
        let message = lines[0].trim_start_matches("error: ");
        assert!(
            !message.ends_with('.') && !message.starts_with(char::is_uppercase),
            "{line}: {message}"
        );
        let has_advice = lines
            .iter()
            .any(|line| line.starts_with("help: ") || line.starts_with("cause: "));
        assert!(has_advice || code == 6, "{line}: {lines:?}");
        let error = place.run(&format!("{line} --json")).code(code).json_error();
        assert_eq!(error["kind"], kind, "{line}: {error}");
        assert_eq!(error["exit_code"], code, "{line}: {error}");
        assert!(
            error["message"]
                .as_str()
                .is_some_and(|message| !message.is_empty()),
            "{line}: {error}"
        );
        assert!(error["causes"].is_array(), "{line}: {error}");
    }
    check(&place, "info nothing", 3, "not_found");
    check(&place, "put nothing -t text", 3, "not_found");
    check(
        &place,
        "put a.txt -t image --artifact x --board b",
        4,
        "already_exists",
    );
    check(
        &place,
        "put a.txt -t text --board b --artifact x --meta a=b",
        4,
        "already_exists",
    );
    check(&place, "cat x --range 9-", 6, "invalid_input");
    check(&place, "put a.txt -t text --meta Upper=x", 6, "invalid_input");
    check(&place, "put /dev/null -t text", 6, "invalid_input");
    check(&place, "ls --config nothing.yaml", 7, "configuration");
    check(&place, "ls --config bad.yaml", 7, "configuration");
    check(&place, "url x", 12, "unsupported");
    check(&place, "get x -o -", 2, "usage");
}

#[test]
fn limits_of_the_settings_reject() {
    let place = Place::new();
    place.write("storage.yaml", LIMITED);
    place.write("ten.txt", "0123456789");
    place.write("eleven.txt", "0123456789x");
    place.write("a.png", "x");
    place.run("put ten.txt -t text").ok();
    place
        .run("put eleven.txt -t text")
        .code(10)
        .complains(&["error: the content is larger than the 10 bytes", "help: "]);
    place
        .run_with_input("put - -t text --content-type text/plain", b"0123456789x")
        .code(10);
    place
        .run("put a.png -t image")
        .code(10)
        .complains(&["'image/png' is not allowed", "help: allowed are text/*"]);
    assert_eq!(place.run("ls --quiet").ok().out.lines().count(), 1);
}

#[test]
fn wrong_usage_is_told_as_text_or_json() {
    let place = Place::new();
    for line in [
        "",
        "frobnicate",
        "put",
        "put a.txt",
        "put a.txt -t Image",
        "ls --limit many",
        "get",
        "url x --expires 5",
        "config",
    ] {
        let said = place.run(line).code(2);
        assert!(
            said.err.contains("Usage: boards-storage") || said.err.contains("--help"),
            "{line}: {}",
            said.err
        );
        if !line.is_empty() && line != "config" {
            let error = place.run(&format!("{line} --json")).code(2).json_error();
            assert_eq!(error["kind"], "usage", "{line}");
            assert!(
                error["message"]
                    .as_str()
                    .is_some_and(|message| !message.contains("error:")),
                "{error}"
            );
        }
    }
    place
        .run("put a.txt -t Image")
        .complains(&["image, video, audio"]);
    place.run("info --jsn").complains(&["--json"]);
}

#[test]
fn a_message_shows_no_colour_unless_it_is_asked_for() {
    let place = Place::new();
    assert!(!place.run("info x").err.contains('\u{1b}'));
    assert!(
        place
            .run("info x --color always")
            .err
            .contains("\u{1b}[1;31merror:")
    );
    assert!(!place.run("info x --color never").err.contains('\u{1b}'));
    assert!(!place.run("info x").err.is_empty());
}

#[test]
fn verbose_logs_to_the_standard_error_alone() {
    let place = Place::new();
    place.write("a.txt", "hello");
    place.run("put a.txt -t text --artifact x").ok();
    let said = place.run("cat x -v").ok();
    assert_eq!(said.out, "hello");
    assert!(
        said.err.contains("storage_call") && said.err.contains("local"),
        "{}",
        said.err
    );
    assert_eq!(place.run("cat x").ok().err, "");
}

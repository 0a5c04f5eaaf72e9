//! Settings: where they are found, what is wrong with them, and what follows from them.

use serde_json::Value;

use crate::support::Place;

/// The example of the specification, word for word.
const SEED: &str = include_str!("seed.yaml");

/// What its file refers to; and its folder in the root of the machine is put elsewhere.
const SEED_VARIABLES: [(&str, &str); 5] = [
    ("BOARDS_STORAGE__PROVIDERS__LOCAL__CONFIG__BASE_PATH", "objects"),
    ("SUPABASE_URL", "https://example.supabase.co"),
    ("SUPABASE_ANON_KEY", "anon-s3cret"),
    ("AWS_ACCESS_KEY_ID", "AKIA"),
    ("AWS_SECRET_ACCESS_KEY", "hidden-s3cret"),
];

fn settings(name: &str) -> String {
    format!(
        "storage:\n  default_provider: {name}\n  providers:\n    {name}: {{type: local, config: {{base_path: {name}}}}}\n"
    )
}

#[test]
fn the_first_file_that_exists_counts() {
    let place = Place::new();
    #[track_caller]
    fn check(place: &Place, line: &str, variables: &[(&str, &str)], expected: &str, found: &str) {
        let said = place.run_with_variables(line, variables).ok().says(&[found]);
        assert!(
            said.out.contains(&format!("default_provider: {expected}\n")),
            "{}",
            said.out
        );
    }
    check(&place, "config show", &[], "local", "built in");
    place.write(".config/boards-storage/storage.yaml", settings("user"));
    check(
        &place,
        "config show",
        &[],
        "user",
        "(in the user's configuration folder)",
    );
    place.write("xdg/boards-storage/storage.yaml", settings("xdg"));
    let xdg = place.path("xdg").display().to_string();
    check(
        &place,
        "config show",
        &[("XDG_CONFIG_HOME", &xdg)],
        "xdg",
        "xdg/boards-storage/storage.yaml",
    );
    place.write("storage.yaml", settings("here"));
    check(
        &place,
        "config show",
        &[("XDG_CONFIG_HOME", &xdg)],
        "here",
        "(in the current folder)",
    );
    place.write("named.yaml", settings("named"));
    let named = [("BOARDS_STORAGE_CONFIG", "named.yaml")];
    check(
        &place,
        "config show",
        &named,
        "named",
        "(named by BOARDS_STORAGE_CONFIG)",
    );
    place.write("option.yaml", settings("option"));
    check(
        &place,
        "config show --config option.yaml",
        &named,
        "option",
        "(named by --config)",
    );
    let overridden = [("BOARDS_STORAGE__PROVIDERS__HERE__CONFIG__BASE_PATH", "elsewhere")];
    let said = place.run_with_variables("config show --origin", &overridden).ok();
    said.says(&[
        "elsewhere\tenvironment variable BOARDS_STORAGE__PROVIDERS__HERE__CONFIG__BASE_PATH",
        "storage.yaml:2:",
    ]);
}

#[test]
fn a_file_that_is_named_must_be_there() {
    let place = Place::new();
    place.run("ls --config nothing.yaml").code(7).complains(&[
        "'nothing.yaml'",
        "cause: No such file",
        "help: correct --config",
    ]);
    let said = place
        .run_with_variables("ls", &[("BOARDS_STORAGE_CONFIG", "nothing.yaml")])
        .code(7);
    said.complains(&["help: correct BOARDS_STORAGE_CONFIG"]);
    place
        .run_with_variables("ls", &[("BOARDS_STORAGE_CONFIG", "")])
        .ok();
    std::fs::create_dir(place.path("storage.yaml")).expect("made");
    place
        .run("ls")
        .code(7)
        .complains(&["cannot read the settings file 'storage.yaml'"]);
}

#[test]
fn artifacts_go_where_the_file_says() {
    let place = Place::new();
    place.write("storage.yaml", "\
storage:
  default_provider: main
  data_path: state
  providers:
    main: {type: local, config: {base_path: main-objects}}
    pictures: {type: local, config: {base_path: picture-objects, public_url_base: \"https://cdn.example.com/p\"}}
  routing_rules:
    - condition: {content_type: \"image/*\"}
      provider: pictures
");
    place.write("a.txt", "text");
    place.write("a.png", "picture");
    let text = place.run("put a.txt -t text --artifact t --json").ok().json();
    let picture = place
        .run("put a.png -t image --artifact p --access public --json")
        .ok()
        .json();
    assert_eq!(
        (&text["storage_provider"], &picture["storage_provider"]),
        (&"main".into(), &"pictures".into())
    );
    assert_eq!(place.read("main-objects/default/text/t/original.txt"), b"text");
    assert_eq!(
        place.read("picture-objects/default/image/p/original.png"),
        b"picture"
    );
    assert_eq!(
        place.names(),
        [
            "a.png",
            "a.txt",
            "main-objects",
            "picture-objects",
            "state",
            "storage.yaml"
        ]
    );
    let url = "https://cdn.example.com/p/default/image/p/original.png";
    assert_eq!(picture["storage_url"], url);
    assert_eq!(place.run("url p").ok().out, format!("{url}\n"));
    let shown = place.run("url p --json").ok().json();
    assert_eq!(
        (&shown["url"], &shown["is_public"], &shown["expires_at"]),
        (&url.into(), &true.into(), &Value::Null)
    );
    place.run("url t").code(12).complains(&["error: ", "help: "]);
}

#[test]
fn all_problems_are_told_at_once_with_their_lines() {
    let place = Place::new();
    place.write(
        "storage.yaml",
        "\
storage:
  default_provider: locl
  providers:
    local:
      type: local
      config: {base_path: ./x, fsyncc: true}
  limits:
    size_max: 10 Mb/s
  routing_rules:
    - condition: {artefact_type: video}
      provider: s3
      ",
    );
    let expected = [
        "error: the settings have ",
        "storage.yaml:2:",
        "did you mean 'local'?",
        "storage.yaml:6:",
        "did you mean 'fsync'?",
        "storage.yaml:8:",
        "storage.yaml:10:",
        "did you mean 'artifact_type'?",
        "storage.yaml:11:",
        "help: ",
    ];
    let said = place.run("config check").code(7).complains(&expected);
    assert_eq!(
        said.err
            .lines()
            .filter(|line| line.starts_with("  storage.yaml:"))
            .count(),
        5,
        "{}",
        said.err
    );
    let said = place.run("config check --json").code(7);
    assert_eq!(said.err, "");
    assert_eq!(said.json()["problems"].as_array().map(Vec::len), Some(5));
    assert_eq!(said.json()["problems"][0]["origin"]["line"], 2);
    // Everything else that needs the settings tells the same.
    let error = place.run("ls --json").code(7).json_error();
    assert_eq!(error["problems"].as_array().map(Vec::len), Some(5));
    assert_eq!(place.names(), ["storage.yaml"]);
}

#[test]
fn the_example_of_the_specification_is_right_and_says_what_is_not_compiled_in() {
    let place = Place::new();
    place.write("storage.yaml", SEED);
    let said =
        place
            .run("config check")
            .code(7)
            .complains(&["SUPABASE_URL", "AWS_SECRET_ACCESS_KEY", "not set"]);
    drop(said);
    let said = place.run_with_variables("config check", &SEED_VARIABLES).ok();
    let said = said.says(&[
        "note: storage.yaml:",
        "supabase",
        "Cargo feature 's3'",
        "the settings are right",
    ]);
    assert!(!said.out.contains("s3cret"));
    let notes = place
        .run_with_variables("config check --json", &SEED_VARIABLES)
        .ok()
        .json();
    assert_eq!(
        (
            notes["problems"].as_array().map(Vec::len),
            notes["notes"].as_array().map(Vec::len)
        ),
        (Some(0), Some(2))
    );

    place.write("a.txt", "x");
    let said = place
        .run_with_variables("put a.txt -t text", &SEED_VARIABLES)
        .code(7);
    said.complains(&["is not compiled in", "help: enable the Cargo feature"]);
    let said = place.run_with_variables("doctor", &SEED_VARIABLES).code(7);
    said.says(&[
        "ok    settings",
        "fail  provider s3",
        "fail  provider supabase",
        "help: enable the Cargo feature 's3'",
    ]);
}

#[test]
fn secrets_are_not_shown() {
    let place = Place::new();
    place.write("storage.yaml", SEED);
    for line in [
        "config show",
        "config show --json",
        "config show --origin",
        "config show --origin --json",
        "config check",
    ] {
        let said = place.run_with_variables(line, &SEED_VARIABLES).ok();
        assert!(
            !said.out.contains("s3cret") && !said.err.contains("s3cret"),
            "{line}: {}",
            said.out
        );
        assert!(
            line == "config check" || said.out.contains("[redacted]"),
            "{line}: {}",
            said.out
        );
    }
    let shown = place
        .run_with_variables("config show --json", &SEED_VARIABLES)
        .ok()
        .json();
    assert_eq!(
        shown["storage"]["providers"]["s3"]["config"]["bucket"],
        "boards-prod-artifacts"
    );
}

#[test]
fn what_is_shown_can_be_loaded_again() {
    let place = Place::new();
    let shown = place.run("config show").ok().out;
    place.write("again.yaml", &shown);
    let again = place.run("config show --config again.yaml --quiet").ok().out;
    assert_eq!(
        again,
        shown
            .lines()
            .skip(1)
            .map(|line| format!("{line}\n"))
            .collect::<String>()
    );
}

#[test]
fn the_schema_is_json_that_knows_the_providers() {
    let schema = Place::new().run("config schema").ok().json();
    assert!(
        schema["$schema"]
            .as_str()
            .is_some_and(|draft| draft.contains("2020-12"))
    );
    assert!(schema.to_string().contains("base_path"));
}

#[test]
fn a_route_is_explained_by_the_rules_of_the_specification() {
    let place = Place::new();
    place.write("storage.yaml", SEED);
    place.write("clip.mp4", "not much of a video");
    let explain = |options: &str| {
        let line = format!("route explain {options}");
        let json = place
            .run_with_variables(&format!("{line} --json"), &SEED_VARIABLES)
            .ok()
            .json();
        (
            json["provider"].clone(),
            json["matched_rule"].clone(),
            place.run_with_variables(&line, &SEED_VARIABLES).ok(),
        )
    };
    #[track_caller]
    fn check(
        (provider, rule, said): (Value, Value, crate::support::Said),
        expected: (&str, u64),
        texts: &[&str],
    ) {
        assert_eq!((provider, rule), (expected.0.into(), expected.1.into()));
        said.says(texts);
    }
    check(
        explain("-t video --size 150MB"),
        ("s3", 0),
        &[
            "goes to 's3', by rule 1",
            "150000000",
            "rule 2, to 'supabase': not reached",
        ],
    );
    check(
        explain("-t video --size 100MB"),
        ("supabase", 2),
        &["by rule 3", "rule 1, to 's3': not matched", "is not > 100000000"],
    );
    check(
        explain("-t model --size 150MB"),
        ("supabase", 1),
        &["artifact_type 'model' is not video", "by rule 2"],
    );
    check(explain("clip.mp4 -t video"), ("supabase", 2), &["19 bytes"]);
    let (provider, rule, said) = explain("-t video");
    assert_eq!((provider, rule), (Value::Null, Value::Null));
    said.says(&["depends on the size", "undecided"]);
    place
        .run_with_variables("route explain -t video --size 5parsecs", &SEED_VARIABLES)
        .code(2)
        .complains(&["not a size"]);
    place
        .run_with_variables("route explain nothing.mp4 -t video", &SEED_VARIABLES)
        .code(3);
    place.run("route explain -t video --config nothing.yaml").code(7);
}

#[test]
fn providers_are_listed_with_what_they_can() {
    let place = Place::new();
    assert_eq!(
        place.run("providers").ok().out,
        "local\tlocal\tyes\t./boards-storage-data/objects\n"
    );
    place.run("providers -v").ok().says(&["local can: range, "]);
    let json = place.run("providers --json").ok().json();
    assert_eq!(
        (&json["providers"][0]["name"], &json["providers"][0]["is_default"]),
        (&"local".into(), &true.into())
    );
    assert!(
        json["providers"][0]["capabilities"]
            .as_array()
            .is_some_and(|all| all.iter().any(|one| one == "range"))
    );
    let types = json["types"].as_array().expect("an array");
    let of = |name: &str| {
        types.iter().find(|entry| entry["type"] == name).expect("known")["is_compiled_in"].clone()
    };
    assert_eq!((of("local"), of("s3")), (true.into(), false.into()));
}

#[test]
fn the_doctor_finds_what_is_wrong() {
    let place = Place::checked();
    let said = place.run("doctor").ok();
    let said = said.says(&[
        "ok    settings: built in",
        "ok    provider local: local at ",
        "ok    catalog: ",
        " free",
        "ok    unfinished: 0 writes, 0 deletes",
    ]);
    assert!(!said.out.contains("fail"), "{}", said.out);
    let json = place.run("doctor --json").ok().json();
    assert_eq!(json["healthy"], true);
    assert!(json["checks"].as_array().is_some_and(|checks| checks.len() >= 5));
    place
        .run("doctor --fix")
        .ok()
        .says(&["cleaned up 0 unfinished writes and 0 unfinished deletes"]);

    place.write("file", "not a folder");
    place.write(
        "storage.yaml",
        "\
storage:
  default_provider: bad
  providers:
    bad: {type: local, config: {base_path: file/objects}}
    good: {type: local, config: {base_path: objects}}
",
    );
    let said = place.run("doctor");
    assert_ne!(said.code, 0);
    let said = said.says(&[
        "fail  provider bad: ",
        "ok    provider good: ",
        "ok    catalog: ",
        "help: ",
    ]);
    assert_eq!(said.err, "");
    place.write("storage.yaml", "storage: []");
    place
        .run("doctor")
        .code(7)
        .says(&["fail  settings: storage.yaml:1:1: storage: expected a map"]);
}

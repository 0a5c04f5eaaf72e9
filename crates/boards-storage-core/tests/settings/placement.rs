//! Fallback lists and what they may contain, demands of encryption, and the watch.

use std::time::Duration;

use boards_storage_core::{EncryptionDemand, ProblemKind, Protection, Reach, RoutingRule};

use crate::{load, registry};

/// Settings with a private, a public, a silent and an absent provider; `storage` and `rules` are lines of theirs.
fn text(storage: &str, rules: &str) -> String {
    format!(
        "\
storage:
  default_provider: home
  providers:
    home: {{type: local, config: {{base_path: a}}}}
    private: {{type: local, config: {{base_path: b}}}}
    public: {{type: local, config: {{base_path: c, public_url_base: http://x}}}}
    silent: {{type: supabase, config: {{url: u, key: k, bucket: b}}}}
    sealed: {{type: local, config: {{base_path: d}}, protection: {{encrypted: true}}}}
    declared: {{type: supabase, config: {{url: u, key: k, bucket: b}}, protection: {{reach: private}}}}
    absent: {{type: s3}}
{storage}
  routing_rules:
{rules}
    - provider: home
"
    )
}

#[track_caller]
fn check(storage: &str, rules: &str, problems: &[&str], notes: &[&str]) {
    match load(&text(storage, rules), &[]) {
        Ok(loaded) => {
            assert_eq!(problems, [""; 0], "{storage} {rules}");
            let told: Vec<_> = loaded
                .notes
                .iter()
                .map(|note| format!("{}: {}", note.path, note.message))
                .filter(|note| !note.contains("not compiled in") && !note.contains("never reached"))
                .collect();
            assert_eq!(told, notes, "{storage} {rules}");
        }
        Err(error) => {
            let told: Vec<_> = error
                .problems
                .iter()
                .map(|problem| format!("{}: {}", problem.path, problem.message))
                .collect();
            assert_eq!(told, problems, "{storage} {rules}");
        }
    }
}

#[test]
fn a_list_names_other_providers_each_once() {
    check("  fallback: [private, declared]", "", &[], &[]);
    check("  fallback: []", "    - {provider: home, fallback: []}", &[], &[]);
    check(
        "  fallback: [privat]",
        "",
        &[
            "storage.fallback[0]: expected the name of a provider ('absent', 'declared', 'home', 'private', 'public', \
           'sealed', 'silent'), found \"privat\"",
        ],
        &[],
    );
    check(
        "  fallback: [home]",
        "",
        &["storage.fallback[0]: 'home' is the provider itself, which is tried first"],
        &[],
    );
    check(
        "  fallback: [private, declared, private]",
        "",
        &["storage.fallback[2]: 'private' is listed already, at storage.fallback[0]"],
        &[],
    );
    check(
        "  fallback: private",
        "",
        &["storage.fallback: expected a list, found \"private\""],
        &[],
    );
    check(
        "",
        "    - {provider: private, fallback: [home, private, nobody]}",
        &[
            "storage.routing_rules[0].fallback[1]: 'private' is the provider itself, which is tried first",
            "storage.routing_rules[0].fallback[2]: expected the name of a provider ('absent', 'declared', 'home', \
             'private', 'public', 'sealed', 'silent'), found \"nobody\"",
        ],
        &[],
    );
    // The global list may name a rule's own provider.
    check("  fallback: [private]", "    - {provider: private}", &[], &[]);
}

#[test]
fn who_takes_public_artifacts_only_is_worth_knowing() {
    let otherwise = "otherwise its objects are public, the artifact is not";
    check(
        "  fallback: [public, private]",
        "",
        &[],
        &[&format!(
            "storage.fallback[0]: 'public' takes over public artifacts only: {otherwise}"
        )],
    );
    check(
        "  fallback: [silent]",
        "",
        &[],
        &[
            "storage.fallback[0]: 'silent' takes over public artifacts only: otherwise it does not declare that its \
           objects are private, and the artifact is not public",
        ],
    );
    check("  fallback: [absent]", "", &[], &[]);
    let public = "    - {condition: {access: public}, provider: home, fallback: [public, silent]}";
    check("", public, &[], &[]);
}

#[test]
fn who_can_take_nothing_contradicts() {
    check(
        "",
        "    - {condition: {access: [private, temporary]}, provider: home, fallback: [public]}",
        &[
            "storage.routing_rules[0].fallback[0]: 'public' can never take over here: its objects are public, the \
           artifact is not",
        ],
        &[],
    );
    check(
        "  fallback: [public]",
        "    - {condition: {access: private}, provider: home}",
        &[
            "storage.routing_rules[0]: 'public' of storage.fallback can never take over here: its objects are public, \
           the artifact is not",
        ],
        &[],
    );
    check(
        "  fallback: [public]",
        "    - {condition: {access: private}, provider: home, fallback: []}",
        &[],
        &[
            "storage.fallback[0]: 'public' takes over public artifacts only: otherwise its objects are public, the \
           artifact is not",
        ],
    );
}

#[test]
fn a_demand_of_encryption_holds_for_everybody_of_the_rule() {
    let rule = |provider: &str, fallback: &str| {
        let condition = "condition: {artifact_type: model}";
        format!("    - {{{condition}, provider: {provider}, encryption: required, fallback: [{fallback}]}}")
    };
    check("", &rule("sealed", ""), &[], &[]);
    check(
        "",
        &rule("home", ""),
        &[
            "storage.routing_rules[0].encryption: the rule demands encryption at rest, and its provider 'home' does not \
           declare it",
        ],
        &[],
    );
    check(
        "",
        &rule("sealed", "private"),
        &[
            "storage.routing_rules[0].fallback[0]: 'private' can never take over here: it does not declare that it \
           encrypts at rest, and the rule demands it",
        ],
        &[],
    );
    check(
        "  fallback: [private]",
        "    - {condition: {artifact_type: model}, provider: sealed, encryption: required}",
        &[
            "storage.routing_rules[0]: 'private' of storage.fallback can never take over here: it does not declare that \
           it encrypts at rest, and the rule demands it",
        ],
        &[],
    );
    let error = load(&text("", &rule("home", "")), &[]).expect_err("a contradiction");
    assert_eq!(error.problems[0].kind, ProblemKind::Contradiction);
    assert!(
        error.problems[0].to_string().contains("storage.yaml:13:"),
        "{error}"
    );
    assert!(
        error.problems[0]
            .help
            .as_ref()
            .is_some_and(|help| help.contains("protection: {encrypted: true}"))
    );
}

#[test]
fn what_is_written_is_what_is_read() {
    let text = text(
        "  fallback: [private]\n  health: {interval: 1m, failures_max: 5, canary: true}",
        "    - {condition: {artifact_type: model}, provider: sealed, encryption: required, fallback: []}",
    );
    let loaded = load(&text, &[]).expect("valid").settings.storage;
    assert_eq!(loaded.fallback, ["private"]);
    let rule: &RoutingRule = &loaded.routing_rules[0];
    assert_eq!(
        (rule.fallback.as_deref(), rule.encryption),
        (Some(&[][..]), EncryptionDemand::Required)
    );
    assert_eq!(loaded.routing_rules[1].fallback, None);
    assert_eq!(loaded.health.interval.get(), Duration::from_secs(60));
    assert_eq!((loaded.health.failures_max, loaded.health.canary), (5, true));
    assert_eq!(loaded.health.successes_min, 2, "the rest is at its default");
    let protection = |name: &str| registry().protection(&loaded.providers[name]).expect("parsed");
    assert_eq!(protection("home"), Protection::new(Reach::Private));
    assert_eq!(protection("public"), Protection::new(Reach::Public));
    assert_eq!(protection("silent"), Protection::default());
    assert_eq!(
        protection("sealed"),
        Protection::new(Reach::Private).with_encryption()
    );
    assert_eq!(protection("declared"), Protection::new(Reach::Private));
    assert_eq!(protection("absent"), Protection::default());
}

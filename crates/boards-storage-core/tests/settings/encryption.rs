//! Encryption at rest: what must be there for it, and what contradicts it.

use boards_storage_core::{Protection, Reach};

use crate::{load, registry};

/// Settings with a provider that encrypts, a plain one and a public one; `storage` and `rules` are lines of theirs.
fn text(storage: &str, rules: &str) -> String {
    format!(
        "\
storage:
  default_provider: plain
  providers:
    vault: {{type: local, config: {{base_path: a}}, encryption: true}}
    other: {{type: local, config: {{base_path: b}}, encryption: true}}
    plain: {{type: local, config: {{base_path: c}}}}
{storage}
  routing_rules:
{rules}
    - provider: plain
"
    )
}

const KEYRING: &str = "  encryption: {keyring: keys}\n";

#[track_caller]
fn check(text: &str, problems: &[&str]) {
    let told: Vec<_> = match load(text, &[]) {
        Ok(_) => Vec::new(),
        Err(error) => error
            .problems
            .iter()
            .map(|problem| format!("{}: {}", problem.path, problem.message))
            .collect(),
    };
    assert_eq!(told, problems, "{text}");
}

#[test]
fn what_encrypts_has_one_keyring() {
    check(&text(KEYRING, ""), &[]);
    check(&text("  encryption: {keyring_text: a, tenant_keys: b}", ""), &[]);
    check(
        &text("", ""),
        &[
            "storage.providers.vault.encryption: 'vault' encrypts, and storage.encryption has no keyring",
            "storage.providers.other.encryption: 'other' encrypts, and storage.encryption has no keyring",
        ],
    );
    check(
        &text("  encryption: {keyring: keys, keyring_text: secret}", ""),
        &[
            "storage.encryption.keyring_text: there is a keyring in storage.encryption.keyring and one in \
           storage.encryption.keyring_text",
        ],
    );
    check(
        &text("  encryption: {keyring: ''}", ""),
        &["storage.encryption.keyring: expected text that is not empty, found \"\""],
    );
}

#[test]
fn public_access_contradicts_encryption() {
    check(
        &text(
            KEYRING,
            "    - {condition: {access: [private, public]}, provider: vault}",
        ),
        &[
            "storage.routing_rules[0].condition.access: the rule sends public artifacts to 'vault', and \
           storage.providers.vault.encryption makes them unreadable by their URLs",
        ],
    );
    check(
        &text(KEYRING, "    - {condition: {access: private}, provider: vault}"),
        &[],
    );
    let public =
        "    open: {type: local, config: {base_path: d, public_url_base: http://x}, encryption: true}\n";
    check(
        &text(&format!("{public}{KEYRING}"), ""),
        &[
            "storage.providers.open.encryption: 'open' encrypts, and its config or its protection.reach makes its objects \
           public: nobody could read them by their URLs",
        ],
    );
}

#[test]
fn nobody_stands_in_for_what_encrypts_but_who_encrypts() {
    let rule = |fallback: &str| {
        format!("    - {{condition: {{artifact_type: model}}, provider: vault, fallback: [{fallback}]}}")
    };
    check(&text(KEYRING, &rule("other")), &[]);
    check(
        &text(KEYRING, &rule("plain")),
        &[
            "storage.routing_rules[0].fallback[0]: 'plain' can never take over here: it does not declare that it encrypts \
           at rest, and the rule demands it",
        ],
    );
    let by_default = text(&format!("{KEYRING}  fallback: [plain, other]"), "")
        .replace("default_provider: plain", "default_provider: vault");
    check(
        &by_default,
        &[
            "storage.fallback[0]: 'plain' can never take over here: it does not declare that it encrypts at rest, and the \
           rule demands it",
        ],
    );
}

#[test]
fn a_provider_that_encrypts_fulfils_the_demand_of_a_rule() {
    let rule =
        "    - {condition: {artifact_type: model}, provider: vault, encryption: required, fallback: [other]}";
    let loaded = load(&text(KEYRING, rule), &[]).expect("valid").settings.storage;
    let protection = registry().protection(&loaded.providers["vault"]).expect("parsed");
    assert_eq!(protection, Protection::new(Reach::Private).with_encryption());
    assert_eq!(
        loaded.tenant_keys_path().file_name().expect("named"),
        "tenant-keys.json"
    );
}

#[test]
fn a_keyring_in_a_text_is_never_shown() {
    let secret = "k1 = 6PNVDIQzuXnx1oNDlMFvSDTLzWvDJHrLFwK7nAWgGTY=";
    let settings = text(&format!("  encryption: {{keyring_text: \"{secret}\"}}"), "");
    let loaded = load(&settings, &[]).expect("valid");
    let shown = format!("{:?} {:?}", loaded.settings, loaded.effective());
    assert!(!shown.contains("6PNVDIQz"), "{shown}");
}

//! Any text and any environment: an answer, never a panic, and never another structure.

use boards_storage_core::{Settings, SettingsSources};
use proptest::prelude::*;
use serde_json::Value;

use crate::{EXAMPLE, EXAMPLE_VARIABLES, load, registry, variables};

/// Returns the shape of a value: names of fields and lengths of lists, without scalars.
fn structure(value: &Value) -> Value {
    match value {
        Value::Object(fields) => Value::Object(
            fields
                .iter()
                .map(|(name, value)| (name.clone(), structure(value)))
                .collect(),
        ),
        Value::Array(items) => Value::Array(items.iter().map(structure).collect()),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Value::Null,
    }
}

/// Text made of the pieces that settings and YAML are made of.
fn pieces() -> impl Strategy<Value = String> {
    let pieces = [
        "storage:",
        "\n",
        "\n  ",
        "\n    ",
        "\n      ",
        "providers:",
        "default_provider: ",
        "local",
        "type: ",
        "config:",
        "routing_rules:",
        "- ",
        "condition:",
        "size_gt: ",
        "100MB",
        "${A}",
        "${",
        "}",
        "{",
        "[",
        "]",
        ",",
        ": ",
        "\"",
        "'",
        "&a ",
        "*a",
        "<<: ",
        "!!str ",
        "---",
        "...",
        "? ",
        "| ",
        ">-",
        "#",
        "~",
        "\t",
        "%TAG ! x",
        "\u{feff}",
        "ü",
        "5",
        "-",
        "\r",
        "\0",
        "\u{85}",
    ];
    prop::collection::vec(prop::sample::select(pieces.to_vec()), 0..60).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn arbitrary_text_is_answered(text in prop_oneof![pieces(), ".{0,200}", "(?s).{0,200}"]) {
        if let Err(error) = load(&text, &[("A", "1")]) {
            prop_assert!(!error.problems.is_empty());
        }
    }

    #[test]
    fn a_spoilt_example_is_answered(at in 0_usize..900, spoil in pieces(), cut in 0_usize..40) {
        let start = EXAMPLE.floor_char_boundary(at);
        let end = EXAMPLE.ceil_char_boundary((start + cut).min(EXAMPLE.len()));
        let text = format!("{}{spoil}{}", &EXAMPLE[..start], &EXAMPLE[end..]);
        if let Err(error) = load(&text, &EXAMPLE_VARIABLES) {
            prop_assert!(!error.problems.is_empty());
        }
    }

    #[test]
    fn variables_never_change_the_structure(values in prop::collection::vec(prop_oneof![pieces(), "(?s).{0,40}"], 4)) {
        let names = EXAMPLE_VARIABLES.map(|(name, _)| name.to_owned());
        let environment: Vec<_> = names.into_iter().zip(values).collect();
        let sources = SettingsSources::new().with_file("storage.yaml", EXAMPLE).with_environment(environment.clone());
        let loaded = Settings::load(&sources, &registry());
        let loaded = loaded.expect("texts may be any text");
        let usual = load(EXAMPLE, &EXAMPLE_VARIABLES).expect("valid");
        prop_assert_eq!(structure(loaded.to_redacted_value()), structure(usual.to_redacted_value()));
        let config: Value = loaded.settings.storage.providers["supabase"].parse_config().expect("any value");
        prop_assert_eq!(config["url"].as_str(), Some(environment[0].1.as_str()));
    }

    #[test]
    fn overrides_never_change_the_structure(
        name in prop_oneof!["[A-Z_0-9]{0,30}", "(PROVIDERS__S3__CONFIG__|LIMITS__|)[A-Z]{1,8}(__[A-Z]{1,3})?"],
        value in pieces(),
    ) {
        let name = format!("BOARDS_STORAGE__{name}");
        let environment =
            variables(&EXAMPLE_VARIABLES).into_iter().chain([(name.clone(), value.clone())]);
        let sources = SettingsSources::new().with_file("storage.yaml", EXAMPLE).with_environment(environment);
        match Settings::load(&sources, &registry()) {
            Err(error) => prop_assert!(error.to_string().contains(&name), "{}", error),
            Ok(loaded) => {
                let changed = loaded.effective().iter().filter(|setting| setting.origin.to_string().ends_with(&name));
                let changed: Vec<_> = changed.collect();
                prop_assert_eq!(changed.len(), 1);
                prop_assert!(!changed[0].value.is_array() && !changed[0].value.is_object());
            }
        }
    }
}

//! The JSON Schema is one, and agrees with what loads.

use boards_storage_core::{Registry, Settings};
use jsonschema::Validator;
use serde_json::{Value, json};

use crate::{EXAMPLE, EXAMPLE_VARIABLES, load, registry};

fn validator(registry: &Registry) -> Validator {
    let schema = Settings::schema(registry);
    assert!(jsonschema::meta::is_valid(&schema), "the schema is a schema");
    assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
    jsonschema::draft202012::new(&schema).expect("a schema whose references resolve")
}

fn with_provider(provider: &Value) -> Value {
    json!({"storage": {"default_provider": "a", "providers": {"a": provider}}})
}

#[test]
fn the_schema_is_valid_with_and_without_providers() {
    let anything = with_provider(&json!({"type": "x", "config": {"y": 1}}));
    assert!(validator(&Registry::empty()).is_valid(&anything));
    assert!(!validator(&registry()).is_valid(&anything));
}

#[test]
fn the_schema_and_the_checks_agree() {
    let validator = validator(&registry());
    let local = json!({"type": "local", "config": {"base_path": "/x"}});
    let mut cases = vec![
        (json!({}), false),
        (with_provider(&local), true),
        (with_provider(&json!({"type": "local"})), false),
        (
            with_provider(&json!({"type": "local", "config": {"base_path": 5}})),
            false,
        ),
        (
            with_provider(&json!({"type": "local", "config": {"base_path": "/x", "bas": 5}})),
            false,
        ),
        (
            with_provider(&json!({"type": "local", "config": {"base_path": "/x", "mode": "sharded"}})),
            true,
        ),
        (
            with_provider(&json!({"type": "local", "config": {"base_path": "/x", "mode": "other"}})),
            false,
        ),
        (
            with_provider(
                &json!({"type": "local", "config": {"base_path": "/x", "nested": {"ratio": 1, "names": []}}}),
            ),
            true,
        ),
        (
            with_provider(&json!({"type": "local", "config": {"base_path": "/x", "nested": {"ratio": 1}}})),
            false,
        ),
        (
            with_provider(&json!({"type": "s3", "config": {"anything": [1]}})),
            true,
        ),
        (with_provider(&json!({"type": "s3"})), true),
        (with_provider(&json!({"type": "azure"})), false),
        (
            with_provider(&json!({"type": "s3", "resilience": {"retry": {"attempts_max": 20}}})),
            true,
        ),
        (
            with_provider(&json!({"type": "s3", "resilience": {"retry": {"attempts_max": 21}}})),
            false,
        ),
    ];
    for (condition, is_valid) in [
        (json!({}), true),
        (
            json!({"size_gt": "100MB", "size_lt": 200_000_000, "access": "public"}),
            true,
        ),
        (json!({"size_gt": "100M"}), false),
        (json!({"size_gt": -1}), false),
        (json!({"artifact_type": ["video", "image"]}), true),
        (json!({"artifact_type": []}), false),
        (json!({"access": "publik"}), false),
        (json!({"sise_gt": 1}), false),
    ] {
        let mut settings = with_provider(&local);
        settings["storage"]["routing_rules"] = json!([{"condition": condition, "provider": "a"}]);
        cases.push((settings, is_valid));
    }
    for (settings, is_valid) in cases {
        assert_eq!(validator.is_valid(&settings), is_valid, "{settings}");
        let loaded = load(&settings.to_string(), &[]);
        assert_eq!(loaded.is_ok(), is_valid, "{settings}: {loaded:?}");
    }
}

#[test]
fn the_example_fits_the_schema() {
    let loaded = load(EXAMPLE, &EXAMPLE_VARIABLES).expect("valid");
    assert!(validator(&registry()).is_valid(loaded.to_redacted_value()));
}

#[test]
fn the_schema_describes_fields_and_marks_secrets() {
    let schema = Settings::schema(&registry());
    let at = |pointer: &str| {
        schema
            .pointer(pointer)
            .unwrap_or_else(|| panic!("{pointer} is not there"))
    };
    assert_eq!(
        *at("/$defs/StorageSettings/properties/default_provider/description"),
        "The name of the provider that stores what no routing rule decides."
    );
    assert_eq!(
        *at("/$defs/config_local/properties/base_path/description"),
        "The directory."
    );
    assert_eq!(*at("/$defs/config_supabase/properties/key/writeOnly"), true);
    assert_eq!(*at("/$defs/config_supabase/properties/key/format"), "password");
    assert_eq!(
        *at("/$defs/config_local/properties/nested/anyOf/0/$ref"),
        "#/$defs/config_local_Nested"
    );
    assert_eq!(
        *at("/$defs/RetrySettings/properties/delay_initial/default"),
        "100ms"
    );
}

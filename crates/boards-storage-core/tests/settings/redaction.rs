//! What is shown of settings, and what is not.

use boards_storage_core::{Origin, REDACTED, Settings, SettingsSources};
use serde_json::json;

use crate::{EXAMPLE, EXAMPLE_VARIABLES, load, minimal, registry, variables};

fn sources(text: &str) -> SettingsSources {
    SettingsSources::new()
        .with_file("storage.yaml", text)
        .with_environment(variables(&EXAMPLE_VARIABLES))
}

#[test]
fn the_effective_settings_have_defaults_and_no_secrets() {
    let loaded = load(EXAMPLE, &EXAMPLE_VARIABLES).expect("valid");
    let shown = &loaded.to_redacted_value()["storage"];
    assert_eq!(
        shown["providers"],
        json!({
            "local": {"type": "local", "config": {
                "base_path": "/var/boards/storage",
                "public_url_base": "http://localhost:8000/storage",
                "fsync": true,
                "mode": "plain",
            }},
            "supabase": {"type": "supabase", "config": {
                "url": "https://abc.supabase.co",
                "key": "[redacted]",
                "bucket": "boards-artifacts",
            }},
            "s3": {"type": "s3", "config": {
                "bucket": "boards-prod-artifacts",
                "region": "us-west-2",
                "access_key_id": "AKIA123",
                "secret_access_key": "[redacted]",
            }},
        })
    );
    assert_eq!(shown["catalog"], json!({"type": "sqlite"}));
    assert_eq!(shown["limits"], json!({"content_types": [], "quota": {}}));
    assert_eq!(shown["deletion"], json!({"keep": "0s"}));
    assert_eq!(shown["resilience"]["retry"]["attempts_max"], 3);
    assert_eq!(
        shown["resilience"]["timeout"],
        json!({
            "enabled": true, "control": "30s", "bulk": "10m", "idle": "30s", "upload_per_second_min": "64KiB",
        })
    );
    assert_eq!(
        shown["resilience"]["breaker"],
        json!({
            "enabled": true, "window": "calls", "window_calls": 100, "window_time": "1m", "calls_min": 10,
            "failure_rate_percent": 50, "slow_rate_percent": 100, "slow_time": "10s", "open_time": "30s",
            "half_open_calls": 5,
        })
    );
    assert_eq!(
        shown["resilience"]["limits"],
        json!({
            "enabled": true, "concurrency": 512, "queue_length": 1024, "queue_time": "30s", "requests_per_second": 0,
            "upload_per_second": "0B", "download_per_second": "0B",
        })
    );
    assert_eq!(
        shown["resilience"]["hedge"],
        json!({
            "enabled": false, "percentile": 95, "samples_min": 50, "delay_min": "5ms", "delay_max": "5s",
            "extra_load_percent": 5,
        })
    );
    assert_eq!(
        shown["routing_rules"][0]["condition"],
        json!({"artifact_type": "video", "size_gt": "100MB"})
    );
}

#[test]
fn nothing_that_can_be_printed_has_a_secret() {
    let loaded = load(EXAMPLE, &EXAMPLE_VARIABLES).expect("valid");
    let printed = format!("{loaded:?} {:?} {:?}", loaded.settings, sources(EXAMPLE));
    assert!(printed.contains("ProviderSettings"), "{printed}");
    assert!(!printed.contains("hunter2"), "{printed}");
    let config = &loaded.settings.storage.providers["supabase"];
    assert!(!format!("{:?}", config.parse_config::<crate::SupabaseSettings>()).contains("hunter2"));
}

#[test]
fn problems_show_no_secret() {
    let supabase = |field: &str| {
        format!(
            "storage:\n  default_provider: a\n  providers:\n    a:\n      type: supabase\n      config:\n        {field}\n"
        )
    };
    for field in [
        "key: 7112233",
        "key: [hunter2]",
        "pin: 7112233",
        "passphrase_hint: 7112233",
        "keyy: hunter2",
        "url: {a: hunter2}",
        "url: hunter${2",
    ] {
        let error = load(&supabase(field), &[]).expect_err("wrong");
        let shown = format!("{error} {error:?}");
        assert!(
            !shown.contains("hunter2") && !shown.contains("7112233"),
            "{field}: {shown}"
        );
        let path = format!(
            "storage.providers.a.config.{}",
            field.split(':').next().expect("a field")
        );
        assert!(
            error.problems.iter().any(|problem| problem.path == path),
            "{field}: {shown}"
        );
    }
}

#[test]
fn a_schema_may_say_what_is_a_secret_and_what_is_not() {
    let text = "storage:\n  default_provider: a\n  providers:\n    a:\n      type: supabase\n      config: \
                {url: \"https://me:hunter2@h/x?sig=hunter2\", key: hunter2, bucket: b, pin: hunter2, \
                passphrase_hint: hunter2, key_style: dotted}\n";
    let loaded = load(text, &[]).expect("valid");
    assert_eq!(
        loaded.to_redacted_value()["storage"]["providers"]["a"]["config"],
        json!({
            "url": "https://[redacted]@h/x?sig=[redacted]",
            "key": REDACTED,
            "bucket": "b",
            "pin": REDACTED,
            "passphrase_hint": REDACTED,
            "key_style": "dotted",
        })
    );
}

#[test]
fn every_value_knows_where_it_comes_from() {
    let sources = sources(EXAMPLE)
        .with_defaults(json!({"storage": {"data_path": "/d"}}))
        .with_environment(variables(&EXAMPLE_VARIABLES).into_iter().chain(variables(&[(
            "BOARDS_STORAGE__PROVIDERS__S3__CONFIG__REGION",
            "eu-central-1",
        )])));
    let loaded = Settings::load(&sources, &registry()).expect("valid");
    let setting = |path: &str| {
        let found = loaded.effective().iter().find(|setting| setting.path == path);
        found.unwrap_or_else(|| panic!("{path} is not there: {:?}", loaded.effective()))
    };
    assert_eq!(
        setting("storage.default_provider").origin.to_string(),
        "storage.yaml:3:21"
    );
    assert_eq!(
        setting("storage.routing_rules[0].condition.size_gt")
            .origin
            .to_string(),
        "storage.yaml:31:18"
    );
    let key = setting("storage.providers.supabase.config.key");
    assert_eq!(
        (key.value.clone(), key.variables.as_slice()),
        (json!(REDACTED), &["SUPABASE_ANON_KEY".to_owned()][..])
    );
    let region = setting("storage.providers.s3.config.region");
    assert_eq!(region.value, json!("eu-central-1"));
    assert_eq!(
        region.origin,
        Origin::Variable {
            name: "BOARDS_STORAGE__PROVIDERS__S3__CONFIG__REGION".to_owned()
        }
    );
    assert_eq!(setting("storage.data_path").origin, Origin::Default);
    assert_eq!(setting("storage.resilience.retry.time_max").value, json!("2m"));
    assert_eq!(setting("storage.limits.content_types").value, json!([]));
}

#[test]
fn a_config_of_a_secret_name_is_hidden_as_a_whole() {
    let text = "storage:\n  default_provider: a\n  providers:\n    a:\n      type: s3\n      config: \
                {credentials: {user: me, pin: 1234, on: true}, tokens: [x, {y: z}]}\n";
    let loaded = load(text, &[]).expect("valid");
    assert_eq!(
        loaded.to_redacted_value()["storage"]["providers"]["a"]["config"],
        json!({
            "credentials": {"user": REDACTED, "pin": REDACTED, "on": true},
            "tokens": [REDACTED, {"y": REDACTED}],
        })
    );
    assert_eq!(load(&minimal("", ""), &[]).expect("valid").notes, []);
}

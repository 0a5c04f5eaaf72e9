//! What loads, in which order, and what it becomes.

use std::path::PathBuf;
use std::time::Duration;

use boards_storage_core::{
    AccessClass, ArtifactType, BreakerWindow, ByteSize, CatalogSettings, ContentType, ProviderSettings,
    Registry, RoutingRule, Settings, SettingsSources, StorageSettings,
};
use serde_json::json;

use crate::{
    EXAMPLE, EXAMPLE_VARIABLES, LocalSettings, Mode, SupabaseSettings, load, minimal, registry, variables,
};

#[test]
fn the_example_of_the_design_loads_verbatim() {
    let loaded = load(EXAMPLE, &EXAMPLE_VARIABLES).expect("valid");
    let storage = &loaded.settings.storage;
    assert_eq!(storage.default_provider, "supabase");
    assert_eq!(
        storage.providers.keys().collect::<Vec<_>>(),
        ["local", "s3", "supabase"]
    );

    let [videos, models, rest] = storage.routing_rules.as_slice() else {
        panic!("three rules")
    };
    let condition = videos.condition.as_ref().expect("a condition");
    assert!(
        condition
            .artifact_type
            .as_ref()
            .expect("given")
            .contains(&ArtifactType::Video)
    );
    assert_eq!(condition.size_gt, Some(ByteSize::from_bytes(100_000_000)));
    assert_eq!(videos.provider, "s3");
    assert_eq!(
        (models.provider.as_str(), rest.provider.as_str()),
        ("supabase", "supabase")
    );
    assert!(rest.is_unconditional() && !models.is_unconditional());

    let supabase: SupabaseSettings = storage.providers["supabase"].parse_config().expect("valid");
    assert_eq!(
        (supabase.url.as_str(), supabase.key.expose()),
        ("https://abc.supabase.co", "anon-hunter2")
    );
    let local: LocalSettings = storage.providers["local"].parse_config().expect("valid");
    assert_eq!(
        (local.base_path.as_str(), local.fsync, local.mode),
        ("/var/boards/storage", true, Mode::Plain)
    );

    let notes: Vec<_> = loaded.notes.iter().map(ToString::to_string).collect();
    assert_eq!(
        notes,
        [
            "storage.yaml:20:13: storage.providers.s3.type: the provider type 's3' is not compiled in, \
          so its config is not checked; enable the feature `s3`"
        ]
    );
}

#[test]
fn defaults_are_sensible() {
    let loaded = load(&minimal("", ""), &[]).expect("valid");
    let storage = &loaded.settings.storage;
    assert_eq!(storage.data_path, PathBuf::from("./boards-storage-data"));
    assert!(matches!(storage.catalog, CatalogSettings::Sqlite { path: None }));
    assert_eq!(
        storage.catalog_path(),
        Some(PathBuf::from("./boards-storage-data/catalog.db"))
    );
    assert!(storage.limits.size_max.is_none());
    assert!(storage.limits.allows(&ContentType::octet_stream()));
    let resilience = storage.resilience_of("local");
    assert_eq!(
        (resilience.retry.enabled, resilience.retry.attempts_max),
        (true, 3)
    );
    assert_eq!(resilience.retry.delay_initial.get(), Duration::from_millis(100));
    assert_eq!(resilience.retry.delay_max.get(), Duration::from_secs(20));
    assert_eq!(resilience.retry.time_max.get(), Duration::from_secs(120));
    assert_eq!(resilience.timeout.control.get(), Duration::from_secs(30));
    assert_eq!(resilience.timeout.idle.get(), Duration::from_secs(30));
    assert_eq!(resilience.timeout.bulk.get(), Duration::from_mins(10));
    assert!(resilience.breaker.enabled && resilience.limits.enabled && !resilience.hedge.enabled);
    assert_eq!(loaded.notes, []);
}

#[test]
fn settings_made_in_code_have_the_defaults_of_a_file() {
    let provider = ProviderSettings::new("local", "local", json!({"base_path": "/data"}));
    let made = Settings::new(StorageSettings::new(provider.clone()));
    let loaded = load(&minimal("", ""), &[]).expect("valid").settings;
    assert_eq!(format!("{made:?}"), format!("{loaded:?}"));
    let made = made
        .storage
        .with_provider(ProviderSettings::new("b", "s3", json!({})))
        .with_rule(RoutingRule::new("b"));
    assert_eq!(made.providers.keys().collect::<Vec<_>>(), ["b", "local"]);
    assert!(made.routing_rules[0].is_unconditional());
}

#[test]
fn everything_that_can_be_given_is_read() {
    let loaded = load(
        &minimal(
            "      resilience: {retry: {attempts_max: 5}, timeout: {enabled: false}, breaker: {window: time}}
  data_path: /d
  catalog: {type: memory}
  limits: {size_max: 2GiB, content_types: [image/*, video/mp4]}
  key_template: \"x/{artifact_type}/{tenant_id}/{board_id}/{artifact_id}/{variant}\"
  resilience: {retry: {time_max: 1m 30s}, breaker: {open_time: 5s}, limits: {concurrency: 7}}
  routing_rules:
    - name: big
      condition:
        artifact_type: [video, mesh]
        size_gte: 1MiB
        size_lt: 2000000
        content_type: [video/*]
        tenant_id: acme
        board_id: [\"1\", b]
        access: [public, temporary]
      provider: local
",
            "",
        ),
        &[],
    )
    .expect("valid");
    let storage = &loaded.settings.storage;
    let resilience = storage.resilience_of("local");
    assert_eq!(
        (resilience.retry.attempts_max, resilience.timeout.enabled),
        (5, false)
    );
    assert_eq!(resilience.retry.time_max.get(), Duration::from_secs(90));
    assert_eq!(
        (resilience.breaker.window, resilience.breaker.open_time.get()),
        (BreakerWindow::Time, Duration::from_secs(5))
    );
    assert_eq!(resilience.limits.concurrency, 7);
    assert_eq!(storage.resilience_of("other").retry.attempts_max, 3);
    assert_eq!(storage.catalog_path(), None);
    assert_eq!(
        storage.key_template.to_string(),
        "x/{artifact_type}/{tenant_id}/{board_id}/{artifact_id}/{variant}"
    );
    assert!(
        storage
            .limits
            .allows(&ContentType::parse("image/png").expect("valid"))
    );
    assert!(
        !storage
            .limits
            .allows(&ContentType::parse("text/plain").expect("valid"))
    );
    let condition = storage.routing_rules[0].condition.as_ref().expect("given");
    assert_eq!(condition.size_gte, Some(ByteSize::from_bytes(1 << 20)));
    assert_eq!(condition.size_lt, Some(ByteSize::from_bytes(2_000_000)));
    assert_eq!(condition.board_id.as_ref().expect("given").as_slice().len(), 2);
    assert!(
        condition
            .access
            .as_ref()
            .expect("given")
            .contains(&AccessClass::Temporary)
    );
    assert!(
        !condition
            .access
            .as_ref()
            .expect("given")
            .contains(&AccessClass::Private)
    );
}

#[test]
fn the_environment_overrides_the_file_and_the_file_the_defaults() {
    let defaults = json!({"storage": {
        "default_provider": "local",
        "data_path": "/default",
        "limits": {"size_max": "1MB", "content_types": ["image/*"]},
        "providers": {"local": {"type": "local", "config": {"base_path": "/default", "fsync": false}}},
    }});
    let file = "storage:\n  data_path: /file\n  limits: {size_max: 2MB}\n  providers: {local: {config: {workers: 1}}}\n";
    let environment = [
        ("BOARDS_STORAGE__LIMITS__SIZE_MAX", "3MB"),
        ("BOARDS_STORAGE__PROVIDERS__LOCAL__CONFIG__WORKERS", "7"),
    ];
    let load = |sources: SettingsSources| {
        Settings::load(&sources, &registry())
            .expect("valid")
            .settings
            .storage
    };
    let config = |storage: &boards_storage_core::StorageSettings| {
        storage.providers["local"]
            .parse_config::<LocalSettings>()
            .expect("valid")
    };
    let size = |storage: &boards_storage_core::StorageSettings| storage.limits.size_max.map(ByteSize::bytes);

    let sources = SettingsSources::new().with_defaults(defaults);
    let storage = load(sources.clone());
    assert_eq!(
        (storage.data_path.clone(), size(&storage)),
        (PathBuf::from("/default"), Some(1_000_000))
    );
    assert_eq!(config(&storage).workers, None);

    let sources = sources.with_file("f", file);
    let storage = load(sources.clone());
    assert_eq!(
        (storage.data_path.clone(), size(&storage)),
        (PathBuf::from("/file"), Some(2_000_000))
    );
    assert_eq!(
        (config(&storage).workers, config(&storage).fsync),
        (Some(1), false)
    );

    let storage = load(sources.with_environment(variables(&environment)));
    assert_eq!(
        (storage.data_path.clone(), size(&storage)),
        (PathBuf::from("/file"), Some(3_000_000))
    );
    assert_eq!(
        (config(&storage).workers, config(&storage).base_path.as_str()),
        (Some(7), "/default")
    );
    assert_eq!(storage.limits.content_types.len(), 1);
}

#[test]
fn a_variable_becomes_what_its_field_wants() {
    let environment = [("N", "12345"), ("B", "false"), ("R", "2"), ("E", "")];
    let config = "        workers: ${N}\n        fsync: ${B}\n        public_url_base: ${N}\n        \
                  nested: {ratio: 1.5, names: [\"${N}\", \"a${N}b\"]}\n";
    let storage = load(&minimal("", config), &environment)
        .expect("valid")
        .settings
        .storage;
    let local: LocalSettings = storage.providers["local"].parse_config().expect("valid");
    assert_eq!(
        (local.workers, local.fsync, local.public_url_base.as_deref()),
        (Some(12345), false, Some("12345"))
    );
    let nested = local.nested.expect("given");
    assert_eq!(
        (nested.ratio, nested.names),
        (1.5, vec!["12345".to_owned(), "a12345b".to_owned()])
    );

    let quoted =
        load(&minimal("", "        workers: \"${N}\"\n"), &environment).expect_err("quotes stay text");
    assert!(
        quoted.problems[0].message.starts_with("expected a whole number"),
        "{quoted}"
    );
    let empty =
        load(&minimal("", "        workers: ${E}\n"), &environment).expect_err("nothing is no number");
    assert!(
        empty.problems[0].message.starts_with("expected a whole number"),
        "{empty}"
    );
}

#[test]
fn the_config_of_a_type_that_is_not_compiled_in_is_kept_as_yaml_says() {
    let text = "storage:\n  default_provider: a\n  providers:\n    a:\n      type: s3\n      config: \
                {port: 5, \"name\": \"${P}\", deep: {x: [null, true]}}\n";
    let loaded = load(text, &[("P", "7")]).expect("valid");
    let config: serde_json::Value = loaded.settings.storage.providers["a"]
        .parse_config()
        .expect("any value");
    assert_eq!(
        config,
        json!({"port": 5, "name": "7", "deep": {"x": [null, true]}})
    );
    let text = "storage:\n  default_provider: a\n  providers:\n    a:\n      type: s3\n      config:\n        port: ${P}\n";
    let loaded = load(text, &[("P", "7")]).expect("valid");
    let config: serde_json::Value = loaded.settings.storage.providers["a"]
        .parse_config()
        .expect("any value");
    assert_eq!(config, json!({"port": 7}));
}

#[test]
fn null_is_as_if_it_were_not_given() {
    let loaded = load(
        &minimal(
            "  routing_rules:\n  limits: ~\n  catalog: null\n",
            "        workers:\n",
        ),
        &[],
    );
    let storage = loaded.expect("valid").settings.storage;
    assert!(storage.routing_rules.is_empty());
    assert_eq!(
        storage.providers["local"]
            .parse_config::<LocalSettings>()
            .expect("valid")
            .workers,
        None
    );
}

#[test]
fn json_and_a_schema_field_are_fine() {
    let text = r#"{"$schema": "./storage.schema.json", "storage": {"default_provider": "a",
        "providers": {"a": {"type": "local", "config": {"base_path": "/x"}}}}}"#;
    let settings = load(text, &[]).expect("valid").settings;
    assert_eq!(settings.schema.as_deref(), Some("./storage.schema.json"));
}

#[test]
fn rules_that_are_never_reached_and_odd_types_are_noted() {
    let rules = "  routing_rules:\n    - {provider: local, condition: {artifact_type: vidoe}}\n    - provider: local\n      \
                 condition: {}\n    - {provider: local, name: late}\n";
    let loaded = load(&minimal(rules, ""), &[]).expect("valid");
    let notes: Vec<_> = loaded.notes.iter().map(ToString::to_string).collect();
    assert_eq!(
        notes,
        [
            "storage.yaml:9:52: storage.routing_rules[0].condition.artifact_type: 'vidoe' is taken for an artifact \
             type of your own; if you mean the built-in type, write 'video'",
            "storage.yaml:12:7: storage.routing_rules[2]: this rule is never reached: storage.routing_rules[1] has no \
             condition and matches everything; move the rule without a condition to the end",
        ]
    );
}

#[test]
fn a_config_that_only_its_own_type_can_refuse_names_its_line() {
    #[derive(Debug, serde::Deserialize)]
    struct Stricter {
        #[expect(dead_code, reason = "never parsed")]
        base_path: std::net::IpAddr,
    }
    let storage = load(&minimal("", ""), &[]).expect("valid").settings.storage;
    let error = storage.providers["local"]
        .parse_config::<Stricter>()
        .expect_err("no address");
    assert_eq!(
        error.message(),
        "storage.yaml:7:20: storage.providers.local.config.base_path: invalid IP address syntax"
    );
}

#[test]
fn an_empty_registry_knows_no_type() {
    let sources = SettingsSources::new().with_file("f", minimal("", ""));
    let error = Settings::load(&sources, &Registry::empty()).expect_err("no type is known");
    assert!(
        error.problems[0].to_string().starts_with(
            "f:5:13: storage.providers.local.type: expected a provider type that is compiled in (there is none)"
        ),
        "{error}"
    );
}

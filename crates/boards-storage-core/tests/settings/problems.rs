//! Every kind of problem, with its message, place and suggestion; values out of bounds are in `bounds`.

use boards_storage_core::{Error, ErrorKind, ProblemKind, Settings, SettingsSources};

use crate::{EXAMPLE, load, minimal, registry};

#[track_caller]
pub(crate) fn check_with(text: &str, environment: &[(&str, &str)], expected: &[&str]) {
    let problems: Vec<_> = match load(text, environment) {
        Ok(_) => Vec::new(),
        Err(error) => error.problems.iter().map(ToString::to_string).collect(),
    };
    assert_eq!(problems, expected, "{text}");
}

#[track_caller]
pub(crate) fn check(text: &str, expected: &[&str]) {
    check_with(text, &[], expected);
}

/// Checks one line below `storage`: line 8 of the file, without the file's name in what is expected.
#[track_caller]
pub(crate) fn check_storage(line: &str, expected: &[&str]) {
    let expected: Vec<_> = expected
        .iter()
        .map(|problem| format!("storage.yaml:{problem}"))
        .collect();
    check(
        &minimal(&format!("  {line}\n"), ""),
        &expected.iter().map(String::as_str).collect::<Vec<_>>(),
    );
}

/// Checks one line in the `config` of the provider `local`: line 8 of the file.
#[track_caller]
pub(crate) fn check_config(line: &str, expected: &[&str]) {
    let expected: Vec<_> = expected
        .iter()
        .map(|problem| problem.replacen("config.", "storage.providers.local.config.", 1))
        .map(|problem| format!("storage.yaml:{problem}"))
        .collect();
    check(
        &minimal("", &format!("        {line}\n")),
        &expected.iter().map(String::as_str).collect::<Vec<_>>(),
    );
}

#[test]
fn the_root_and_its_required_fields() {
    check(
        "",
        &[
            "storage.yaml:1:1: storage: the field is required: expected a map with 'default_provider', 'providers'",
        ],
    );
    check(
        "just text",
        &["storage.yaml:1:1: expected a map with 'storage', found text"],
    );
    check(
        "storage: 5",
        &[
            "storage.yaml:1:10: storage: expected a map with 'default_provider', 'providers', found the number 5",
        ],
    );
    check(
        "storage:\n  providers: {}",
        &[
            "storage.yaml:1:1: storage.default_provider: the field is required: expected text that is not empty",
            "storage.yaml:2:3: storage.providers: expected a map that is not empty, found an empty map",
        ],
    );
    check(
        "providers: {local: {type: s3}}\n",
        &[
            "storage.yaml:1:1: providers: there is no such field; it belongs in 'storage'",
            "storage.yaml:1:1: storage: the field is required: expected a map with 'default_provider', 'providers'",
        ],
    );
}

#[test]
fn a_file_that_is_not_yaml() {
    check(
        "storage:\n\tx: 1",
        &["storage.yaml:2:2: this is not YAML: tabs disallowed within this context (block indentation)"],
    );
    check(
        "storage: {a: ${B}}",
        &[
            "storage.yaml:1:15: this is not YAML: while parsing a flow mapping, did not find expected ',' or '}'; \
             put a value with ${…} in quotes inside of {…} and […]",
        ],
    );
    check(
        &minimal("  data_path: a\n  data_path: b\n", ""),
        &["storage.yaml:9:3: storage.data_path: the field is given twice, first in line 8"],
    );
}

#[test]
fn unknown_fields_have_a_nearest_name_or_a_list() {
    check_storage(
        "data-path: x",
        &["8:3: storage.data-path: there is no such field; did you mean 'data_path'?"],
    );
    check_storage(
        "limits: {color: red}",
        &[
            "8:12: storage.limits.color: there is no such field; the fields are 'content_types', 'quota', 'size_max'",
        ],
    );
    check_storage(
        "routing_rules: [{condition: {artefact_type: video}, provider: local}]",
        &[
            "8:32: storage.routing_rules[0].condition.artefact_type: there is no such field; \
           did you mean 'artifact_type'?",
        ],
    );
    check_storage(
        "routing_rules: [{size_gt: 1MB, provider: local}]",
        &["8:20: storage.routing_rules[0].size_gt: there is no such field; it belongs in 'condition'"],
    );
    check_storage(
        "catalog: {type: memory, path: x}",
        &["8:27: storage.catalog.path: there is no such field; the fields are 'type'"],
    );
    check_config(
        "bas_path: x",
        &["8:9: config.bas_path: there is no such field; did you mean 'base_path'?"],
    );
    check_config(
        "nested: {ratio: 1, names: [], namez: 2}",
        &["8:39: config.nested.namez: there is no such field; did you mean 'names'?"],
    );
}

#[test]
fn values_of_another_type() {
    check_storage(
        "routing_rules: local",
        &["8:18: storage.routing_rules: expected a list, found \"local\""],
    );
    check_storage(
        "limits: []",
        &["8:3: storage.limits: expected a map, found an empty list"],
    );
    check_storage(
        "catalog: sqlite",
        &["8:12: storage.catalog: expected a map with 'type', found \"sqlite\""],
    );
    check_storage(
        "data_path: 5",
        &["8:14: storage.data_path: expected text that is not empty, found the number 5; put it in quotes"],
    );
    check_storage(
        "data_path: \"\"",
        &["8:14: storage.data_path: expected text that is not empty, found \"\""],
    );
    check_config(
        "fsync: on",
        &["8:16: config.fsync: expected true or false, found \"on\"; write true, without quotes"],
    );
    check_config(
        "fsync: perhaps",
        &["8:16: config.fsync: expected true or false, found \"perhaps\""],
    );
    check_config(
        "workers: \"5\"",
        &[
            "8:18: config.workers: expected a whole number from 0 to 65535, found \"5\"; write it without quotes",
        ],
    );
    check_config(
        "workers: 1.5",
        &["8:18: config.workers: expected a whole number from 0 to 65535, found the number 1.5"],
    );
    check_config(
        "nested: {ratio: x, names: [1, null]}",
        &[
            "8:25: config.nested.ratio: expected a number, found \"x\"",
            "8:36: config.nested.names[0]: expected text, found the number 1; put it in quotes",
            "8:39: config.nested.names[1]: expected text, found nothing",
        ],
    );
    check_storage(
        "routing_rules: [{condition: {tenant_id: 5}, provider: local}]",
        &[
            "8:43: storage.routing_rules[0].condition.tenant_id: expected a tenant id (one segment of a key) \
           or a list that is not empty, found the number 5; put it in quotes",
        ],
    );
}

#[test]
fn providers_and_their_types() {
    let provider =
        |provider: &str| format!("storage:\n  default_provider: a\n  providers:\n    a: {provider}\n");
    check(
        &provider("{type: locl}"),
        &[
            "storage.yaml:4:15: storage.providers.a.type: expected one of 'local', 'supabase', 's3', found \"locl\"; \
           did you mean 'local'?",
        ],
    );
    check(
        &provider("{type: azure}"),
        &[
            "storage.yaml:4:15: storage.providers.a.type: expected one of 'local', 'supabase', 's3', found \"azure\"; \
           if a crate of yours provides it, add a `use my_provider as _;` line, or the linker drops it",
        ],
    );
    check(
        &provider("{type: [s3]}"),
        &[
            "storage.yaml:4:9: storage.providers.a.type: expected one of 'local', 'supabase', 's3', found a list",
        ],
    );
    check(
        &provider("local"),
        &["storage.yaml:4:8: storage.providers.a: expected a map with 'type', found \"local\""],
    );
    check(
        &provider("{config: {}}"),
        &[
            "storage.yaml:4:5: storage.providers.a.type: the field is required: expected one of 'local', 'supabase', 's3'",
        ],
    );
    check(
        &provider("{type: local}"),
        &[
            "storage.yaml:4:5: storage.providers.a.config: the field is required: expected a map with 'base_path'",
        ],
    );
    check(
        &provider("{type: local, base_path: x}"),
        &[
            "storage.yaml:4:5: storage.providers.a.config: the field is required: expected a map with 'base_path'",
            "storage.yaml:4:22: storage.providers.a.base_path: there is no such field; it belongs in 'config'",
        ],
    );
    check(
        &provider("{type: s3, config: 5}"),
        &["storage.yaml:4:27: storage.providers.a.config: expected a map, found the number 5"],
    );
    check(
        "storage:\n  default_provider: b b\n  providers:\n    b b: {type: s3}\n",
        &[
            "storage.yaml:4:5: storage.providers[\"b b\"]: expected a provider name (1 to 64 of a-z, A-Z, 0-9, '-', '_' \
           and '.', beginning with a letter or digit), found \"b b\"",
        ],
    );
}

#[test]
fn names_of_providers_must_exist() {
    check(
        &EXAMPLE
            .replace("${", "$${")
            .replace("default_provider: \"supabase\"", "default_provider: \"supabas\""),
        &[
            "storage.yaml:3:21: storage.default_provider: expected the name of a provider ('local', 's3', 'supabase'), \
           found \"supabas\"; did you mean 'supabase'?",
        ],
    );
    check_storage(
        "routing_rules: [{provider: local}, {provider: tape}]",
        &[
            "8:49: storage.routing_rules[1].provider: expected the name of a provider ('local'), found \"tape\"",
        ],
    );
}

#[test]
fn an_unset_variable_is_named_with_its_field() {
    check(
        EXAMPLE,
        &[
            "storage.yaml:15:14: storage.providers.supabase.config.url: \
             the environment variable 'SUPABASE_URL' is not set; set it, or give a default: ${SUPABASE_URL:-default}",
            "storage.yaml:16:14: storage.providers.supabase.config.key: the environment variable \
             'SUPABASE_ANON_KEY' is not set; set it, or give a default: ${SUPABASE_ANON_KEY:-default}",
            "storage.yaml:24:24: storage.providers.s3.config.access_key_id: the environment variable \
             'AWS_ACCESS_KEY_ID' is not set; set it, or give a default: ${AWS_ACCESS_KEY_ID:-default}",
            "storage.yaml:25:28: storage.providers.s3.config.secret_access_key: the environment variable \
             'AWS_SECRET_ACCESS_KEY' is not set; set it, or give a default: ${AWS_SECRET_ACCESS_KEY:-default}",
        ],
    );
    check_config(
        "workers: ${W:?say how many}",
        &["8:18: config.workers: the environment variable 'W' is not set: say how many"],
    );
    check(
        "storage:\n  default_provider: a\n  providers:\n    a:\n      type: ${KIND}\n",
        &[
            "storage.yaml:5:13: storage.providers.a.type: the environment variable 'KIND' is not set; \
           set it, or give a default: ${KIND:-default}",
        ],
    );
    check_config(
        "public_url_base: hunter${2",
        &[
            "8:26: config.public_url_base: a '${' has no closing brace; write ${NAME}, ${NAME:-default} or \
           ${NAME:?message}, and $${ where the text is meant to have ${",
        ],
    );
}

#[test]
fn values_of_the_environment_name_the_variable() {
    check_with(
        &minimal("", ""),
        &[
            ("BOARDS_STORAGE__DEFAULT_PROVIDER", "lokal"),
            ("BOARDS_STORAGE__DEFAULT_PROVIDR", "x"),
            ("BOARDS_STORAGE__LIMITS__SIZE_MAX", "many"),
            ("BOARDS_STORAGE__PROVIDERS__LOCAL__CONFIG__WORKERS", "x"),
        ],
        &[
            "environment variable BOARDS_STORAGE__DEFAULT_PROVIDER: storage.default_provider: \
             expected the name of a provider ('local'), found \"lokal\"; did you mean 'local'?",
            "environment variable BOARDS_STORAGE__DEFAULT_PROVIDR: storage.default_providr: \
             there is no such field; did you mean 'default_provider'?",
            "environment variable BOARDS_STORAGE__LIMITS__SIZE_MAX: storage.limits.size_max: \
             expected a size such as \"100MB\" or \"1.5GiB\", found \"many\"",
            "environment variable BOARDS_STORAGE__PROVIDERS__LOCAL__CONFIG__WORKERS: \
             storage.providers.local.config.workers: expected a whole number from 0 to 65535, \
             found the value of BOARDS_STORAGE__PROVIDERS__LOCAL__CONFIG__WORKERS",
        ],
    );
    check_with(
        &minimal("  routing_rules: [{provider: local}]\n", ""),
        &[("BOARDS_STORAGE__ROUTING_RULES__0__PROVIDER", "x")],
        &[
            "environment variable BOARDS_STORAGE__ROUTING_RULES__0__PROVIDER: storage.routing_rules: \
           expected a list, found a map; an environment variable can't give a list or a map; write it into the file",
        ],
    );
}

#[test]
fn all_problems_are_told_at_once_and_in_order() {
    let text = "storage:\n  default_provider: lokal\n  providers:\n    local: {type: local, config: {base_pat: x}}\n    \
                other: {type: tape}\n  routing_rules:\n    - provider: ${WHERE}\n    - condition: {size_gt: 5X}\n      \
                provider: lcal\n  limitz: 5\n";
    let error = load(text, &[("BOARDS_STORAGE__DATA_PATH", "")]).expect_err("wrong all over");
    let kinds: Vec<_> = error.problems.iter().map(|problem| problem.kind).collect();
    use ProblemKind::{BadValue, MissingField, UnknownField, UnknownProvider, UnsetVariable};
    let expected = [
        UnknownProvider,
        MissingField,
        UnknownField,
        BadValue,
        UnsetVariable,
        BadValue,
        UnknownProvider,
        UnknownField,
        BadValue,
    ];
    assert_eq!(kinds, expected, "{error}");
    assert!(
        error
            .to_string()
            .starts_with("the settings have 9 problems\n  storage.yaml:2:21: "),
        "{error}"
    );
    assert_eq!(error.to_string().lines().count(), 10);
    let json = serde_json::to_value(&error).expect("json");
    assert_eq!(json["problems"][0]["origin"]["line"], 2);
    assert_eq!(json["problems"][0]["kind"], "unknown_provider");
    assert_eq!(json["problems"][0]["nearest"], "local");
    let message = error.to_string();
    let error = Error::from(error);
    assert_eq!(
        (error.kind(), error.message()),
        (ErrorKind::Configuration, message.as_str())
    );
}

#[test]
fn without_a_file_the_defaults_are_named() {
    let error = Settings::load(&SettingsSources::new(), &registry()).expect_err("nothing is set");
    assert_eq!(
        error.problems[0].to_string(),
        "defaults: storage: the field is required: expected a map with 'default_provider', 'providers'"
    );
}

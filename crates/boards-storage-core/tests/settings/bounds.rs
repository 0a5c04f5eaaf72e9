//! Values of the right type that are not allowed, and the edges of what is.

use crate::minimal;
use crate::problems::{check, check_config, check_storage};

#[test]
fn values_that_are_not_allowed() {
    check_storage(
        "catalog: {type: sqlit}",
        &[
            "8:19: storage.catalog.type: expected one of 'sqlite', 'memory', found \"sqlit\"; did you mean 'sqlite'?",
        ],
    );
    check_storage(
        "catalog: {path: x}",
        &["8:3: storage.catalog.type: the field is required: expected one of 'sqlite', 'memory'"],
    );
    check_storage(
        "key_template: x",
        &["8:17: storage.key_template: expected a key template such as \
           \"{tenant_id}/{artifact_type}/{board_id}/{artifact_id}/{variant}\", found \"x\""],
    );
    check_config(
        "mode: shardd",
        &["8:15: config.mode: expected one of 'plain', 'sharded', found \"shardd\"; did you mean 'sharded'?"],
    );
    check_config("workers: 65535", &[]);
    check_config(
        "workers: 65536",
        &["8:18: config.workers: expected a whole number from 0 to 65535, found the number 65536"],
    );
    check_config(
        "workers: -1",
        &["8:18: config.workers: expected a whole number from 0 to 65535, found the number -1"],
    );
    let condition =
        |condition: &str| format!("routing_rules: [{{condition: {{{condition}}}, provider: local}}]");
    check_storage(
        &condition("artifact_type: Video"),
        &[
            "8:47: storage.routing_rules[0].condition.artifact_type: expected an artifact type (image, video, audio, \
           text, model, dataset, intermediate or a name of a-z, 0-9, '-' and '_'), found \"Video\"",
        ],
    );
    check_storage(
        &condition("access: [private, publik]"),
        &[
            "8:50: storage.routing_rules[0].condition.access[1]: expected one of 'public', 'private', 'temporary', \
           'authenticated', found \"publik\"; did you mean 'public'?",
        ],
    );
    check_storage(
        &condition("content_type: [image/*, png]"),
        &[
            "8:56: storage.routing_rules[0].condition.content_type[1]: expected a content type or a pattern such as \
           \"image/*\", found \"png\"",
        ],
    );
    check_storage(
        &condition("board_id: []"),
        &[
            "8:32: storage.routing_rules[0].condition.board_id: expected a list that is not empty, found an empty list",
        ],
    );
}

#[test]
fn sizes_and_their_comparisons() {
    let condition =
        |condition: &str| format!("routing_rules: [{{condition: {{{condition}}}, provider: local}}]");
    let path = "storage.routing_rules[0].condition";
    for (value, found) in [
        ("100 MBB", "\"100 MBB\""),
        ("100M", "\"100M\""),
        ("-5", "the number -5"),
        ("1.5", "the number 1.5"),
        ("16EiB", "\"16EiB\""),
    ] {
        let expected =
            format!("8:41: {path}.size_gt: expected a size such as \"100MB\" or \"1.5GiB\", found {found}");
        check_storage(&condition(&format!("size_gt: {value}")), &[&expected]);
    }
    for allowed in [
        "size_gt: 1MB, size_lt: 1000002",
        "size_gte: 5, size_lte: 5",
        "size_gt: 0, size_gte: 1MiB",
        "size_lte: 0",
    ] {
        check_storage(&condition(allowed), &[]);
    }
    for (empty, message) in [
        (
            "size_gt: 1MB, size_lt: 1MB",
            "55: storage.routing_rules[0].condition: no size can hold both size_gt and size_lt",
        ),
        (
            "size_gt: 1MB, size_lt: 1000001",
            "55: storage.routing_rules[0].condition: no size can hold both size_gt and size_lt",
        ),
        (
            "size_gte: 6B, size_lte: 5B",
            "56: storage.routing_rules[0].condition: no size can hold both size_gte and size_lte",
        ),
        (
            "size_lt: 0",
            "41: storage.routing_rules[0].condition: no size can hold size_lt",
        ),
    ] {
        check_storage(&condition(empty), &[&format!("8:{message}")]);
    }
}

#[test]
fn durations_and_retries_have_bounds() {
    let retry = |field: &str| format!("resilience: {{retry: {{{field}}}}}");
    for good in [
        "attempts_max: 1",
        "attempts_max: 20",
        "delay_initial: 1ms",
        "delay_max: 10m",
        "time_max: 24h",
    ] {
        check_storage(&retry(good), &[]);
    }
    for (field, range, found) in [
        (
            "delay_initial: 5",
            "from 1ms to 1m",
            "the number 5; add a unit, such as \"30s\"",
        ),
        ("delay_initial: 999us", "from 1ms to 1m", "\"999us\""),
        ("delay_max: 601s", "from 1ms to 10m", "\"601s\""),
        ("time_max: 5 fortnights", "from 1ms to 24h", "\"5 fortnights\""),
    ] {
        let name = field.split(':').next().expect("a field");
        let column = 26 + name.len();
        let expected = format!(
            "8:{column}: storage.resilience.retry.{name}: expected a duration {range}, found {found}"
        );
        check_storage(&retry(field), &[&expected]);
    }
    for (value, found) in [("0", "the number 0"), ("21", "the number 21")] {
        let expected = format!(
            "8:38: storage.resilience.retry.attempts_max: expected a whole number from 1 to 20, found {found}"
        );
        check_storage(&retry(&format!("attempts_max: {value}")), &[&expected]);
    }
    check_storage(
        &retry("delay_initial: 30s"),
        &["8:39: storage.resilience.retry: delay_initial (30s) is longer than delay_max (20s)"],
    );
    check(
        &minimal("      resilience: {retry: {delay_max: 50ms}}\n", ""),
        &["storage.yaml:8:39: storage.providers.local.resilience.retry: \
           delay_initial (100ms) is longer than delay_max (50ms)"],
    );
}

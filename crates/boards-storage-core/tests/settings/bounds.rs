//! Values of the right type that are not allowed, and the edges of what is.

use crate::minimal;
use crate::problems::{check, check_config, check_storage};

#[test]
fn values_that_are_not_allowed() {
    check_storage(
        "catalog: {type: sqlit}",
        &[
            "8:19: storage.catalog.type: expected one of 'sqlite', 'postgres', 'memory', found \"sqlit\"; did you mean 'sqlite'?",
        ],
    );
    check_storage(
        "catalog: {path: x}",
        &["8:3: storage.catalog.type: the field is required: expected one of 'sqlite', 'postgres', 'memory'"],
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

#[test]
fn the_breaker_the_limits_and_the_hedge_have_bounds() {
    let section = |section: &str, fields: &str| format!("resilience: {{{section}: {{{fields}}}}}");
    for (name, good) in [
        ("breaker", "window: time, window_time: 1s, calls_min: 10000"),
        (
            "breaker",
            "window_calls: 10, half_open_calls: 1, failure_rate_percent: 100",
        ),
        ("breaker", "open_time: 1h, slow_time: 1ms, slow_rate_percent: 1"),
        (
            "limits",
            "concurrency: 1, queue_length: 0, requests_per_second: 0",
        ),
        (
            "limits",
            "upload_per_second: 10MiB, download_per_second: 0, queue_time: 1ms",
        ),
        ("hedge", "enabled: true, percentile: 99, extra_load_percent: 1"),
    ] {
        check_storage(&section(name, good), &[]);
    }
    for (name, bad, expected) in [
        (
            "breaker",
            "failure_rate_percent: 101",
            "a whole number from 1 to 100, found the number 101",
        ),
        (
            "breaker",
            "window: cals",
            "one of 'calls', 'time', found \"cals\"; did you mean 'calls'?",
        ),
        (
            "breaker",
            "open_time: 61m",
            "a duration from 1ms to 1h, found \"61m\"",
        ),
        (
            "limits",
            "concurrency: 0",
            "a whole number from 1 to 100000, found the number 0",
        ),
        (
            "limits",
            "upload_per_second: fast",
            "a size such as \"100MB\" or \"1.5GiB\", found \"fast\"",
        ),
        (
            "hedge",
            "percentile: 100",
            "a whole number from 50 to 99, found the number 100",
        ),
        (
            "hedge",
            "extra_load_percent: 6",
            "a whole number from 1 to 5, found the number 6",
        ),
    ] {
        let field = bad.split(':').next().expect("a field");
        let column = "  resilience: {".len() + name.len() + ": {".len() + field.len() + ": ".len() + 1;
        let path = format!("storage.resilience.{name}.{field}");
        check_storage(
            &section(name, bad),
            &[&format!("8:{column}: {path}: expected {expected}")],
        );
    }
    check_storage(
        &section("breaker", "calls_min: 101"),
        &["8:37: storage.resilience.breaker: \
           calls_min (101) is more than window_calls (100), so the circuit never opens"],
    );
    check_storage(
        &section("hedge", "delay_max: 1ms"),
        &["8:35: storage.resilience.hedge: delay_min (5ms) is longer than delay_max (1ms)"],
    );
    check(
        &minimal("      resilience: {breaker: {window_calls: 5}}\n", ""),
        &["storage.yaml:8:44: storage.providers.local.resilience.breaker: \
           calls_min (10) is more than window_calls (5), so the circuit never opens"],
    );
}

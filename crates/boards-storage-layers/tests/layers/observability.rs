//! The dashboard and the alerts in `docs/observability` use only metrics, labels and outcomes that exist.

use std::collections::BTreeSet;

use boards_storage_core::{Direction, EndKind, OperationKind};
use boards_storage_layers::{METRICS, MetricKind};
use serde_json::Value;

/// Labels that Prometheus adds.
const ADDED: [&str; 2] = ["instance", "le"];

fn read(name: &str) -> String {
    let path = format!("{}/../../docs/observability/{name}", env!("CARGO_MANIFEST_DIR"));
    #[expect(clippy::disallowed_methods, reason = "a test reads a file of the repository")]
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// A use of a metric in an expression.
#[derive(Debug)]
struct Use {
    name: String,
    /// The label matchers: label and value.
    matchers: Vec<(String, String)>,
}

fn is_word(character: char) -> bool {
    character.is_ascii_alphanumeric() || character == '_' || character == ':'
}

/// Finds the metrics of ours in an expression, with what stands in braces behind each.
fn uses(expression: &str) -> Vec<Use> {
    let mut found = Vec::new();
    let mut rest = expression;
    while let Some(start) = rest.find("boards_storage") {
        let text = &rest[start..];
        let end = text.find(|character| !is_word(character)).unwrap_or(text.len());
        let (name, after) = text.split_at(end);
        let inside = after.strip_prefix('{').and_then(|inside| inside.split_once('}'));
        let matchers = inside.map_or("", |(matchers, _)| matchers);
        found.push(Use {
            name: name.to_owned(),
            matchers: split_matchers(matchers),
        });
        rest = after;
    }
    found
}

fn split_matchers(matchers: &str) -> Vec<(String, String)> {
    matchers
        .split(',')
        .filter(|matcher| !matcher.is_empty())
        .map(|matcher| {
            let end = matcher
                .find(|character| !is_word(character))
                .unwrap_or_else(|| panic!("{matcher}"));
            let value = matcher[end..]
                .trim_start_matches(['=', '!', '~'])
                .trim_matches('"');
            (matcher[..end].to_owned(), value.to_owned())
        })
        .collect()
}

/// The labels that an expression groups by.
fn grouped_by(expression: &str) -> BTreeSet<&str> {
    expression
        .split("by (")
        .skip(1)
        .filter_map(|rest| rest.split(')').next())
        .flat_map(|labels| labels.split(','))
        .map(str::trim)
        .collect()
}

/// Checks every metric and label of an expression. Returns the names of the metrics.
#[track_caller]
fn check(expression: &str) -> BTreeSet<&'static str> {
    let mut names = BTreeSet::new();
    for Use { name, matchers } in uses(expression) {
        if name.contains(':') {
            continue; // A recording rule, whose own expression is checked.
        }
        let metric = METRICS.iter().find(|metric| match metric.kind {
            MetricKind::Histogram => ["_bucket", "_sum", "_count"]
                .iter()
                .any(|suffix| name.strip_suffix(suffix) == Some(metric.name)),
            MetricKind::Counter | MetricKind::Gauge => name == metric.name,
        });
        let metric = metric.unwrap_or_else(|| panic!("there is no {name}: {expression}"));
        names.insert(metric.name);
        for (label, value) in matchers {
            let exists = metric.labels.contains(&label.as_str()) || ADDED.contains(&label.as_str());
            assert!(exists, "{name} has no label {label}");
            value.split('|').for_each(|value| check_value(&label, value));
        }
        for label in grouped_by(expression) {
            let exists = metric.labels.contains(&label) || ADDED.contains(&label);
            assert!(exists, "{name} has no label {label}: {expression}");
        }
    }
    names
}

#[track_caller]
fn check_value(label: &str, value: &str) {
    let exists = match label {
        "outcome" => EndKind::all().any(|end| end.name() == value),
        "direction" => Direction::ALL.iter().any(|direction| direction.name() == value),
        "instance" | "le" | "provider" => true,
        _ if value.starts_with('$') => true,
        "op" => OperationKind::ALL.iter().any(|kind| kind.name() == value),
        _ => false,
    };
    assert!(exists, "{label} is never {value}");
}

/// The alternatives of the matcher that selects failures.
fn failures(expression: &str) -> Option<BTreeSet<String>> {
    let (_, rest) = expression.split_once("outcome=~\"storage|")?;
    let listed = rest.split('"').next()?;
    Some(
        ["storage"]
            .into_iter()
            .chain(listed.split('|'))
            .map(str::to_owned)
            .collect(),
    )
}

#[test]
fn the_dashboard_is_of_metrics_that_exist_and_shows_each() {
    let dashboard: Value = serde_json::from_str(&read("grafana-dashboard.json")).expect("JSON");
    assert!(
        dashboard["schemaVersion"]
            .as_u64()
            .is_some_and(|version| version >= 39)
    );
    for field in ["uid", "title"] {
        assert!(
            dashboard[field].as_str().is_some_and(|text| !text.is_empty()),
            "{field}"
        );
    }
    let variables = dashboard["templating"]["list"].as_array().expect("variables");
    let variables: BTreeSet<&str> = variables
        .iter()
        .filter_map(|variable| variable["name"].as_str())
        .collect();
    assert_eq!(variables, BTreeSet::from(["datasource", "op", "provider"]));
    let panels = dashboard["panels"].as_array().expect("panels");
    let (mut ids, mut shown, mut cells) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    for panel in panels {
        let title = panel["title"].as_str().expect("a title");
        assert!(
            ids.insert(panel["id"].as_u64().expect("an id")),
            "{title}: its id is another's"
        );
        let place = &panel["gridPos"];
        let [x, y, width, height] =
            ["x", "y", "w", "h"].map(|field| place[field].as_u64().expect("a number"));
        assert!(x + width <= 24, "{title} is wider than the grid");
        for cell in (x..x + width).flat_map(|x| (y..y + height).map(move |y| (x, y))) {
            assert!(cells.insert(cell), "{title} covers another panel");
        }
        if panel["type"] == "row" {
            continue;
        }
        assert_eq!(panel["datasource"]["uid"], "${datasource}", "{title}");
        assert!(panel["description"].is_string(), "{title} says nothing");
        assert!(
            panel["fieldConfig"]["defaults"]["unit"].is_string(),
            "{title} has no unit"
        );
        let targets = panel["targets"].as_array().expect("targets");
        assert!(!targets.is_empty(), "{title}");
        for target in targets {
            let expression = target["expr"].as_str().expect("an expression");
            shown.extend(check(expression));
            check_failures(expression);
        }
    }
    let all: BTreeSet<&str> = METRICS.iter().map(|metric| metric.name).collect();
    assert_eq!(shown, all, "each metric is on the dashboard");
}

#[track_caller]
fn check_failures(expression: &str) {
    let expected: BTreeSet<String> = EndKind::all()
        .filter(|end| end.is_failure())
        .map(|end| end.name().to_owned())
        .collect();
    if let Some(listed) = failures(expression) {
        assert_eq!(listed, expected, "the failures of {expression}");
    }
}

#[test]
fn the_alerts_are_of_metrics_that_exist() {
    let rules = read("alerts.yml");
    let mut names = BTreeSet::new();
    let rules: Vec<&str> = rules.split("\n      - ").skip(1).collect();
    assert!(rules.len() >= 10, "{}", rules.len());
    for rule in rules {
        let (_, expression) = rule.split_once("expr: ").expect("an expression");
        let expression = expression
            .split("\n        labels:")
            .next()
            .expect("what stands before the labels");
        names.extend(check(expression));
        check_failures(expression);
        let is_alert = rule.starts_with("alert: ");
        for part in ["severity: ", "summary: ", "description: "] {
            assert_eq!(rule.contains(part), is_alert, "{part} in {rule}");
        }
    }
    assert!(names.contains("boards_storage_retries_total"));
    for line in read("alerts.test.yml").lines() {
        if let Some((_, series)) = line.split_once("series: ") {
            check(series.trim_matches('\''));
        }
    }
}

#[test]
fn the_page_lists_each_metric_with_its_labels() {
    let page = read("README.md");
    for metric in METRICS {
        let kind = format!("{:?}", metric.kind).to_lowercase();
        let labels: Vec<String> = metric.labels.iter().map(|label| format!("`{label}`")).collect();
        let row = format!("| `{}` | {kind} | {} |", metric.name, labels.join(", "));
        assert!(page.contains(&row), "no {row}");
    }
}

#[test]
#[should_panic(expected = "there is no boards_storage_nonsense_total")]
fn a_metric_that_does_not_exist_is_found() {
    check("rate(boards_storage_nonsense_total[5m])");
}

#[test]
#[should_panic(expected = "outcome is never tired")]
fn an_outcome_that_does_not_exist_is_found() {
    check(r#"boards_storage_operation_duration_seconds_count{provider=~"$provider",outcome=~"ok|tired"}"#);
}

#[test]
#[should_panic(expected = "has no label tenant")]
fn a_label_that_does_not_exist_is_found() {
    check("sum by (tenant) (boards_storage_inflight)");
}

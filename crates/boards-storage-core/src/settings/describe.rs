//! Words for messages: what a schema expects, and what a value is.

use serde_json::{Map, Value as Json};

use super::duration::FriendlyDuration;
use super::problem::{Origin, list_names};
use super::redact::redact_text;
use super::shape::{Schema, kind_fits, kind_names};
use super::size::ByteSize;
use super::tree::{FieldPath, Node, TextKind, Value, shorten};
use super::vocabulary::TextFormat;

type Rule = Map<String, Json>;

/// Says what a schema expects, of no value in particular.
pub(super) fn describe(schema: Schema<'_>, of: &Json) -> String {
    let (rules, alternatives) = schema.static_rules(of);
    if alternatives.is_empty() {
        return describe_rules(&rules);
    }
    let names: Vec<_> = alternatives
        .iter()
        .filter_map(|alternative| alternative.get("const").and_then(Json::as_str))
        .collect();
    if names.len() == alternatives.len() {
        return format!("one of {}", list_names(names));
    }
    let mut parts: Vec<_> = alternatives
        .iter()
        .filter(|alternative| alternative.get("type").is_none_or(|kind| kind != "null"))
        .map(|alternative| describe(schema, alternative))
        .collect();
    parts.dedup();
    parts.join(" or ")
}

/// Says what all of the rules together expect.
pub(super) fn describe_rules(rules: &[&Rule]) -> String {
    let format = rules
        .iter()
        .find_map(|rule| TextFormat::find(rule.get("format")?.as_str()?));
    if let Some(format) = format {
        return format.describe(&text_range(rules));
    }
    let values = rules
        .iter()
        .flat_map(|rule| rule.get("enum").and_then(Json::as_array).into_iter().flatten());
    let constants = rules.iter().filter_map(|rule| rule.get("const"));
    let names: Vec<_> = values.chain(constants).filter_map(Json::as_str).collect();
    match names.as_slice() {
        [] => {}
        [name] => return format!("'{name}'"),
        names => return format!("one of {}", list_names(names.iter().copied())),
    }
    let kinds = rules.iter().find_map(|rule| rule.get("type"));
    let parts: Vec<_> = kinds
        .into_iter()
        .flat_map(kind_names)
        .filter(|kind| *kind != "null")
        .map(|kind| describe_kind(kind, rules))
        .collect();
    if parts.is_empty() {
        "another value".to_owned()
    } else {
        parts.join(" or ")
    }
}

fn describe_kind(kind: &str, rules: &[&Rule]) -> String {
    let is_at_least_one = |keyword: &str| {
        rules
            .iter()
            .any(|rule| rule.get(keyword).and_then(Json::as_u64) == Some(1))
    };
    match kind {
        "string" if is_at_least_one("minLength") => "text that is not empty".to_owned(),
        "string" => "text".to_owned(),
        "boolean" => "true or false".to_owned(),
        "integer" => format!("a whole number{}", number_range(rules)),
        "number" => format!("a number{}", number_range(rules)),
        "array" if list_length(rules).is_some() => {
            format!("a list of {}", list_length(rules).unwrap_or_default())
        }
        "array" if is_at_least_one("minItems") => "a list that is not empty".to_owned(),
        "array" => "a list".to_owned(),
        "object" if is_at_least_one("minProperties") => "a map that is not empty".to_owned(),
        "object" => {
            let required = rules.iter().find_map(|rule| rule.get("required")?.as_array());
            let names: Vec<_> = required.into_iter().flatten().filter_map(Json::as_str).collect();
            if names.is_empty() {
                "a map".to_owned()
            } else {
                format!("a map with {}", list_names(names))
            }
        }
        other => other.to_owned(),
    }
}

/// Returns the length that a list must have, if the rules allow only one.
fn list_length(rules: &[&Rule]) -> Option<u64> {
    let bound = |keyword: &str| rules.iter().find_map(|rule| rule.get(keyword)?.as_u64());
    bound("minItems").filter(|minimum| bound("maxItems") == Some(*minimum))
}

/// Returns the smallest and the largest number that the rules allow.
pub(super) fn number_bounds(rules: &[&Rule]) -> (Option<f64>, Option<f64>) {
    let bound = |keyword: &'static str| rules.iter().filter_map(move |rule| rule.get(keyword)?.as_f64());
    let formats = || rules.iter().filter_map(|rule| rule.get("format")?.as_str());
    let of_format = formats().find_map(|format| match format {
        "uint8" => Some((0.0, f64::from(u8::MAX))),
        "uint16" => Some((0.0, f64::from(u16::MAX))),
        "uint32" => Some((0.0, f64::from(u32::MAX))),
        "int8" => Some((f64::from(i8::MIN), f64::from(i8::MAX))),
        "int16" => Some((f64::from(i16::MIN), f64::from(i16::MAX))),
        "int32" => Some((f64::from(i32::MIN), f64::from(i32::MAX))),
        _ => None,
    });
    let minimum = bound("minimum")
        .chain(of_format.map(|(minimum, _)| minimum))
        .reduce(f64::max);
    let maximum = bound("maximum")
        .chain(of_format.map(|(_, maximum)| maximum))
        .reduce(f64::min);
    (minimum, maximum)
}

fn number_range(rules: &[&Rule]) -> String {
    match number_bounds(rules) {
        (Some(minimum), Some(maximum)) => format!(" from {minimum} to {maximum}"),
        (Some(minimum), None) => format!(" of at least {minimum}"),
        (None, Some(maximum)) => format!(" of at most {maximum}"),
        (None, None) => String::new(),
    }
}

/// Returns the smallest and the largest size or duration that the rules allow.
pub(super) fn text_bounds<'s>(rules: &[&'s Rule]) -> (Option<&'s str>, Option<&'s str>) {
    let bound = |keyword: &str| rules.iter().find_map(|rule| rule.get(keyword)?.as_str());
    (bound("x-minimum"), bound("x-maximum"))
}

fn text_range(rules: &[&Rule]) -> String {
    match text_bounds(rules) {
        (Some(minimum), Some(maximum)) => format!(" from {minimum} to {maximum}"),
        (Some(minimum), None) => format!(" of at least {minimum}"),
        (None, Some(maximum)) => format!(" of at most {maximum}"),
        (None, None) => String::new(),
    }
}

/// Returns a size in bytes or a duration in nanoseconds; `None` if the rules ask for neither.
pub(super) fn measure(rules: &[&Rule], text: &str) -> Option<u128> {
    match rules.iter().find_map(|rule| rule.get("format")?.as_str())? {
        "byte-size" => ByteSize::parse(text).ok().map(|size| size.bytes().into()),
        "friendly-duration" => FriendlyDuration::parse(text)
            .ok()
            .map(|duration| duration.get().as_nanos()),
        _ => None,
    }
}

/// Says what a value is. A secret is not shown, nor what a variable put into a provider's `config`.
pub(super) fn show(node: &Node, path: &FieldPath, is_secret: bool) -> String {
    if matches!(
        node.value,
        Value::Null | Value::List(_) | Value::Map(_) | Value::Unknown
    ) {
        return match &node.value {
            Value::List(items) if items.is_empty() => "an empty list".to_owned(),
            Value::Map(map) if map.is_empty() => "an empty map".to_owned(),
            _ => node.describe_kind().to_owned(),
        };
    }
    if is_secret {
        return format!("{} that is not shown", node.describe_kind());
    }
    if path.fields_in_config().next().is_some() {
        let overriding = if let Origin::Variable { name } = &node.origin {
            Some(name)
        } else {
            None
        };
        if let Some(name) = node.variables.first().or(overriding) {
            return format!("the value of {name}");
        }
    }
    match &node.value {
        Value::Bool(value) => value.to_string(),
        Value::Integer(integer) => format!("the number {integer}"),
        Value::Float(float) => format!("the number {float}"),
        Value::Text(text) => format!("{:?}", shorten(&redact_text(text), 60)),
        Value::Null | Value::List(_) | Value::Map(_) | Value::Unknown => node.describe_kind().to_owned(),
    }
}

/// Says how to write the value so that it fits, where that is plain.
pub(super) fn help_for(rules: &[&Rule], node: &Node) -> Option<&'static str> {
    let wants = |kind: &str| {
        let mut kinds = rules.iter().filter_map(|rule| rule.get("type"));
        kinds.all(|kinds| kind_names(kinds).any(|name| name == kind))
    };
    let format = rules.iter().find_map(|rule| rule.get("format")?.as_str());
    let is_override = matches!(node.origin, Origin::Variable { .. });
    match &node.value {
        Value::Integer(_) if format == Some("friendly-duration") => Some("add a unit, such as \"30s\""),
        Value::Bool(_) | Value::Integer(_) | Value::Float(_) if wants("string") && !wants("integer") => {
            Some("put it in quotes")
        }
        Value::Text(_) | Value::Map(_) if is_override && (wants("array") || wants("object")) => {
            Some("an environment variable can't give a list or a map; write it into the file")
        }
        Value::Text(text) if wants("boolean") => match text.to_ascii_lowercase().as_str() {
            "yes" | "on" | "true" => Some("write true, without quotes"),
            "no" | "off" | "false" => Some("write false, without quotes"),
            _ => None,
        },
        Value::Text(text) if wants("integer") && format != Some("byte-size") || wants("number") => {
            let mut unquoted = node.clone();
            unquoted.text_kind = TextKind::Untyped;
            let is_quoted = kind_fits("number", &unquoted) && !text.is_empty();
            is_quoted.then_some("write it without quotes")
        }
        _ => None,
    }
}

//! Checks a tree against a JSON Schema and reports everything that is wrong with it.
//!
//! On the way, the texts of variables become the numbers and booleans that their fields want.

use serde_json::Value as Json;

use super::describe::{describe, describe_rules, help_for, measure, number_bounds, show, text_bounds};
use super::problem::{Origin, Problem, ProblemKind, list_names};
use super::redact::is_secret_name;
use super::shape::{Mismatch, Rules, Schema, kind_fits, kind_names, read_typed};
use super::tree::{FieldPath, Map, Node, TextKind, Value, shorten};
use super::vocabulary::TextFormat;

/// Checks the whole tree.
pub(super) fn validate(schema: Schema<'_>, tree: &mut Node, problems: &mut Vec<Problem>) {
    let mut validator = Validator { schema, problems };
    validator.check(schema.root(), tree, &FieldPath::default());
}

/// Counts what would be wrong with a value if this were its schema.
pub(super) fn count_problems<'s>(schema: Schema<'s>, of: &'s Json, node: &Node) -> usize {
    let mut problems = Vec::new();
    let mut validator = Validator {
        schema,
        problems: &mut problems,
    };
    validator.check(of, &mut node.clone(), &FieldPath::default());
    problems.len()
}

struct Validator<'v, 's> {
    schema: Schema<'s>,
    problems: &'v mut Vec<Problem>,
}

impl<'s> Validator<'_, 's> {
    fn check(&mut self, schema: &'s Json, node: &mut Node, path: &FieldPath) {
        if node.value == Value::Unknown {
            return;
        }
        let rules = match self.schema.rules(schema, node) {
            Ok(rules) => rules,
            Err(mismatch) => {
                let problem = self.mismatch(&mismatch, node, path);
                self.problems.extend(problem);
                return;
            }
        };
        settle_type(&rules, node);
        if !is_of_type(&rules, node) {
            self.problems
                .push(self.unfit(ProblemKind::WrongType, &rules, node, path));
            return;
        }
        match &mut node.value {
            Value::Map(map) => {
                let origin = node.origin.clone();
                self.check_map(&rules, map, &origin, path);
            }
            Value::List(items) => {
                let length = items.len();
                let items_schema = rules
                    .iter()
                    .find_map(|rule| rule.get("items"))
                    .unwrap_or(&Json::Bool(true));
                let first = rules
                    .iter()
                    .find_map(|rule| rule.get("prefixItems")?.as_array())
                    .map_or(&[][..], Vec::as_slice);
                for (index, item) in items.iter_mut().enumerate() {
                    self.check(first.get(index).unwrap_or(items_schema), item, &path.item(index));
                }
                if !is_within(&rules, "minItems", "maxItems", length) {
                    let found = if length == 0 {
                        "an empty list".to_owned()
                    } else {
                        format!("a list of {length}")
                    };
                    let (kind, expected) = (ProblemKind::BadValue, describe_rules(&rules));
                    self.problems
                        .push(Problem::mismatch(kind, path, &node.origin, expected, found));
                }
            }
            Value::Null
            | Value::Bool(_)
            | Value::Integer(_)
            | Value::Float(_)
            | Value::Text(_)
            | Value::Unknown => self.check_scalar(&rules, node, path),
        }
    }

    fn check_scalar(&mut self, rules: &Rules<'s>, node: &Node, path: &FieldPath) {
        let json = node.to_json();
        let is_allowed = rules.iter().all(|rule| {
            rule.get("const").is_none_or(|constant| *constant == json)
                && rule
                    .get("enum")
                    .and_then(Json::as_array)
                    .is_none_or(|values| values.contains(&json))
        });
        let is_right = match &node.value {
            Value::Integer(_) | Value::Float(_) => {
                let (minimum, maximum) = number_bounds(rules);
                let number = json.as_f64().unwrap_or_default();
                minimum.is_none_or(|minimum| number >= minimum)
                    && maximum.is_none_or(|maximum| number <= maximum)
            }
            Value::Text(text) => {
                is_within(rules, "minLength", "maxLength", text.chars().count())
                    && has_format(rules, text)
                    && is_in_text_bounds(rules, text)
            }
            Value::Null | Value::Bool(_) | Value::List(_) | Value::Map(_) | Value::Unknown => true,
        };
        if is_allowed && is_right {
            return;
        }
        let mut problem = self.unfit(ProblemKind::BadValue, rules, node, path);
        let names = rules
            .iter()
            .flat_map(|rule| rule.get("enum").and_then(Json::as_array).into_iter().flatten());
        let constants = rules.iter().filter_map(|rule| rule.get("const"));
        if let Some(text) = node.as_text() {
            problem = problem.with_nearest(text, names.chain(constants).filter_map(Json::as_str));
        }
        self.problems.push(problem);
    }

    fn check_map(&mut self, rules: &Rules<'s>, map: &mut Map, origin: &Origin, path: &FieldPath) {
        let is_closed = rules.iter().any(|rule| {
            [
                rule.get("additionalProperties"),
                rule.get("unevaluatedProperties"),
            ]
            .contains(&Some(&Json::Bool(false)))
        });
        let others = rules
            .iter()
            .find_map(|rule| rule.get("additionalProperties"))
            .unwrap_or(&Json::Bool(true));
        for (name, entry) in map.iter_mut() {
            let field_path = path.field(name);
            let schema = rules.iter().find_map(|rule| rule.get("properties")?.get(name));
            if schema.is_none() && is_closed {
                let problem = self.unknown_field(rules, name, &entry.origin, &field_path);
                self.problems.push(problem);
            } else if entry.node.value != Value::Null {
                self.check(schema.unwrap_or(others), &mut entry.node, &field_path);
            }
            let names_format = rules
                .iter()
                .find_map(|rule| rule.get("propertyNames")?.get("format")?.as_str());
            if let Some(format) = names_format.and_then(TextFormat::find)
                && !format.accepts(name)
            {
                let found = format!("{:?}", shorten(name, 60));
                let kind = ProblemKind::BadValue;
                self.problems.push(Problem::mismatch(
                    kind,
                    &field_path,
                    &entry.origin,
                    format.describe(""),
                    found,
                ));
            }
        }
        let is_given = |name: &str| map.get(name).is_some_and(|entry| entry.node.value != Value::Null);
        let required = rules
            .iter()
            .filter_map(|rule| rule.get("required")?.as_array())
            .flatten();
        for name in required.filter_map(Json::as_str).filter(|name| !is_given(name)) {
            let schema = rules.iter().find_map(|rule| rule.get("properties")?.get(name));
            let expected =
                schema.map_or_else(|| "a value".to_owned(), |schema| describe(self.schema, schema));
            self.problems.push(missing(path, name, origin, expected));
        }
        let given = map
            .values()
            .filter(|entry| entry.node.value != Value::Null)
            .count();
        if !is_within(rules, "minProperties", "maxProperties", given) {
            let kind = ProblemKind::BadValue;
            self.problems.push(Problem::mismatch(
                kind,
                path,
                origin,
                describe_rules(rules),
                "an empty map",
            ));
        }
    }

    fn unknown_field(&self, rules: &Rules<'s>, name: &str, origin: &Origin, path: &FieldPath) -> Problem {
        let properties = || {
            rules
                .iter()
                .filter_map(|rule| rule.get("properties")?.as_object())
                .flatten()
        };
        let known: Vec<_> = properties().map(|(known, _)| known.as_str()).collect();
        let message = "there is no such field";
        let problem = Problem::new(ProblemKind::UnknownField, path, origin, message)
            .with_expected(format!("one of {}", list_names(known.iter().copied())))
            .with_nearest(name, known.iter().copied());
        if problem.nearest.is_some() {
            return problem;
        }
        match properties().find(|(_, schema)| self.schema.has_field(schema, name)) {
            Some((parent, _)) => problem.with_help(format!("it belongs in '{parent}'")),
            None if known.is_empty() => problem.with_help("there are no fields here"),
            None => problem.with_help(format!("the fields are {}", list_names(known))),
        }
    }

    /// The problem of a value that no alternative fits; none if the reason was reported already.
    fn mismatch(&self, mismatch: &Mismatch<'s>, node: &Node, path: &FieldPath) -> Option<Problem> {
        match mismatch {
            Mismatch::Name { field: None, allowed } => Some(unknown_name(node, path, allowed)),
            Mismatch::Name {
                field: Some(field),
                allowed,
            } => match node.field(field) {
                None => Some(missing(path, field, &node.origin, one_of(allowed))),
                Some(tag) if tag.value == Value::Unknown => None,
                Some(tag) => Some(unknown_name(tag, &path.field(field), allowed)),
            },
            Mismatch::Untagged { field } => {
                let found = show(node, path, is_secret(&[], path));
                let expected = format!("a map with '{field}'");
                Some(Problem::mismatch(
                    ProblemKind::WrongType,
                    path,
                    &node.origin,
                    expected,
                    found,
                ))
            }
            Mismatch::Type { alternatives } => {
                let mut expected: Vec<_> = alternatives
                    .iter()
                    .map(|schema| describe(self.schema, schema))
                    .collect();
                expected.dedup();
                let rules: Vec<_> = alternatives
                    .iter()
                    .map(|schema| self.schema.static_rules(schema).0)
                    .collect();
                let found = show(node, path, rules.iter().any(|rules| is_secret(rules, path)));
                let kind = ProblemKind::WrongType;
                let problem = Problem::mismatch(kind, path, &node.origin, expected.join(" or "), found);
                Some(match rules.iter().find_map(|rules| help_for(rules, node)) {
                    Some(help) => problem.with_help(help),
                    None => problem,
                })
            }
        }
    }

    /// The problem of a value that the rules do not allow.
    fn unfit(&self, kind: ProblemKind, rules: &Rules<'s>, node: &Node, path: &FieldPath) -> Problem {
        let found = show(node, path, is_secret(rules, path));
        let problem = Problem::mismatch(kind, path, &node.origin, describe_rules(rules), found);
        match help_for(rules, node) {
            Some(help) => problem.with_help(help),
            None => problem,
        }
    }
}

fn one_of(names: &[&str]) -> String {
    format!("one of {}", list_names(names.iter().copied()))
}

/// The problem of a value that must be one of some names.
fn unknown_name(node: &Node, path: &FieldPath, allowed: &[&str]) -> Problem {
    let name = node.as_text();
    let kind = if name.is_some() {
        ProblemKind::BadValue
    } else {
        ProblemKind::WrongType
    };
    let found = show(node, path, is_secret(&[], path));
    Problem::mismatch(kind, path, &node.origin, one_of(allowed), found)
        .with_nearest(name.unwrap_or_default(), allowed.iter().copied())
}

fn missing(path: &FieldPath, name: &str, origin: &Origin, expected: String) -> Problem {
    let message = format!("the field is required: expected {expected}");
    Problem::new(ProblemKind::MissingField, path.field(name), origin, message).with_expected(expected)
}

/// Returns whether a value must not be shown: its schema says so, or its name in a provider's `config` sounds so.
pub(super) fn is_secret(rules: &[&serde_json::Map<String, Json>], path: &FieldPath) -> bool {
    match rules.iter().find_map(|rule| rule.get("writeOnly")?.as_bool()) {
        Some(is_secret) => is_secret,
        None => path.fields_in_config().any(is_secret_name),
    }
}

/// Gives the text of a variable the type that its field wants.
fn settle_type(rules: &Rules<'_>, node: &mut Node) {
    let Value::Text(text) = &node.value else { return };
    if node.text_kind != TextKind::Untyped {
        return;
    }
    let has_type = rules.iter().any(|rule| rule.contains_key("type"));
    let takes = |node: &Node| is_of_type(rules, node);
    let text_node = Node::new(Value::Text(text.clone()), node.origin.clone());
    if has_type && takes(&text_node) {
        node.text_kind = TextKind::Fixed;
        return;
    }
    let typed = Node::new(read_typed(text), node.origin.clone());
    if takes(&typed) {
        node.value = typed.value;
        node.text_kind = TextKind::Fixed;
    }
}

fn is_of_type(rules: &Rules<'_>, node: &Node) -> bool {
    let mut types = rules.iter().filter_map(|rule| rule.get("type"));
    types.all(|kinds| kind_names(kinds).any(|kind| kind_fits(kind, node)))
}

fn is_within(rules: &Rules<'_>, minimum: &str, maximum: &str, length: usize) -> bool {
    let bound = |rule: &serde_json::Map<String, Json>, keyword: &str| {
        rule.get(keyword)
            .and_then(Json::as_u64)
            .and_then(|bound| usize::try_from(bound).ok())
    };
    rules.iter().all(|rule| {
        bound(rule, minimum).is_none_or(|minimum| length >= minimum)
            && bound(rule, maximum).is_none_or(|maximum| length <= maximum)
    })
}

fn has_format(rules: &Rules<'_>, text: &str) -> bool {
    let mut formats = rules
        .iter()
        .filter_map(|rule| TextFormat::find(rule.get("format")?.as_str()?));
    formats.all(|format| format.accepts(text))
}

fn is_in_text_bounds(rules: &Rules<'_>, text: &str) -> bool {
    let Some(value) = measure(rules, text) else {
        return true;
    };
    let (minimum, maximum) = text_bounds(rules);
    let bound = |bound: Option<&str>| bound.and_then(|bound| measure(rules, bound));
    bound(minimum).is_none_or(|minimum| value >= minimum)
        && bound(maximum).is_none_or(|maximum| value <= maximum)
}

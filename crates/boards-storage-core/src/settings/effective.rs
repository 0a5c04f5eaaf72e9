//! The settings that are in effect, defaults included and secrets left out: what `config show` prints.

use serde::Serialize;
use serde_json::{Map as JsonMap, Value as Json};

use super::problem::Origin;
use super::redact::redact_text;
use super::secret::REDACTED;
use super::shape::{Rules, Schema};
use super::tree::{Entry, FieldPath, Map, Node, Value};
use super::validate::is_secret;

/// One value of the effective settings.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct EffectiveSetting {
    /// The field, such as `storage.providers.s3.config.region`.
    pub path: String,
    /// The value; `"[redacted]"` in place of a secret.
    pub value: Json,
    /// Where it comes from.
    pub origin: Origin,
    /// The environment variables that the file put into it by `${…}`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub variables: Vec<String>,
}

/// Puts the schema's defaults where nothing is given.
pub(super) fn fill_defaults<'s>(schema: Schema<'s>, of: &'s Json, node: &mut Node) {
    let Ok(rules) = schema.rules(of, node) else { return };
    match &mut node.value {
        Value::List(items) => {
            let of = rules
                .iter()
                .find_map(|rule| rule.get("items"))
                .unwrap_or(&Json::Null);
            items.iter_mut().for_each(|item| fill_defaults(schema, of, item));
        }
        Value::Map(map) => fill_fields(schema, &rules, map),
        Value::Null
        | Value::Bool(_)
        | Value::Integer(_)
        | Value::Float(_)
        | Value::Text(_)
        | Value::Unknown => {}
    }
}

fn fill_fields<'s>(schema: Schema<'s>, rules: &Rules<'s>, map: &mut Map) {
    let properties = rules
        .iter()
        .filter_map(|rule| rule.get("properties")?.as_object())
        .flatten();
    for (name, of) in properties {
        let is_given = map.get(name).is_some_and(|entry| entry.node.value != Value::Null);
        if let Some(default) = of
            .get("default")
            .filter(|default| !is_given && !default.is_null())
        {
            let node = Node::from_json(default, &Origin::Default);
            map.insert(
                name.clone(),
                Entry {
                    origin: Origin::Default,
                    node,
                },
            );
        }
    }
    for (name, entry) in map.iter_mut() {
        if let Some(of) = field_schema(rules, name) {
            fill_defaults(schema, of, &mut entry.node);
        }
    }
}

fn field_schema<'s>(rules: &Rules<'s>, name: &str) -> Option<&'s Json> {
    let named = rules.iter().find_map(|rule| rule.get("properties")?.get(name));
    named.or_else(|| rules.iter().find_map(|rule| rule.get("additionalProperties")))
}

/// Shows a tree as one value and as a list of its values.
pub(super) fn show(schema: Schema<'_>, tree: &Node) -> (Json, Vec<EffectiveSetting>) {
    let mut settings = Vec::new();
    let json = show_node(schema, schema.root(), tree, &FieldPath::default(), &mut settings);
    (json, settings)
}

fn show_node<'s>(
    schema: Schema<'s>,
    of: &'s Json,
    node: &Node,
    path: &FieldPath,
    settings: &mut Vec<EffectiveSetting>,
) -> Json {
    let rules = schema.rules(of, node).unwrap_or_default();
    let shown = match &node.value {
        Value::Map(map) if !map.is_empty() => {
            let mut fields = JsonMap::new();
            for (name, entry) in map.iter().filter(|(_, entry)| entry.node.value != Value::Null) {
                let of = field_schema(&rules, name).unwrap_or(&Json::Null);
                let value = show_node(schema, of, &entry.node, &path.field(name), settings);
                fields.insert(name.clone(), value);
            }
            return Json::Object(fields);
        }
        Value::List(items) if !items.is_empty() => {
            let of = rules
                .iter()
                .find_map(|rule| rule.get("items"))
                .unwrap_or(&Json::Null);
            let show = |(index, item)| show_node(schema, of, item, &path.item(index), settings);
            return Json::Array(items.iter().enumerate().map(show).collect());
        }
        Value::Text(_) | Value::Integer(_) | Value::Float(_) if is_secret(&rules, path) => {
            Json::String(REDACTED.to_owned())
        }
        Value::Text(text) => Json::String(redact_text(text)),
        Value::Null
        | Value::Bool(_)
        | Value::Integer(_)
        | Value::Float(_)
        | Value::List(_)
        | Value::Map(_)
        | Value::Unknown => node.to_json(),
    };
    settings.push(EffectiveSetting {
        path: path.to_string(),
        value: shown.clone(),
        origin: node.origin.clone(),
        variables: node.variables.clone(),
    });
    shown
}

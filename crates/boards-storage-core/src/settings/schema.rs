//! The JSON Schema of the whole settings, with one branch for each provider type that is known.

use schemars::SchemaGenerator;
use serde_json::{Map, Value as Json, json};

use super::model::Settings;
use crate::registry::Registry;

const PROVIDER: &str = "ProviderSettings";

/// Builds the schema (draft 2020-12).
pub(super) fn build(registry: &Registry) -> Json {
    let mut root = SchemaGenerator::default()
        .into_root_schema_for::<Settings>()
        .to_value();
    let Some(definitions) = root.get_mut("$defs").and_then(Json::as_object_mut) else {
        return root;
    };
    let generic = definitions.get(PROVIDER).cloned().unwrap_or_default();
    let mut branches = Vec::new();
    for kind in registry.known_kinds() {
        let branch = match registry.plugins().find(|plugin| plugin.kind() == kind) {
            Some(plugin) => {
                let name = config_name(kind);
                let config = plugin.schema().to_value();
                let requires_fields = has_required_fields(&config);
                add_definitions(definitions, &name, config);
                let mut reference = json!({ "$ref": format!("#/$defs/{name}") });
                if !requires_fields {
                    reference["default"] = json!({});
                }
                branch(&generic, kind, plugin.summary(), &reference, requires_fields)
            }
            None => {
                let how = registry.how_to_enable(kind).unwrap_or_default();
                branch(
                    &generic,
                    kind,
                    &format!("Not compiled in: {how}"),
                    &generic["properties"]["config"],
                    false,
                )
            }
        };
        branches.push(branch);
    }
    if !branches.is_empty() {
        definitions.insert(PROVIDER.to_owned(), json!({ "oneOf": branches }));
    }
    root
}

fn branch(generic: &Json, kind: &str, summary: &str, config: &Json, is_config_required: bool) -> Json {
    let mut branch = generic.clone();
    branch["description"] = json!(summary);
    branch["properties"]["type"] = json!({ "type": "string", "const": kind });
    branch["properties"]["config"] = config.clone();
    if is_config_required {
        branch["required"] = json!(["type", "config"]);
    }
    branch
}

fn has_required_fields(schema: &Json) -> bool {
    schema
        .get("required")
        .and_then(Json::as_array)
        .is_some_and(|required| !required.is_empty())
}

/// Returns a name that needs no escaping in a reference.
fn config_name(kind: &str) -> String {
    let plain = |c: char| {
        if c.is_ascii_alphanumeric() || c == '-' {
            c
        } else {
            '_'
        }
    };
    format!("config_{}", kind.chars().map(plain).collect::<String>())
}

/// Adds a provider type's schema and its definitions, under names of their own.
fn add_definitions(definitions: &mut Map<String, Json>, name: &str, mut schema: Json) {
    let inner = schema.as_object_mut().and_then(|schema| {
        schema.remove("$schema");
        schema.remove("$defs")
    });
    rename_references(&mut schema, name);
    if let Some(Json::Object(inner)) = inner {
        for (inner_name, mut definition) in inner {
            rename_references(&mut definition, name);
            definitions.insert(format!("{name}_{inner_name}"), definition);
        }
    }
    definitions.insert(name.to_owned(), schema);
}

fn rename_references(schema: &mut Json, name: &str) {
    match schema {
        Json::Array(items) => items.iter_mut().for_each(|item| rename_references(item, name)),
        Json::Object(fields) => {
            for (field, value) in fields {
                match value {
                    Json::String(reference) if field == "$ref" => {
                        if let Some(inner) = reference.strip_prefix("#/$defs/") {
                            *reference = format!("#/$defs/{name}_{inner}");
                        } else if reference == "#" {
                            *reference = format!("#/$defs/{name}");
                        }
                    }
                    value => rename_references(value, name),
                }
            }
        }
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => {}
    }
}

//! Which parts of a JSON Schema apply to a value: references, combinations and alternatives resolved.
//!
//! It knows what schemars writes for serde types: `$ref`, `allOf`, `anyOf` and `oneOf` of tagged maps, of constants and
//! of different types.

use serde_json::{Map, Value as Json};

use super::tree::{Node, TextKind, Value, read_plain};
use super::validate;

const REFERENCES_MAX: usize = 32;

/// A schema document, for its references.
#[derive(Clone, Copy)]
pub(super) struct Schema<'s> {
    root: &'s Json,
}

/// All schema objects that apply to one value at once.
pub(super) type Rules<'s> = Vec<&'s Map<String, Json>>;

/// No alternative of the schema fits the value.
pub(super) enum Mismatch<'s> {
    /// The value, or this field of it, is none of these names.
    Name {
        field: Option<&'s str>,
        allowed: Vec<&'s str>,
    },
    /// The value is no map, and must be one that this field tells apart.
    Untagged { field: &'s str },
    /// The value is of no type that an alternative has.
    Type { alternatives: Vec<&'s Json> },
}

impl<'s> Schema<'s> {
    pub(super) fn new(root: &'s Json) -> Self {
        Self { root }
    }

    pub(super) fn root(self) -> &'s Json {
        self.root
    }

    /// Collects the rules that apply to a value.
    pub(super) fn rules(self, schema: &'s Json, node: &Node) -> Result<Rules<'s>, Mismatch<'s>> {
        let mut rules = Rules::new();
        self.collect(schema, node, 0, &mut rules)?;
        Ok(rules)
    }

    fn collect(
        self,
        schema: &'s Json,
        node: &Node,
        depth: usize,
        rules: &mut Rules<'s>,
    ) -> Result<(), Mismatch<'s>> {
        let Json::Object(fields) = schema else {
            return Ok(());
        };
        if depth > REFERENCES_MAX {
            return Ok(());
        }
        rules.push(fields);
        if let Some(target) = self.target(schema) {
            self.collect(target, node, depth + 1, rules)?;
        }
        for part in list(schema, "allOf") {
            self.collect(part, node, depth + 1, rules)?;
        }
        for keyword in ["anyOf", "oneOf"] {
            let alternatives = list(schema, keyword);
            if !alternatives.is_empty() {
                let chosen = self.choose(alternatives, node)?;
                self.collect(chosen, node, depth + 1, rules)?;
            }
        }
        Ok(())
    }

    /// Returns what a reference points at.
    fn target(self, schema: &Json) -> Option<&'s Json> {
        let reference = schema.get("$ref")?.as_str()?;
        self.root.pointer(reference.strip_prefix('#')?)
    }

    /// Follows references until there is something else.
    fn resolve(self, mut schema: &'s Json) -> &'s Json {
        for _ in 0..REFERENCES_MAX {
            match self.target(schema) {
                Some(target) => schema = target,
                None => break,
            }
        }
        schema
    }

    /// Chooses the alternative that the value is meant to be.
    fn choose(self, alternatives: &'s [Json], node: &Node) -> Result<&'s Json, Mismatch<'s>> {
        let is_null = |schema: &&Json| {
            self.resolve(schema)
                .get("type")
                .is_some_and(|kind| kind == "null")
        };
        if node.value == Value::Null
            && let Some(null) = alternatives.iter().find(is_null)
        {
            return Ok(null);
        }
        let alternatives: Vec<_> = alternatives.iter().filter(|schema| !is_null(schema)).collect();
        if let [only] = alternatives.as_slice() {
            return Ok(only);
        }
        if let Some(names) = self.all_names(&alternatives) {
            let chosen = names
                .iter()
                .find(|(name, _)| Some(*name) == node.as_text())
                .map(|(_, schema)| *schema);
            let allowed = || names.iter().map(|(name, _)| *name).collect();
            return chosen.ok_or_else(|| Mismatch::Name {
                field: None,
                allowed: allowed(),
            });
        }
        if let Some((field, tags)) = self.tags(&alternatives) {
            if node.as_map().is_none() {
                return Err(Mismatch::Untagged { field });
            }
            let tag = node.field(field).and_then(Node::as_text);
            let chosen = tags
                .iter()
                .find(|(name, _)| Some(*name) == tag)
                .map(|(_, schema)| *schema);
            let allowed = || tags.iter().map(|(name, _)| *name).collect();
            return chosen.ok_or_else(|| Mismatch::Name {
                field: Some(field),
                allowed: allowed(),
            });
        }
        let accepting: Vec<_> = alternatives
            .iter()
            .copied()
            .filter(|schema| self.accepts(schema, node))
            .collect();
        accepting
            .into_iter()
            .min_by_key(|schema| validate::count_problems(self, schema, node))
            .ok_or(Mismatch::Type { alternatives })
    }

    /// Returns the names, if each alternative is one or more names.
    fn all_names(self, alternatives: &[&'s Json]) -> Option<Vec<(&'s str, &'s Json)>> {
        let mut names = Vec::new();
        for alternative in alternatives {
            let schema = self.resolve(alternative);
            match (schema.get("const"), list(schema, "enum")) {
                (Some(Json::String(name)), _) => names.push((name.as_str(), *alternative)),
                (None, values @ [_, ..]) => {
                    for value in values {
                        names.push((value.as_str()?, *alternative));
                    }
                }
                _ => return None,
            }
        }
        Some(names)
    }

    /// Returns the field that tells the alternatives apart, with its value in each.
    fn tags(self, alternatives: &[&'s Json]) -> Option<(&'s str, Vec<(&'s str, &'s Json)>)> {
        let tag_of = |schema: &'s Json, field: &str| {
            self.resolve(schema)
                .get("properties")?
                .get(field)?
                .get("const")?
                .as_str()
        };
        let first = self
            .resolve(alternatives.first()?)
            .get("properties")?
            .as_object()?;
        first.keys().find_map(|field| {
            let tags: Option<Vec<_>> = alternatives
                .iter()
                .map(|schema| Some((tag_of(schema, field)?, *schema)))
                .collect();
            Some((field.as_str(), tags?))
        })
    }

    /// Returns whether the value's type is one that the schema has.
    fn accepts(self, schema: &'s Json, node: &Node) -> bool {
        let schema = self.resolve(schema);
        if let Some(kinds) = schema.get("type") {
            return kind_names(kinds).any(|kind| kind_fits(kind, node));
        }
        let alternatives = || list(schema, "anyOf").iter().chain(list(schema, "oneOf"));
        alternatives().next().is_none() || alternatives().any(|schema| self.accepts(schema, node))
    }

    /// Returns whether the schema, or an alternative of it, has a field of that name.
    pub(super) fn has_field(self, schema: &'s Json, name: &str) -> bool {
        let schema = self.resolve(schema);
        schema
            .get("properties")
            .is_some_and(|properties| properties.get(name).is_some())
            || ["allOf", "anyOf", "oneOf"].iter().any(|keyword| {
                list(schema, keyword)
                    .iter()
                    .any(|part| self.resolve(part)["properties"].get(name).is_some())
            })
    }

    /// Collects the rules that would apply to any value: for saying what is expected.
    pub(super) fn static_rules(self, schema: &'s Json) -> (Rules<'s>, Vec<&'s Json>) {
        let mut rules = Rules::new();
        let mut current = schema;
        for _ in 0..REFERENCES_MAX {
            rules.extend(current.as_object());
            match self.target(current) {
                Some(target) => current = target,
                None => break,
            }
        }
        let alternatives = list(current, "anyOf")
            .iter()
            .chain(list(current, "oneOf"))
            .collect();
        (rules, alternatives)
    }
}

/// Returns a keyword's list, or an empty one.
pub(super) fn list<'s>(schema: &'s Json, keyword: &str) -> &'s [Json] {
    schema
        .get(keyword)
        .and_then(Json::as_array)
        .map_or(&[], Vec::as_slice)
}

/// Returns the names in a `type` keyword.
pub(super) fn kind_names(kinds: &Json) -> impl Iterator<Item = &str> {
    let many = kinds.as_array().map_or(&[][..], Vec::as_slice);
    kinds
        .as_str()
        .into_iter()
        .chain(many.iter().filter_map(Json::as_str))
}

/// Returns whether a value is of a schema's type, or would be if it were read as one.
pub(super) fn kind_fits(kind: &str, node: &Node) -> bool {
    match (&node.value, kind) {
        (Value::Text(text), "integer" | "number" | "boolean") if node.text_kind == TextKind::Untyped => {
            kind_fits(kind, &Node::new(read_typed(text), node.origin.clone()))
        }
        (Value::Null, "null")
        | (Value::Bool(_), "boolean")
        | (Value::Integer(_), "integer" | "number")
        | (Value::Float(_), "number")
        | (Value::Text(_), "string")
        | (Value::List(_), "array")
        | (Value::Map(_), "object") => true,
        _ => false,
    }
}

/// Reads the text of a variable; an empty one stays text.
pub(super) fn read_typed(text: &str) -> Value {
    match read_plain(text) {
        Value::Null => Value::Text(text.to_owned()),
        value => value,
    }
}

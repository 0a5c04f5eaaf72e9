//! The settings as a tree in which every value knows where it comes from.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::Value as Json;

use super::problem::Origin;

/// A value and its origin. `Debug` does not show the value, which may be a secret.
#[derive(Clone)]
pub(super) struct Node {
    pub(super) value: Value,
    /// Where the value stands; for a map or list that is a field, where the field's name stands.
    pub(super) origin: Origin,
    pub(super) text_kind: TextKind,
    /// The environment variables that were put into the text.
    pub(super) variables: Vec<String>,
}

#[derive(Clone, PartialEq)]
pub(super) enum Value {
    Null,
    Bool(bool),
    /// Within the ranges of `i64` and `u64`.
    Integer(i128),
    /// Finite.
    Float(f64),
    Text(String),
    List(Vec<Node>),
    Map(Map),
    /// A value that a problem was already reported for.
    Unknown,
}

impl PartialEq for Node {
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}

pub(super) type Map = BTreeMap<String, Entry>;

/// A field: where its name stands, and its value.
#[derive(Clone, PartialEq)]
pub(super) struct Entry {
    pub(super) origin: Origin,
    pub(super) node: Node,
}

/// How a text was written, which decides what else it may become.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum TextKind {
    /// In quotes, as a block, or mixed with variables: it stays text.
    Fixed,
    /// Plain: a text that is one `${VARIABLE}` becomes [`TextKind::Untyped`].
    Plain,
    /// From a variable: a number or a boolean if that is what the field wants.
    Untyped,
}

impl Node {
    pub(super) fn new(value: Value, origin: Origin) -> Self {
        Self {
            value,
            origin,
            text_kind: TextKind::Fixed,
            variables: Vec::new(),
        }
    }

    pub(super) fn from_json(json: &Json, origin: &Origin) -> Self {
        let value = match json {
            Json::Null => Value::Null,
            Json::Bool(value) => Value::Bool(*value),
            Json::Number(number) => match (number.as_i64(), number.as_u64(), number.as_f64()) {
                (Some(integer), _, _) => Value::Integer(integer.into()),
                (None, Some(integer), _) => Value::Integer(integer.into()),
                (None, None, float) => Value::Float(float.unwrap_or_default()),
            },
            Json::String(text) => Value::Text(text.clone()),
            Json::Array(items) => {
                Value::List(items.iter().map(|item| Self::from_json(item, origin)).collect())
            }
            Json::Object(fields) => Value::Map(
                fields
                    .iter()
                    .map(|(name, value)| {
                        let node = Self::from_json(value, origin);
                        (
                            name.clone(),
                            Entry {
                                origin: origin.clone(),
                                node,
                            },
                        )
                    })
                    .collect(),
            ),
        };
        Self::new(value, origin.clone())
    }

    /// Converts to JSON. A field that is null counts as not given, so it is left out.
    pub(super) fn to_json(&self) -> Json {
        match &self.value {
            Value::Null | Value::Unknown => Json::Null,
            Value::Bool(value) => Json::Bool(*value),
            Value::Integer(integer) => integer_to_json(*integer),
            Value::Float(float) => Json::from(*float),
            Value::Text(text) => Json::String(text.clone()),
            Value::List(items) => Json::Array(items.iter().map(Self::to_json).collect()),
            Value::Map(map) => Json::Object(
                map.iter()
                    .filter(|(_, entry)| entry.node.value != Value::Null)
                    .map(|(name, entry)| (name.clone(), entry.node.to_json()))
                    .collect(),
            ),
        }
    }

    pub(super) fn as_map(&self) -> Option<&Map> {
        if let Value::Map(map) = &self.value {
            Some(map)
        } else {
            None
        }
    }

    pub(super) fn as_list(&self) -> Option<&[Self]> {
        if let Value::List(items) = &self.value {
            Some(items)
        } else {
            None
        }
    }

    pub(super) fn as_text(&self) -> Option<&str> {
        if let Value::Text(text) = &self.value {
            Some(text)
        } else {
            None
        }
    }

    /// Returns a field of a map; one that is null counts as not given.
    pub(super) fn field(&self, name: &str) -> Option<&Self> {
        self.as_map()?
            .get(name)
            .map(|entry| &entry.node)
            .filter(|node| node.value != Value::Null)
    }

    /// Returns what is below a path of field names.
    pub(super) fn descend(&self, names: &[&str]) -> Option<&Self> {
        names.iter().try_fold(self, |node, name| node.field(name))
    }

    /// Says what kind of value it is, for a message.
    pub(super) fn describe_kind(&self) -> &'static str {
        match &self.value {
            Value::Null => "nothing",
            Value::Bool(_) => "a boolean",
            Value::Integer(_) => "a whole number",
            Value::Float(_) => "a number",
            Value::Text(_) => "text",
            Value::List(_) => "a list",
            Value::Map(_) => "a map",
            Value::Unknown => "an unknown value",
        }
    }
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} from {}", self.describe_kind(), self.origin)
    }
}

fn integer_to_json(integer: i128) -> Json {
    i64::try_from(integer)
        .map(Json::from)
        .or_else(|_| u64::try_from(integer).map(Json::from))
        .unwrap_or_default()
}

/// Reads a plain scalar by the core schema of YAML 1.2.2, section 10.3.2.
///
/// `yes` and `on` are text there. Integers beyond 64 bits, `.inf` and `.nan` stay text.
pub(super) fn read_plain(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Value::Null,
        "true" | "True" | "TRUE" => return Value::Bool(true),
        "false" | "False" | "FALSE" => return Value::Bool(false),
        _ => {}
    }
    if let Some(integer) = read_integer(text) {
        return Value::Integer(integer);
    }
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let is_float = unsigned.starts_with(|c: char| c.is_ascii_digit() || c == '.')
        && unsigned.contains(|c: char| c.is_ascii_digit())
        && unsigned
            .bytes()
            .all(|byte| byte.is_ascii_digit() || b".eE+-".contains(&byte))
        && unsigned.contains(['.', 'e', 'E']);
    match text.parse::<f64>() {
        Ok(float) if is_float && float.is_finite() => Value::Float(float),
        Ok(_) | Err(_) => Value::Text(text.to_owned()),
    }
}

fn read_integer(text: &str) -> Option<i128> {
    let integer = if let Some(digits) = text.strip_prefix("0x") {
        i128::from_str_radix(digits.strip_prefix(['-', '+']).map_or(digits, |_| ""), 16).ok()?
    } else if let Some(digits) = text.strip_prefix("0o") {
        i128::from_str_radix(digits.strip_prefix(['-', '+']).map_or(digits, |_| ""), 8).ok()?
    } else {
        text.parse::<i128>().ok()?
    };
    (i128::from(i64::MIN)..=i128::from(u64::MAX))
        .contains(&integer)
        .then_some(integer)
}

/// Where a value is in the tree.
#[derive(Clone, Default, Debug)]
pub(super) struct FieldPath(Vec<Step>);

#[derive(Clone, Debug)]
enum Step {
    Field(String),
    Item(usize),
}

impl FieldPath {
    /// Parses a path of plain field names joined by dots.
    pub(super) fn of(names: &[&str]) -> Self {
        Self(names.iter().map(|name| Step::Field((*name).to_owned())).collect())
    }

    pub(super) fn field(&self, name: &str) -> Self {
        let mut steps = self.0.clone();
        steps.push(Step::Field(name.to_owned()));
        Self(steps)
    }

    pub(super) fn item(&self, index: usize) -> Self {
        let mut steps = self.0.clone();
        steps.push(Step::Item(index));
        Self(steps)
    }

    /// Returns what is at this path of a tree, or else the nearest thing above it.
    pub(super) fn nearest_in<'n>(&self, tree: &'n Node) -> &'n Node {
        let mut found = tree;
        for step in &self.0 {
            let below = match step {
                Step::Field(name) => found.field(name),
                Step::Item(index) => found.as_list().and_then(|items| items.get(*index)),
            };
            match below {
                Some(below) => found = below,
                None => break,
            }
        }
        found
    }

    /// Returns the number of steps.
    pub(super) fn depth(&self) -> usize {
        self.0.len()
    }

    /// Returns the field names below `storage.providers.NAME.config`; none for a path that is elsewhere.
    pub(super) fn fields_in_config(&self) -> impl Iterator<Item = &str> {
        let name = |step: &Step| {
            if let Step::Field(name) = step {
                name.clone()
            } else {
                String::new()
            }
        };
        let start: Vec<_> = self.0.iter().take(4).map(name).collect();
        let start: Vec<_> = start.iter().map(String::as_str).collect();
        let is_in_config = matches!(start.as_slice(), ["storage", "providers", _, "config"]);
        let below = self.0.iter().skip(if is_in_config { 4 } else { usize::MAX });
        below.filter_map(|step| {
            if let Step::Field(name) = step {
                Some(name.as_str())
            } else {
                None
            }
        })
    }
}

impl fmt::Display for FieldPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, step) in self.0.iter().enumerate() {
            match step {
                Step::Item(index) => write!(f, "[{index}]")?,
                Step::Field(name) if is_plain_name(name) => {
                    if position > 0 {
                        f.write_str(".")?;
                    }
                    f.write_str(name)?;
                }
                Step::Field(name) => write!(f, "[{:?}]", shorten(name, 60))?,
            }
        }
        Ok(())
    }
}

fn is_plain_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= 64
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"_-$".contains(&byte))
}

/// Cuts a text, so that a message stays readable.
pub(super) fn shorten(text: &str, characters_max: usize) -> String {
    let mut shown: String = text.chars().take(characters_max).collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &str) {
        let shown = match read_plain(text) {
            Value::Null => "null".to_owned(),
            Value::Bool(value) => format!("bool {value}"),
            Value::Integer(value) => format!("int {value}"),
            Value::Float(value) => format!("float {value}"),
            Value::Text(value) => format!("text {value}"),
            Value::List(_) | Value::Map(_) | Value::Unknown => "no scalar".to_owned(),
        };
        assert_eq!(shown, expected, "{text:?}");
    }

    #[test]
    fn plain_scalars_are_yaml_1_2() {
        check("", "null");
        check("~", "null");
        check("True", "bool true");
        check("yes", "text yes");
        check("off", "text off");
        check("010", "int 10");
        check("-5", "int -5");
        check("+5", "int 5");
        check("0o17", "int 15");
        check("0xfF", "int 255");
        check("0x-1", "text 0x-1");
        check("18446744073709551615", "int 18446744073709551615");
        check("18446744073709551616", "text 18446744073709551616");
        check("1.5", "float 1.5");
        check(".5e1", "float 5");
        check("1e3", "float 1000");
        check("1e999", "text 1e999");
        check(".inf", "text .inf");
        check("nan", "text nan");
        check("infinity", "text infinity");
        check("1_000", "text 1_000");
        check("-", "text -");
        check(".", "text .");
        check("12:30", "text 12:30");
    }

    #[test]
    fn a_path_reads_like_the_file() {
        let path = FieldPath::of(&["storage", "routing_rules"])
            .item(0)
            .field("condition")
            .field("size_gt");
        assert_eq!(path.to_string(), "storage.routing_rules[0].condition.size_gt");
        assert_eq!(
            FieldPath::of(&["a"]).field("b.c").field("$schema").to_string(),
            "a[\"b.c\"].$schema"
        );
    }
}

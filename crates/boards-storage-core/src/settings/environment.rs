//! `BOARDS_STORAGE__…` variables, which override the file field by field.
//!
//! After the prefix, a double underscore goes one level down from `storage`, and case does not matter:
//! `BOARDS_STORAGE__DEFAULT_PROVIDER` is `storage.default_provider`, `BOARDS_STORAGE__PROVIDERS__S3__CONFIG__REGION` is
//! `storage.providers.s3.config.region`. A `-` in the name of a field of the file is written `_`. The value is one
//! text, number or boolean, never structure; it is taken as it is, without `${…}`.

use super::interpolate::Environment;
use super::problem::{Origin, Problem, ProblemKind};
use super::tree::{Entry, FieldPath, Map, Node, TextKind, Value, shorten};

/// What the names of overriding variables begin with.
pub(super) const PREFIX: &str = "BOARDS_STORAGE__";

/// The root of the settings, which the prefix stands for.
const ROOT: &str = "storage";

/// Builds the tree of the overriding variables; `below` is the file's tree, for the names of its fields.
pub(super) fn read(environment: &Environment, below: &Node, problems: &mut Vec<Problem>) -> Node {
    let mut root = Node::new(Value::Map(Map::new()), Origin::Default);
    for (name, value) in environment {
        let Some(rest) = name.strip_prefix(PREFIX) else {
            continue;
        };
        let origin = Origin::Variable { name: name.clone() };
        if let Err(message) = insert(&mut root, below, rest, value, &origin) {
            problems.push(
                Problem::new(ProblemKind::BadValue, "", &origin, message).with_help(format!(
                    "write {PREFIX}FIELD, or {PREFIX}FIELD__FIELD for a field of a field"
                )),
            );
        }
    }
    root
}

fn insert(root: &mut Node, below: &Node, rest: &str, value: &str, origin: &Origin) -> Result<(), String> {
    let segments: Vec<_> = rest.split("__").collect();
    if segments.iter().any(|segment| segment.is_empty()) {
        return Err("the name has an empty part".to_owned());
    }
    let mut place = root;
    let mut file = Some(below);
    let mut path = FieldPath::default();
    for segment in std::iter::once(&ROOT).chain(&segments) {
        let name = field_name(segment, file)?;
        file = file.and_then(|node| node.field(&name));
        path = path.field(&name);
        let fresh = || Entry {
            origin: origin.clone(),
            node: Node::new(Value::Null, origin.clone()),
        };
        let set_by = place.origin.clone();
        let Value::Map(map) = &mut place.value else {
            return Err(format!(
                "'{path}' can't be set: {set_by} sets all that it is a part of"
            ));
        };
        place = &mut map.entry(name).or_insert_with(fresh).node;
        if place.value == Value::Null && !is_last(&path, segments.len()) {
            place.value = Value::Map(Map::new());
        }
    }
    if place.value != Value::Null {
        return Err(format!("'{path}' is also set by {}", place.origin));
    }
    place.value = Value::Text(value.to_owned());
    place.text_kind = TextKind::Untyped;
    Ok(())
}

fn is_last(path: &FieldPath, segments: usize) -> bool {
    path.depth() == segments + 1
}

/// Returns the name of the field as the file writes it, else in lower case.
fn field_name(segment: &str, file: Option<&Node>) -> Result<String, String> {
    let plain = segment.to_ascii_lowercase();
    let Some(fields) = file.and_then(Node::as_map) else {
        return Ok(plain);
    };
    if fields.contains_key(&plain) {
        return Ok(plain);
    }
    let alike = |name: &&String| name.to_ascii_lowercase().replace('-', "_") == plain.replace('-', "_");
    let matches: Vec<_> = fields.keys().filter(alike).collect();
    match matches.as_slice() {
        [] => Ok(plain),
        [name] => Ok((*name).clone()),
        [first, second, ..] => {
            let segment = shorten(segment, 60);
            Err(format!(
                "'{segment}' may be the field '{first}' or the field '{second}'"
            ))
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check(variables: &[(&str, &str)], expected: &serde_json::Value, expected_problems: &[&str]) {
        let below = json!({"storage": {"providers": {"My-S3": {}, "a": {}, "A_b": {}, "a-b": {}}}});
        let below = Node::from_json(&below, &Origin::Default);
        let environment = variables
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        let mut problems = Vec::new();
        let tree = read(&environment, &below, &mut problems);
        let shown: Vec<_> = problems.iter().map(|problem| problem.message.as_str()).collect();
        assert_eq!(shown, expected_problems);
        assert_eq!(tree.to_json(), *expected);
    }

    #[test]
    fn variables_are_fields_of_storage() {
        check(&[], &json!({}), &[]);
        check(
            &[("PATH", "/bin"), ("BOARDS_STORAGE_CONFIG", "x")],
            &json!({}),
            &[],
        );
        check(
            &[
                ("BOARDS_STORAGE__DEFAULT_PROVIDER", "5"),
                ("BOARDS_STORAGE__LIMITS__SIZE_MAX", ""),
            ],
            &json!({"storage": {"default_provider": "5", "limits": {"size_max": ""}}}),
            &[],
        );
    }

    #[test]
    fn names_of_the_file_are_found_whatever_their_case() {
        check(
            &[
                ("BOARDS_STORAGE__PROVIDERS__MY_S3__TYPE", "s3"),
                ("BOARDS_STORAGE__PROVIDERS__A__TYPE", "${X}"),
            ],
            &json!({"storage": {"providers": {"My-S3": {"type": "s3"}, "a": {"type": "${X}"}}}}),
            &[],
        );
        check(
            &[("BOARDS_STORAGE__PROVIDERS__A_B__TYPE", "x")],
            &json!({"storage": {"providers": {}}}),
            &["'A_B' may be the field 'A_b' or the field 'a-b'"],
        );
    }

    #[test]
    fn a_variable_that_contradicts_another_is_refused() {
        check(
            &[("BOARDS_STORAGE__A", "1"), ("BOARDS_STORAGE__A__B", "2")],
            &json!({"storage": {"a": "1"}}),
            &[
                "'storage.a.b' can't be set: environment variable BOARDS_STORAGE__A sets all that it is a part of",
            ],
        );
        check(
            &[("BOARDS_STORAGE__A", "1"), ("BOARDS_STORAGE__a", "2")],
            &json!({"storage": {"a": "1"}}),
            &["'storage.a' is also set by environment variable BOARDS_STORAGE__A"],
        );
        check(
            &[("BOARDS_STORAGE__A____B", "1")],
            &json!({}),
            &["the name has an empty part"],
        );
        check(
            &[("BOARDS_STORAGE__", "1")],
            &json!({}),
            &["the name has an empty part"],
        );
    }
}

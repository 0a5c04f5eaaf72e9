//! `${VARIABLE}` in values, after the file is parsed: what a variable holds can never become structure.

use std::collections::BTreeMap;

use super::problem::{Problem, ProblemKind};
use super::tree::{FieldPath, Node, TextKind, Value};

/// The environment, as the caller hands it down.
pub(super) type Environment = BTreeMap<String, String>;

/// Puts the variables into every text of the tree.
pub(super) fn interpolate(
    node: &mut Node,
    path: &FieldPath,
    environment: &Environment,
    problems: &mut Vec<Problem>,
) {
    match &mut node.value {
        Value::Map(map) => {
            for (name, entry) in map {
                interpolate(&mut entry.node, &path.field(name), environment, problems);
            }
        }
        Value::List(items) => {
            for (index, item) in items.iter_mut().enumerate() {
                interpolate(item, &path.item(index), environment, problems);
            }
        }
        Value::Text(text) if text.contains("${") => {
            let expansion = expand(text, environment);
            for failure in &expansion.failures {
                problems.push(failure.problem(node, path));
            }
            if node.text_kind == TextKind::Plain {
                node.text_kind = if expansion.is_one_variable {
                    TextKind::Untyped
                } else {
                    TextKind::Fixed
                };
            }
            node.variables = expansion.variables;
            node.value = if expansion.failures.is_empty() {
                Value::Text(expansion.text)
            } else {
                Value::Unknown
            };
        }
        Value::Null
        | Value::Bool(_)
        | Value::Integer(_)
        | Value::Float(_)
        | Value::Text(_)
        | Value::Unknown => {}
    }
}

#[derive(Debug, Default)]
struct Expansion {
    text: String,
    variables: Vec<String>,
    /// The text was one `${…}` and nothing else.
    is_one_variable: bool,
    failures: Vec<Failure>,
}

#[derive(Debug)]
enum Failure {
    Unset {
        name: String,
        message: Option<String>,
    },
    /// The text itself is not named: it may be a password that happens to have a `${`.
    Malformed {
        what: &'static str,
    },
}

impl Failure {
    fn problem(&self, node: &Node, path: &FieldPath) -> Problem {
        match self {
            Self::Unset { name, message: None } => Problem::new(
                ProblemKind::UnsetVariable,
                path,
                &node.origin,
                format!("the environment variable '{name}' is not set"),
            )
            .with_help(format!("set it, or give a default: ${{{name}:-default}}")),
            Self::Unset { name, message: Some(message) } => Problem::new(
                ProblemKind::UnsetVariable,
                path,
                &node.origin,
                format!("the environment variable '{name}' is not set: {message}"),
            ),
            Self::Malformed { what } => Problem::new(ProblemKind::BadValue, path, &node.origin, *what)
                .with_help(
                    "write ${NAME}, ${NAME:-default} or ${NAME:?message}, and $${ where the text is meant to have ${",
                ),
        }
    }
}

fn expand(text: &str, environment: &Environment) -> Expansion {
    let mut expansion = Expansion::default();
    let mut rest = text;
    while let Some(dollar) = rest.find('$') {
        expansion.text.push_str(&rest[..dollar]);
        rest = &rest[dollar..];
        if let Some(after) = rest.strip_prefix("$${") {
            expansion.text.push_str("${");
            rest = after;
        } else if let Some(after) = rest.strip_prefix("${") {
            let Some((inside, after)) = after.split_once('}') else {
                expansion.failures.push(Failure::Malformed {
                    what: "a '${' has no closing brace",
                });
                return expansion;
            };
            expansion.is_one_variable = inside.len() + "${}".len() == text.len();
            expand_one(inside, environment, &mut expansion);
            rest = after;
        } else {
            expansion.text.push('$');
            rest = &rest[1..];
        }
    }
    expansion.text.push_str(rest);
    expansion
}

/// Expands what stands between the braces.
fn expand_one(inside: &str, environment: &Environment, expansion: &mut Expansion) {
    let name_end = inside
        .find(|c: char| !c.is_ascii_alphanumeric() && c != '_')
        .unwrap_or(inside.len());
    let (name, operator) = inside.split_at(name_end);
    if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) {
        expansion.failures.push(Failure::Malformed {
            what: "a '${' is not followed by the name of a variable",
        });
        return;
    }
    if operator.contains("${") {
        expansion.failures.push(Failure::Malformed {
            what: "a '${' is inside of another",
        });
        return;
    }
    expansion.variables.push(name.to_owned());
    let set = environment.get(name).map(String::as_str);
    let filled = set.filter(|value| !value.is_empty());
    if operator.is_empty() {
        match set {
            Some(value) => expansion.text.push_str(value),
            None => expansion.failures.push(Failure::Unset {
                name: name.to_owned(),
                message: None,
            }),
        }
    } else if let Some(default) = operator.strip_prefix(":-") {
        expansion.text.push_str(filled.unwrap_or(default));
    } else if let Some(message) = operator.strip_prefix(":?") {
        match filled {
            Some(value) => expansion.text.push_str(value),
            None => {
                let message = (!message.is_empty()).then(|| message.to_owned());
                expansion.failures.push(Failure::Unset {
                    name: name.to_owned(),
                    message,
                });
            }
        }
    } else {
        expansion.failures.push(Failure::Malformed {
            what: "the name of a variable ends neither with '}' nor with ':-' or ':?'",
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment() -> Environment {
        [
            ("A", "one"),
            ("EMPTY", ""),
            ("TRICK", "${A} }\n- x: ["),
            ("_B2", "two"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into()
    }

    #[track_caller]
    fn check(text: &str, expected: &str) {
        let expansion = expand(text, &environment());
        assert!(expansion.failures.is_empty(), "{text}: {:?}", expansion.failures);
        assert_eq!(expansion.text, expected, "{text}");
    }

    #[track_caller]
    fn check_failure(text: &str, expected: &str) {
        let expansion = expand(text, &environment());
        let node = Node::new(Value::Null, super::super::problem::Origin::Default);
        let messages: Vec<_> = expansion
            .failures
            .iter()
            .map(|failure| failure.problem(&node, &FieldPath::default()).message)
            .collect();
        assert_eq!(messages, [expected], "{text}");
    }

    #[test]
    fn variables_are_put_in_once() {
        check("plain", "plain");
        check("${A}", "one");
        check("x${A}y${_B2}z", "xoneytwoz");
        check("${EMPTY}", "");
        check("${EMPTY:-filled}", "filled");
        check("${NONE:-}", "");
        check("${NONE:-a:-b $c}", "a:-b $c");
        check("${A:-x}${A:?needed}", "oneone");
        check("${TRICK}", "${A} }\n- x: [");
    }

    #[test]
    fn a_dollar_without_a_brace_is_a_dollar() {
        check("$", "$");
        check("$A costs 5$ $$ x$$", "$A costs 5$ $$ x$$");
        check("$${A}", "${A}");
        check("$${ ${A}", "${ one");
    }

    #[test]
    fn failures_name_the_variable() {
        check_failure("${NONE}", "the environment variable 'NONE' is not set");
        check_failure(
            "${NONE:?set it in .env}",
            "the environment variable 'NONE' is not set: set it in .env",
        );
        check_failure("${EMPTY:?}", "the environment variable 'EMPTY' is not set");
        check_failure("${A", "a '${' has no closing brace");
        check_failure("${}", "a '${' is not followed by the name of a variable");
        check_failure("${1A}", "a '${' is not followed by the name of a variable");
        let ends_wrong = "the name of a variable ends neither with '}' nor with ':-' or ':?'";
        check_failure("${A-x}", ends_wrong);
        check_failure("${A B}", ends_wrong);
        check_failure("${A:-${B}}", "a '${' is inside of another");
    }
}

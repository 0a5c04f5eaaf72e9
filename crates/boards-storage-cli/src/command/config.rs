//! `config`: shows, checks and describes the settings.

use boards_storage::{EffectiveSetting, Settings, Storage};
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use crate::errors::{Failure, Result};
use crate::output::{Table, escape};
use crate::session::Session;
use crate::settings::{self, Found};

/// Show, check or describe the settings
#[derive(Debug, Args)]
pub(crate) struct Config {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Print the settings in effect, defaults included and secrets left out
    Show {
        /// Say of each value where it comes from
        #[arg(long)]
        origin: bool,
    },
    /// Look for everything that is wrong with the settings, and say where
    ///
    /// Nothing is opened. The exit code is 7 if anything is wrong. Notes are about what is allowed and worth knowing,
    /// such as a provider type that this program was built without. --json prints {"place", "problems", "notes"}.
    Check,
    /// Print the JSON Schema of the settings file, for editors
    ///
    /// Save it and begin storage.yaml with: # yaml-language-server: $schema=storage.schema.json
    Schema,
}

impl Config {
    pub(super) async fn run(self, session: &mut Session) -> Result<()> {
        match self.action {
            Action::Schema => session.output.json(&Settings::schema(&Storage::registry()?)),
            Action::Show { origin } => show(session, &settings::find(&session.global).await?, origin),
            Action::Check => check(session, &settings::find(&session.global).await?),
        }
    }
}

fn show(session: &mut Session, found: &Found, with_origin: bool) -> Result<()> {
    let loaded = found.load()?;
    let output = &mut session.output;
    match (output.json, with_origin) {
        (true, true) => output.json(&loaded.effective()),
        (true, false) => output.json(loaded.to_redacted_value()),
        (false, true) => {
            let mut table = Table::new(&["FIELD", "VALUE", "FROM"]);
            for setting in loaded.effective() {
                let value = setting
                    .value
                    .as_str()
                    .map_or_else(|| setting.value.to_string(), str::to_owned);
                table.row([&setting.path, &value, &origin(setting)]);
            }
            table.write(output)
        }
        (false, false) => {
            output.note(&escape(&format!("# {}", found.place)))?;
            let mut lines = Vec::new();
            write_yaml(loaded.to_redacted_value(), 0, &mut lines);
            lines.iter().try_for_each(|line| output.line(line))
        }
    }
}

fn origin(setting: &EffectiveSetting) -> String {
    match setting.variables.as_slice() {
        [] => setting.origin.to_string(),
        variables => format!("{}, by {}", setting.origin, variables.join(", ")),
    }
}

fn check(session: &mut Session, found: &Found) -> Result<()> {
    let place = found.place.to_string();
    let loaded = match found.load() {
        Err(Failure::Settings(error)) if session.output.json => {
            session
                .output
                .json(&json!({ "place": place, "problems": error.problems, "notes": [] }))?;
            return Err(Failure::Told(Failure::Settings(error).exit_code()));
        }
        loaded => loaded?,
    };
    let output = &mut session.output;
    if output.json {
        return output.json(&json!({ "place": place, "problems": [], "notes": loaded.notes }));
    }
    for note in &loaded.notes {
        let line = format!("{} {}", output.style.yellow("note:"), escape(&note.to_string()));
        output.note(&line)?;
    }
    output.note(&escape(&format!("the settings are right: {place}")))
}

/// Writes a value as YAML, from which the same value can be read.
fn write_yaml(value: &Value, depth: usize, lines: &mut Vec<String>) {
    let indent = "  ".repeat(depth);
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            for (name, value) in fields {
                write_entry(&format!("{indent}{}:", text(name)), value, depth, lines);
            }
        }
        Value::Array(items) if !items.is_empty() => {
            for item in items {
                let mut below = Vec::new();
                write_yaml(item, depth + 1, &mut below);
                let first = lines.len();
                lines.append(&mut below);
                // The dash stands in the indentation of the item's first line.
                lines[first].replace_range(indent.len()..indent.len() + 2, "- ");
            }
        }
        scalar_value => lines.push(format!("{indent}{}", scalar(scalar_value))),
    }
}

fn write_entry(begin: &str, value: &Value, depth: usize, lines: &mut Vec<String>) {
    let has_lines = match value {
        Value::Object(fields) => !fields.is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    };
    if has_lines {
        lines.push(begin.to_owned());
        write_yaml(value, depth + 1, lines);
    } else {
        lines.push(format!("{begin} {}", scalar(value)));
    }
}

fn scalar(value: &Value) -> String {
    match value {
        Value::String(plain) => text(plain),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
            value.to_string()
        }
    }
}

/// Writes text without quotes where it can be read as nothing else.
fn text(plain: &str) -> String {
    let begins_as_word = plain.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/' || c == '_')
        || plain.starts_with("./");
    let is_word = plain
        .chars()
        .all(|c| c.is_ascii_alphanumeric() || "/_.-+".contains(c));
    let is_reserved = ["true", "false", "null", "yes", "no", "on", "off", "y", "n"]
        .iter()
        .any(|word| plain.eq_ignore_ascii_case(word));
    if begins_as_word && is_word && !is_reserved {
        return plain.to_owned();
    }
    // A JSON text is a YAML text in double quotes. What a terminal would hide is escaped further.
    let quoted: String = Value::String(plain.to_owned()).to_string();
    quoted
        .chars()
        .map(|c| {
            if c.is_ascii() || c.is_alphanumeric() {
                c.to_string()
            } else {
                escape_for_yaml(c)
            }
        })
        .collect()
}

fn escape_for_yaml(character: char) -> String {
    format!("\\U{:08x}", u32::from(character))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn yaml_is_written_as_it_would_be_by_hand() {
        let value = json!({
            "storage": {
                "default_provider": "local", "empty": {}, "none": [], "n": 5, "b": true,
                "list": [{"a": "yes", "b": [1, "x: y"]}, "100MB", "[redacted]"],
            }
        });
        let mut lines = Vec::new();
        write_yaml(&value, 0, &mut lines);
        let expected = [
            "storage:",
            "  default_provider: local",
            "  empty: {}",
            "  none: []",
            "  \"n\": 5",
            "  b: true",
            "  list:",
            "    - a: \"yes\"",
            "      b:",
            "        - 1",
            "        - \"x: y\"",
            "    - \"100MB\"",
            "    - \"[redacted]\"",
        ];
        let mut expected = expected.to_vec();
        let mut lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        expected.sort_unstable();
        lines.sort_unstable();
        assert_eq!(lines, expected);
        assert_eq!(text("a\u{202e}\u{1b}"), "\"a\\U0000202e\\u001b\"");
    }
}

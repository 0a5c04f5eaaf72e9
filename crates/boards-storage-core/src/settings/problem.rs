//! What can be wrong with settings, and where it stands.

use std::fmt;
use std::sync::Arc;

use serde::Serialize;

use crate::error::Error;

/// Where a value comes from.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(tag = "source", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Origin {
    /// A place in the settings file.
    File {
        /// The file's name, as the caller gave it.
        file: Arc<str>,
        /// The line, from 1.
        line: usize,
        /// The column in characters, from 1.
        column: usize,
    },
    /// An environment variable that overrides the file.
    Variable {
        /// The variable's name.
        name: String,
    },
    /// Nobody said it: a default.
    Default,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { file, line, column } => write!(f, "{file}:{line}:{column}"),
            Self::Variable { name } => write!(f, "environment variable {name}"),
            Self::Default => f.write_str("defaults"),
        }
    }
}

/// What kind of problem it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ProblemKind {
    /// The text is not YAML, or uses a part of YAML that settings do without.
    Syntax,
    /// A field is given twice.
    Duplicate,
    /// There is no field of this name.
    UnknownField,
    /// A required field is not given.
    MissingField,
    /// The value is of another type, such as a list instead of text.
    WrongType,
    /// The value has the right type and is not allowed.
    BadValue,
    /// There is no provider of this name.
    UnknownProvider,
    /// `${VARIABLE}` names a variable that is not set.
    UnsetVariable,
    /// Two values exclude each other.
    Contradiction,
}

/// One thing that is wrong with the settings. It shows no secret.
///
/// `Display` writes one line: where, which field, what is wrong, what to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Problem {
    /// What kind of problem it is.
    pub kind: ProblemKind,
    /// The field, such as `storage.routing_rules[0].condition.size_gt`; empty for the whole.
    pub path: String,
    /// Where the value comes from, or where the field is missing.
    pub origin: Origin,
    /// What is wrong, in one sentence without a full stop.
    pub message: String,
    /// What was expected.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expected: Option<String>,
    /// What came instead.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub found: Option<String>,
    /// The nearest name that would have been right.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nearest: Option<String>,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
}

impl Problem {
    pub(super) fn new(
        kind: ProblemKind,
        path: impl fmt::Display,
        origin: &Origin,
        message: impl Into<String>,
    ) -> Self {
        Self {
            kind,
            path: path.to_string(),
            origin: origin.clone(),
            message: message.into(),
            expected: None,
            found: None,
            nearest: None,
            help: None,
        }
    }

    /// A problem whose message is what was expected and what came.
    pub(super) fn mismatch(
        kind: ProblemKind,
        path: impl fmt::Display,
        origin: &Origin,
        expected: impl Into<String>,
        found: impl Into<String>,
    ) -> Self {
        let (expected, found) = (expected.into(), found.into());
        let mut problem = Self::new(kind, path, origin, format!("expected {expected}, found {found}"));
        problem.expected = Some(expected);
        problem.found = Some(found);
        problem
    }

    pub(super) fn with_expected(mut self, expected: impl Into<String>) -> Self {
        self.expected = Some(expected.into());
        self
    }

    pub(super) fn with_help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Suggests the nearest of the names, if one is near.
    pub(super) fn with_nearest<'n>(mut self, name: &str, names: impl IntoIterator<Item = &'n str>) -> Self {
        self.nearest = nearest(name, names).map(str::to_owned);
        self
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.origin)?;
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(&self.message)?;
        if let Some(nearest) = &self.nearest {
            write!(f, "; did you mean '{nearest}'?")?;
        }
        if let Some(help) = &self.help {
            write!(f, "; {help}")?;
        }
        Ok(())
    }
}

/// Something about the settings that is allowed and worth knowing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Note {
    /// The field that it is about.
    pub path: String,
    /// Where the field stands.
    pub origin: Origin,
    /// What is worth knowing, in one sentence without a full stop.
    pub message: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: {}", self.origin, self.path, self.message)?;
        if let Some(help) = &self.help {
            write!(f, "; {help}")?;
        }
        Ok(())
    }
}

/// Everything that is wrong with the settings, in the order of the file.
///
/// `Display` writes a line that counts the problems and one line for each.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct SettingsError {
    /// The problems; at least one.
    pub problems: Vec<Problem>,
}

impl SettingsError {
    /// Sorts the problems by place. One field that is wrong in one way is named once.
    pub(super) fn new(mut problems: Vec<Problem>) -> Self {
        problems.sort_by(|a, b| a.origin.cmp(&b.origin));
        problems.dedup();
        Self { problems }
    }
}

impl fmt::Display for SettingsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.problems.len() {
            1 => f.write_str("the settings have 1 problem")?,
            count => write!(f, "the settings have {count} problems")?,
        }
        for problem in &self.problems {
            write!(f, "\n  {problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for SettingsError {}

impl From<SettingsError> for Error {
    fn from(error: SettingsError) -> Self {
        Self::configuration(error.to_string())
    }
}

/// Returns the name that is most likely meant: at most a third of its letters differ.
pub(super) fn nearest<'n>(name: &str, names: impl IntoIterator<Item = &'n str>) -> Option<&'n str> {
    const NAME_BYTES_MAX: usize = 128;
    if name.len() > NAME_BYTES_MAX {
        return None;
    }
    let plain = |text: &str| text.to_lowercase().replace('-', "_");
    let wanted = plain(name);
    names
        .into_iter()
        .map(|known| (strsim::damerau_levenshtein(&wanted, &plain(known)), known))
        .filter(|(distance, known)| *distance <= (known.chars().count() / 3).max(1) && *known != name)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, known)| known)
}

/// Writes names as `'a', 'b' and 3 more`, so that a message stays readable.
pub(super) fn list_names<'n>(names: impl IntoIterator<Item = &'n str>) -> String {
    const SHOWN_MAX: usize = 16;
    let names: Vec<_> = names.into_iter().collect();
    let shown: Vec<_> = names
        .iter()
        .take(SHOWN_MAX)
        .map(|name| format!("'{name}'"))
        .collect();
    let shown = shown.join(", ");
    if names.len() > SHOWN_MAX {
        format!("{shown} and {} more", names.len() - SHOWN_MAX)
    } else {
        shown
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_near() {
        let names = ["artifact_type", "size_gt", "s3"];
        for (name, expected) in [
            ("artefact_type", Some("artifact_type")),
            ("Artifact-Type", Some("artifact_type")),
            ("size_tg", Some("size_gt")),
            ("S3", Some("s3")),
            ("s4", Some("s3")),
            ("gcs", None),
            ("", None),
        ] {
            assert_eq!(nearest(name, names), expected, "{name}");
        }
    }

    #[test]
    fn long_lists_of_names_are_cut() {
        let names: Vec<_> = (0..18).map(|number| number.to_string()).collect();
        assert!(list_names(names.iter().map(String::as_str)).ends_with("'15' and 2 more"));
        assert_eq!(list_names(["a", "b"]), "'a', 'b'");
    }
}

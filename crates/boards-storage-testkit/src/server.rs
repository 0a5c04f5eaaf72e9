//! Where tests find the servers they talk to: in the environment, which `cargo xtask test` fills.

use boards_storage_core::{Error, Result};
use serde_json::{Map, Value};

/// What the environment says of one server.
#[derive(Clone, Debug, PartialEq)]
pub enum TestServer {
    /// Its settings, as a `config` block.
    Settings(Map<String, Value>),
    /// It is left out on purpose, and whoever started the tests says so.
    LeftOut,
}

impl TestServer {
    /// The variable with the names of the servers that are left out, with commas between.
    pub const WITHOUT: &str = "BOARDS_STORAGE_TEST_WITHOUT";

    /// Reads what is said of the server `service`, whose variables begin with `BOARDS_STORAGE_TEST_`, `name` and two
    /// underscores: `BOARDS_STORAGE_TEST_S3__BUCKET=media` is the setting `bucket` for the name `S3`.
    ///
    /// # Errors
    ///
    /// `Configuration` if nothing is said: a test that needs the server fails then.
    pub fn find(service: &str, name: &str) -> Result<Self> {
        #[expect(clippy::disallowed_methods, reason = "a test's settings come from outside")]
        let variables = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
        Self::read(service, name, variables)
    }

    fn read(service: &str, name: &str, variables: impl Iterator<Item = (String, String)>) -> Result<Self> {
        let prefix = format!("BOARDS_STORAGE_TEST_{name}__");
        let mut settings = Map::new();
        let mut is_left_out = false;
        for (variable, value) in variables {
            if variable == Self::WITHOUT {
                is_left_out = value.split(',').any(|left_out| left_out == service);
            } else if let Some(path) = variable.strip_prefix(&prefix) {
                insert(&mut settings, &path.to_ascii_lowercase(), &value);
            }
        }
        match (settings.is_empty(), is_left_out) {
            (false, _) => Ok(Self::Settings(settings)),
            (true, true) => Ok(Self::LeftOut),
            (true, false) => Err(Error::configuration(format!(
                "the test needs the server '{service}', and {prefix}… is not set"
            ))
            .with_help(
                "run `cargo xtask test`, or start the servers with `cargo xtask services up` and then run \
                 `eval \"$(cargo xtask services env)\"`",
            )),
        }
    }
}

/// Sets a field; two underscores lead into a block.
fn insert(settings: &mut Map<String, Value>, path: &str, value: &str) {
    match path.split_once("__") {
        None => {
            settings.insert(path.to_owned(), parse(value));
        }
        Some((block, rest)) => {
            let block = settings.entry(block).or_insert_with(|| Value::Object(Map::new()));
            if let Value::Object(block) = block {
                insert(block, rest, value);
            }
        }
    }
}

/// Numbers and truths are such; a long row of digits is a key or an account.
fn parse(value: &str) -> Value {
    match value {
        "true" => Value::Bool(true),
        "false" => Value::Bool(false),
        _ if value.len() <= 9 => value.parse::<u32>().map_or_else(|_| value.into(), Value::from),
        _ => value.into(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(variables: &[(&str, &str)]) -> Result<TestServer> {
        let variables = variables
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        TestServer::read("ceph", "S3", variables)
    }

    #[test]
    fn settings_come_from_the_variables_of_the_name() {
        let found = read(&[
            ("BOARDS_STORAGE_TEST_S3__BUCKET", "media"),
            ("BOARDS_STORAGE_TEST_S3__CONDITIONAL_WRITES", "true"),
            ("BOARDS_STORAGE_TEST_S3__CONCURRENCY", "4"),
            ("BOARDS_STORAGE_TEST_S3__SECRET_ACCESS_KEY", "0000000000"),
            ("BOARDS_STORAGE_TEST_S3__CONNECTIONS__IDLE_MAX", "8"),
            ("BOARDS_STORAGE_TEST_GCS__BUCKET", "other"),
            ("BOARDS_STORAGE_TEST_WITHOUT", "ceph"),
        ]);
        let expected = json!({
            "bucket": "media",
            "conditional_writes": true,
            "concurrency": 4,
            "secret_access_key": "0000000000",
            "connections": { "idle_max": 8 },
        });
        let Ok(TestServer::Settings(found)) = found else {
            panic!("{found:?}")
        };
        assert_eq!(Value::Object(found), expected);
    }

    #[test]
    fn a_server_that_nobody_speaks_of_is_an_error() {
        let without = |names| read(&[("BOARDS_STORAGE_TEST_WITHOUT", names)]);
        assert_eq!(without("garage,ceph").ok(), Some(TestServer::LeftOut));
        let error = without("garage").expect_err("not left out");
        assert!(error.help().is_some_and(|help| help.contains("cargo xtask test")));
    }
}

//! Showing settings without their secrets.

use serde_json::Value as Json;

use super::secret::REDACTED;

/// Words in the name of a field that make its value a secret, unless its schema says otherwise.
const SECRET_WORDS: [&str; 8] = [
    "secret",
    "token",
    "password",
    "passwd",
    "passphrase",
    "credential",
    "key",
    "signature",
];

/// Endings and beginnings of names that are about a secret and are none.
const SAFE_ENDINGS: [&str; 10] = [
    "_id",
    "_path",
    "_file",
    "_name",
    "_prefix",
    "_template",
    "_size",
    "_bytes",
    "_ttl",
    "_type",
];
const SAFE_BEGINNINGS: [&str; 2] = ["public_", "max_"];

/// Returns whether a field of that name is taken for a secret.
pub(super) fn is_secret_name(name: &str) -> bool {
    let name = name.to_ascii_lowercase().replace('-', "_");
    SECRET_WORDS.iter().any(|word| name.contains(word))
        && !SAFE_ENDINGS.iter().any(|ending| name.ends_with(ending))
        && !SAFE_BEGINNINGS
            .iter()
            .any(|beginning| name.starts_with(beginning))
}

/// Cuts the credentials out of a URL: `user:password@`, and query parameters that are secrets or signatures.
pub(super) fn redact_text(text: &str) -> String {
    let Some((scheme, rest)) = text.split_once("://") else {
        return text.to_owned();
    };
    let authority_end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    // A password may have a `/` that nobody escaped: what is before the last `@` of the whole is no host.
    let path_end = rest.find(['?', '#']).unwrap_or(rest.len());
    let user_end = rest[..authority_end].rfind('@').or_else(|| {
        let at = rest[..path_end].rfind('@')?;
        rest[..at].contains(':').then_some(at)
    });
    let (user, rest) = match user_end {
        Some(at) => (format!("{REDACTED}@"), &rest[at + 1..]),
        None => (String::new(), rest),
    };
    let Some((path, query)) = rest.split_once('?') else {
        return format!("{scheme}://{user}{rest}");
    };
    let parameters: Vec<_> = query
        .split('&')
        .map(|parameter| match parameter.split_once('=') {
            Some((name, _)) if is_secret_name(name) || name.eq_ignore_ascii_case("sig") => {
                format!("{name}={REDACTED}")
            }
            _ => parameter.to_owned(),
        })
        .collect();
    format!("{scheme}://{user}{path}?{}", parameters.join("&"))
}

/// Cuts the secrets of a `config` block out of a message about it.
pub(super) fn scrub(message: &str, config: &Json) -> String {
    /// A shorter secret can't be told from ordinary letters.
    const LENGTH_MIN: usize = 4;
    let mut secrets = Vec::new();
    collect_secrets(config, false, &mut secrets);
    secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
    let mut clean = message.to_owned();
    for secret in secrets {
        let quoted = format!("{secret:?}");
        let escaped = quoted.trim_matches('"');
        if secret.len() >= LENGTH_MIN {
            clean = clean.replace(&secret, REDACTED).replace(escaped, REDACTED);
        } else if clean.contains(&secret) {
            return "the value is not valid".to_owned();
        }
    }
    clean
}

fn collect_secrets(json: &Json, is_secret: bool, secrets: &mut Vec<String>) {
    match json {
        Json::Object(fields) => {
            for (name, value) in fields {
                collect_secrets(value, is_secret || is_secret_name(name), secrets);
            }
        }
        Json::Array(items) => items
            .iter()
            .for_each(|item| collect_secrets(item, is_secret, secrets)),
        Json::String(text) if is_secret && !text.is_empty() => secrets.push(text.clone()),
        Json::String(text) if redact_text(text) != *text => secrets.push(text.clone()),
        Json::Number(number) if is_secret => secrets.push(number.to_string()),
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn names_that_sound_secret_are() {
        for name in [
            "key",
            "secret_access_key",
            "API-Key",
            "authToken",
            "db_password",
            "service_role_key",
        ] {
            assert!(is_secret_name(name), "{name}");
        }
        for name in [
            "access_key_id",
            "key_prefix",
            "region",
            "public_key",
            "kms_key_id",
            "token_file",
        ] {
            assert!(!is_secret_name(name), "{name}");
        }
    }

    #[track_caller]
    fn check(text: &str, expected: &str) {
        assert_eq!(redact_text(text), expected);
    }

    #[test]
    fn urls_lose_their_credentials_and_nothing_else() {
        check(
            "http://localhost:8000/a@b?x=1",
            "http://localhost:8000/a@b?x=1"
                .replace("localhost:8000/a@", "[redacted]@")
                .as_str(),
        );
        check("http://localhost/a@b?x=1", "http://localhost/a@b?x=1");
        check("postgres://me:hunter2@db/x", "postgres://[redacted]@db/x");
        check("postgres://me:hun/ter2@db/x", "postgres://[redacted]@db/x");
        check(
            "https://h/p?sv=1&sig=abc&token=t",
            "https://h/p?sv=1&sig=[redacted]&token=[redacted]",
        );
        check("no url: me@home", "no url: me@home");
    }

    #[test]
    fn a_message_is_scrubbed_of_secrets() {
        let config =
            json!({"keys": ["hunter2", 12345], "pin_token": "ab", "url": "a://b:c@d", "say": "hello"});
        assert_eq!(
            scrub("bad hunter2 and `12345`", &config),
            "bad [redacted] and `[redacted]`"
        );
        assert_eq!(scrub("bad \"ab\"", &config), "the value is not valid");
        assert_eq!(
            scrub("bad \"a://b:c@d\" hello", &config),
            "bad \"[redacted]\" hello"
        );
        let config = json!({"key": "a\"b\nc"});
        assert_eq!(scrub(r#"string "a\"b\nc""#, &config), "string \"[redacted]\"");
    }
}

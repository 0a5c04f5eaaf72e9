//! How names and values stand in URLs, in headers and in JSON; what is ours among the custom metadata.
//!
//! JSON carries any text, so custom metadata is sent as it is. Signed requests carry it in headers: there a value
//! that a header would change becomes one *encoded word* of RFC 2047, `=?UTF-8?B?…?=`, and so does, everywhere, a value
//! that looks like one. Reading undoes that.
//!
//! An object without a content type is stored as `binary/octet-stream`: a request with bytes always says a type.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use boards_storage_core::{Digest, Error, ObjectAttributes, Result, WriteId};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

// After a dot, a name that no caller can give.
const DIGEST: &str = "boards.digest";
const WRITE_ID: &str = "boards.write-id";

/// The content type of an object that has none.
pub(crate) const NO_CONTENT_TYPE: &str = "binary/octet-stream";

const WORD_BEGIN: &str = "=?UTF-8?B?";
const WORD_END: &str = "?=";

/// What may stand in a URL as it is.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');
/// The same, and slashes.
const PATH: &AsciiSet = &RESERVED.remove(b'/');

/// What the provider notes of an object for itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Notes {
    pub(crate) digest: Option<Digest>,
    pub(crate) write_id: Option<WriteId>,
}

/// Checks that the header fields come back as they are given; core checks the rest.
pub(crate) fn check_fields(attributes: &ObjectAttributes) -> Result<()> {
    let fields = [
        ("content_disposition", &attributes.content_disposition),
        ("content_encoding", &attributes.content_encoding),
        ("content_language", &attributes.content_language),
        ("cache_control", &attributes.cache_control),
    ];
    for (name, value) in fields {
        if value.as_ref().is_some_and(|value| value.trim() != value) {
            return Err(Error::invalid_input(format!(
                "{name} begins or ends with a space, which a header cannot carry"
            )));
        }
    }
    Ok(())
}

/// Returns the custom metadata to send as JSON.
pub(crate) fn encode(attributes: &ObjectAttributes, notes: &Notes) -> BTreeMap<String, String> {
    encode_with(attributes, notes, |value| {
        if value.contains("=?") {
            word(value)
        } else {
            value.to_owned()
        }
    })
}

/// Returns the custom metadata to send in headers.
pub(crate) fn encode_for_headers(attributes: &ObjectAttributes, notes: &Notes) -> BTreeMap<String, String> {
    encode_with(attributes, notes, |value| {
        let is_plain = !value.is_empty()
            && value.bytes().all(|byte| (b' '..=b'~').contains(&byte))
            && value.trim() == value
            && !value.contains("  ")
            && !value.contains("=?");
        if is_plain { value.to_owned() } else { word(value) }
    })
}

fn encode_with(
    attributes: &ObjectAttributes,
    notes: &Notes,
    value: impl Fn(&str) -> String,
) -> BTreeMap<String, String> {
    let of_caller = attributes.user_metadata.iter();
    let mut encoded: BTreeMap<_, _> = of_caller
        .map(|(name, text)| (name.clone(), value(text)))
        .collect();
    let own = [
        (DIGEST, notes.digest.map(|digest| digest.to_string())),
        (WRITE_ID, notes.write_id.map(|id| id.to_string())),
    ];
    encoded.extend(
        own.into_iter()
            .filter_map(|(name, text)| Some((name.to_owned(), text?))),
    );
    encoded
}

/// Reads custom metadata that was answered. A note of ours that cannot be read is none.
pub(crate) fn decode(answered: &BTreeMap<String, String>) -> (BTreeMap<String, String>, Notes) {
    let mut fields = BTreeMap::new();
    let mut notes = Notes::default();
    for (name, value) in answered {
        // What came in headers may have been given back as a browser would write it.
        let name = name.to_ascii_lowercase();
        match name.as_str() {
            DIGEST => notes.digest = value.parse().ok(),
            WRITE_ID => notes.write_id = value.parse().ok(),
            _ => {
                fields.insert(name, unword(value));
            }
        }
    }
    (fields, notes)
}

fn word(value: &str) -> String {
    format!("{WORD_BEGIN}{}{WORD_END}", BASE64.encode(value))
}

fn unword(value: &str) -> String {
    let inner = value
        .strip_prefix(WORD_BEGIN)
        .and_then(|rest| rest.strip_suffix(WORD_END));
    let decoded = inner.and_then(|inner| BASE64.decode(inner).ok());
    match decoded.map(String::from_utf8) {
        Some(Ok(text)) => text,
        Some(Err(_)) | None => value.to_owned(),
    }
}

/// Encodes everything but unreserved characters, slashes included.
pub(crate) fn encode_segment(text: &str) -> String {
    utf8_percent_encode(text, RESERVED).to_string()
}

/// Encodes everything but unreserved characters and slashes.
pub(crate) fn encode_path(text: &str) -> String {
    utf8_percent_encode(text, PATH).to_string()
}

/// Writes bytes as lower-case hex digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
            write!(text, "{byte:02x}").expect("a string takes everything");
            text
        })
}

#[cfg(test)]
mod tests {
    use boards_storage_core::DigestAlgorithm;

    use super::*;

    #[track_caller]
    fn check(value: &str, in_json: &str, in_header: &str) {
        let attributes = ObjectAttributes::default().with_user_metadata("name_1", value);
        let sent = encode(&attributes, &Notes::default());
        assert_eq!(sent["name_1"], in_json);
        assert_eq!(decode(&sent).0["name_1"], value);
        let sent = encode_for_headers(&attributes, &Notes::default());
        assert_eq!(sent["name_1"], in_header);
        assert!(in_header.bytes().all(|byte| (b' '..=b'~').contains(&byte)));
        assert_eq!(decode(&sent).0["name_1"], value);
    }

    #[test]
    fn values_survive_in_json_and_in_headers() {
        check("plain; \"1\" %41", "plain; \"1\" %41", "plain; \"1\" %41");
        check("Grüße", "Grüße", "=?UTF-8?B?R3LDvMOfZQ==?=");
        check("", "", "=?UTF-8?B??=");
        check(" a ", " a ", "=?UTF-8?B?IGEg?=");
        check("a  b", "a  b", "=?UTF-8?B?YSAgYg==?=");
        let looks_encoded = "=?UTF-8?B?PT9VVEYtOD9CP0lBPT0/PQ==?=";
        check("=?UTF-8?B?IA==?=", looks_encoded, looks_encoded);
    }

    #[test]
    fn notes_come_back_and_are_no_user_metadata() {
        let attributes = ObjectAttributes::default().with_user_metadata("camera", "Größe 1");
        let notes = Notes {
            digest: Some(Digest::of(DigestAlgorithm::Blake3, b"x")),
            write_id: Some(WriteId::fresh()),
        };
        assert_eq!(
            decode(&encode(&attributes, &notes)),
            (attributes.user_metadata, notes)
        );
        let damaged = BTreeMap::from([(DIGEST.to_owned(), "nonsense".to_owned())]);
        assert_eq!(decode(&damaged), Default::default());
    }

    #[test]
    fn fields_that_a_header_would_change_are_refused() {
        let none = ObjectAttributes::default;
        assert!(check_fields(&none().with_cache_control("max-age=1")).is_ok());
        assert!(check_fields(&none().with_cache_control(" max-age=1")).is_err());
    }

    #[test]
    fn names_are_encoded_for_urls() {
        assert_eq!(encode_path("a b/ü+%?#~"), "a%20b/%C3%BC%2B%25%3F%23~");
        assert_eq!(encode_segment("a/b"), "a%2Fb");
        assert_eq!(hex(&[0, 10, 255]), "000aff");
    }
}

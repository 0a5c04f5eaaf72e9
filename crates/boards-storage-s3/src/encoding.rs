//! Metadata as headers: what S3 cannot carry is encoded, and what is ours has names that no caller can give.
//!
//! A value of printable ASCII that a header carries unchanged is sent as it is. Any other (Unicode, empty, spaces at
//! an end or in a row, or what looks encoded) becomes one *encoded word* of RFC 2047, `=?UTF-8?B?…?=`, longer than the
//! RFC's 75 characters where it must be. Words in Base64 and in Q encoding are read, also several in a row, so that
//! what other programs wrote so is read too.
//!
//! A name's underscore is sent as `.-`: servers that turn headers into variables, Ceph's among them, give it back as a
//! hyphen. An object without a content type is stored as `binary/octet-stream`, which is what S3 itself calls it.

use std::collections::{BTreeMap, HashMap};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use boards_storage_core::{Checksum, Digest, Error, ObjectAttributes, Result, WriteId};

// After a dot, a name of a caller has a hyphen.
const DIGEST: &str = "boards.digest";
const WRITE_ID: &str = "boards.write-id";
const CHECKSUM: &str = "boards.checksum";

/// What stands for an underscore in a name.
const UNDERSCORE: &str = ".-";

/// The content type of an object that has none.
pub(crate) const NO_CONTENT_TYPE: &str = "binary/octet-stream";

const WORD_BEGIN: &str = "=?";
const WORD_END: &str = "?=";

/// What the provider notes of an object for itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Notes {
    pub(crate) digest: Option<Digest>,
    pub(crate) write_id: Option<WriteId>,
    /// The checksum of an object whose store keeps none.
    pub(crate) checksum: Option<Checksum>,
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

/// Returns the user metadata to send.
pub(crate) fn encode(attributes: &ObjectAttributes, notes: &Notes) -> HashMap<String, String> {
    let mut encoded: HashMap<_, _> = attributes
        .user_metadata
        .iter()
        .map(|(name, value)| (name.replace('_', UNDERSCORE), encode_value(value)))
        .collect();
    let mut note = |name: &str, value: Option<String>| {
        if let Some(value) = value {
            encoded.insert(name.to_owned(), value);
        }
    };
    note(DIGEST, notes.digest.map(|digest| digest.to_string()));
    note(WRITE_ID, notes.write_id.map(|id| id.to_string()));
    note(CHECKSUM, notes.checksum.as_ref().map(ToString::to_string));
    encoded
}

/// Reads user metadata that was answered. A note of ours that cannot be read is none.
pub(crate) fn decode(answered: Option<&HashMap<String, String>>) -> (BTreeMap<String, String>, Notes) {
    let mut fields = BTreeMap::new();
    let mut notes = Notes::default();
    for (name, value) in answered.into_iter().flatten() {
        // Some stores give names back as a browser would write them.
        match name.to_ascii_lowercase().as_str() {
            DIGEST => notes.digest = value.parse().ok(),
            WRITE_ID => notes.write_id = value.parse().ok(),
            CHECKSUM => notes.checksum = value.parse().ok(),
            name => {
                fields.insert(name.replace(UNDERSCORE, "_"), decode_value(value));
            }
        }
    }
    (fields, notes)
}

fn encode_value(value: &str) -> String {
    let is_plain = !value.is_empty()
        && value.bytes().all(|byte| (b' '..=b'~').contains(&byte))
        && value.trim() == value
        && !value.contains("  ")
        && !value.contains(WORD_BEGIN);
    if is_plain {
        return value.to_owned();
    }
    format!("=?UTF-8?B?{}?=", BASE64.encode(value))
}

fn decode_value(value: &str) -> String {
    let words: Option<Vec<_>> = value.split(' ').map(decode_word).collect();
    match words.map(|words| String::from_utf8(words.concat())) {
        Some(Ok(text)) => text,
        Some(Err(_)) | None => value.to_owned(),
    }
}

/// Returns the bytes of an encoded word; nothing if it is none.
fn decode_word(word: &str) -> Option<Vec<u8>> {
    let inner = word.strip_prefix(WORD_BEGIN)?.strip_suffix(WORD_END)?;
    let mut parts = inner.splitn(3, '?');
    let (charset, encoding, text) = (parts.next()?, parts.next()?, parts.next()?);
    if !charset.eq_ignore_ascii_case("utf-8") {
        return None;
    }
    match encoding {
        "B" | "b" => BASE64.decode(text).ok(),
        "Q" | "q" => decode_q(text),
        _ => None,
    }
}

fn decode_q(text: &str) -> Option<Vec<u8>> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'_' => b' ',
            b'=' => {
                let digits = [bytes.next()?, bytes.next()?];
                u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?
            }
            byte => byte,
        });
    }
    Some(decoded)
}

/// Returns whether XML, and so an answer of S3, can carry the key. Control characters are in no key.
pub(crate) fn fits_in_xml(key: &str) -> bool {
    !key.contains(['\u{fffe}', '\u{ffff}'])
}

/// Encodes a key for the path of a URL: everything but unreserved characters and slashes.
pub(crate) fn encode_path(key: &str) -> String {
    use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
    const RESERVED: &AsciiSet = &NON_ALPHANUMERIC
        .remove(b'-')
        .remove(b'.')
        .remove(b'_')
        .remove(b'~')
        .remove(b'/');
    utf8_percent_encode(key, RESERVED).to_string()
}

/// Decodes a name of a listing that was asked for in URL encoding, where a space is `+` or `%20`.
pub(crate) fn decode_listed(name: &str) -> Option<String> {
    let spaced = name.replace('+', " ");
    let decoded = percent_encoding::percent_decode_str(&spaced).decode_utf8();
    decoded.ok().map(std::borrow::Cow::into_owned)
}

#[cfg(test)]
mod tests {
    use boards_storage_core::DigestAlgorithm;

    use super::*;

    #[track_caller]
    fn check(value: &str, sent: &str) {
        assert_eq!(encode_value(value), sent);
        assert!(sent.bytes().all(|byte| (b' '..=b'~').contains(&byte)));
        assert_eq!(decode_value(sent), value);
    }

    #[test]
    fn values_survive_as_headers() {
        check(
            "plain text, with; signs=\"1\" %41",
            "plain text, with; signs=\"1\" %41",
        );
        check("Grüße", "=?UTF-8?B?R3LDvMOfZQ==?=");
        check("", "=?UTF-8?B??=");
        check(" ", "=?UTF-8?B?IA==?=");
        check(" both ends ", "=?UTF-8?B?IGJvdGggZW5kcyA=?=");
        check("a  b", "=?UTF-8?B?YSAgYg==?=");
        check("=?utf-8?q?x?=", "=?UTF-8?B?PT91dGYtOD9xP3g/PQ==?=");
    }

    #[test]
    fn words_of_other_programs_are_read() {
        assert_eq!(decode_value("=?utf-8?q?Gr=C3=BC=C3=9Fe_x?="), "Grüße x");
        assert_eq!(decode_value("=?UTF-8?B?R3LD?= =?UTF-8?B?vMOfZQ==?="), "Grüße");
        for kept in [
            "=?latin-1?q?x?=",
            "=?utf-8?x?y?=",
            "=?utf-8?b?#?=",
            "=?utf-8?q?=F?=",
            "=?",
            "a ?=",
        ] {
            assert_eq!(decode_value(kept), kept);
        }
    }

    #[test]
    fn notes_come_back_and_are_no_user_metadata() {
        let attributes = ObjectAttributes::default().with_user_metadata("camera_digest", "Größe 1");
        let notes = Notes {
            digest: Some(Digest::of(DigestAlgorithm::Blake3, b"x")),
            write_id: Some(WriteId::fresh()),
            checksum: Some(Checksum::crc64_nvme(b"x")),
        };
        let sent = encode(&attributes, &notes);
        assert_eq!(sent.len(), 4);
        assert!(sent.keys().all(|name| !name.contains('_')), "{sent:?}");
        assert_eq!(decode(Some(&sent)), (attributes.user_metadata, notes));
        assert_eq!(decode(None), Default::default());
        let damaged = HashMap::from([(DIGEST.to_owned(), "nonsense".to_owned())]);
        assert_eq!(decode(Some(&damaged)), Default::default());
    }

    #[test]
    fn fields_that_a_header_would_change_are_refused() {
        let none = ObjectAttributes::default;
        assert!(check_fields(&none().with_cache_control("max-age=1")).is_ok());
        assert!(check_fields(&none().with_cache_control(" max-age=1")).is_err());
    }

    #[test]
    fn names_of_urls_and_listings_are_decoded_once() {
        assert_eq!(encode_path("a b/ü+%?#~"), "a%20b/%C3%BC%2B%25%3F%23~");
        assert_eq!(decode_listed("a+b%20c%2Bd%2541").as_deref(), Some("a b c+d%41"));
        assert_eq!(decode_listed("%FF"), None);
        assert!(fits_in_xml("ü🎉\u{fffd}") && !fits_in_xml("a\u{ffff}"));
    }
}

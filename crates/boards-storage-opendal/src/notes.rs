//! User metadata as the libraries below carry it: as headers. What a header cannot carry is encoded, and what is ours
//! has names that no caller can give. The encoding is the one of the S3 provider, so both read each other's objects.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use boards_storage_core::{Digest, ObjectMetadata, WriteId};

// After a dot, a name of a caller has a hyphen.
const DIGEST: &str = "boards.digest";
const WRITE_ID: &str = "boards.write-id";
/// What stands for an underscore in a name, which some servers turn into a hyphen.
const UNDERSCORE: &str = ".-";

const WORD_BEGIN: &str = "=?UTF-8?B?";
const WORD_END: &str = "?=";

/// Returns the pairs to send.
pub(crate) fn encode(
    user_metadata: &BTreeMap<String, String>,
    digest: Option<Digest>,
    write_id: Option<WriteId>,
) -> Vec<(String, String)> {
    let fields = user_metadata
        .iter()
        .map(|(name, value)| (name.replace('_', UNDERSCORE), encode_value(value)));
    let digest = digest.map(|digest| (DIGEST.to_owned(), digest.to_string()));
    let write_id = write_id.map(|id| (WRITE_ID.to_owned(), id.to_string()));
    fields.chain(digest).chain(write_id).collect()
}

/// Notes an answered pair. A note of ours that cannot be read is none.
pub(crate) fn decode(metadata: &mut ObjectMetadata, name: &str, value: &str) {
    match name.to_ascii_lowercase().as_str() {
        DIGEST => metadata.digest = value.parse().ok(),
        WRITE_ID => metadata.write_id = value.parse().ok(),
        name => {
            let name = name.replace(UNDERSCORE, "_");
            let fields = &mut metadata.attributes.user_metadata;
            fields.insert(name, decode_value(value));
        }
    }
}

/// What S3 calls an object without a content type.
const NO_CONTENT_TYPE: &str = "binary/octet-stream";

/// Takes the content type away that S3 gives an object without one.
pub(crate) fn drop_default_type(metadata: &mut ObjectMetadata) {
    let attributes = &mut metadata.attributes;
    let is_default = |found: &boards_storage_core::ContentType| found.to_string() == NO_CONTENT_TYPE;
    attributes.content_type.take_if(|found| is_default(found));
}

fn encode_value(value: &str) -> String {
    let is_plain = !value.is_empty()
        && value.bytes().all(|byte| (b' '..=b'~').contains(&byte))
        && value.trim() == value
        && !value.contains("  ")
        && !value.contains("=?");
    if is_plain {
        return value.to_owned();
    }
    format!("{WORD_BEGIN}{}{WORD_END}", BASE64.encode(value))
}

fn decode_value(value: &str) -> String {
    let encoded = value
        .strip_prefix(WORD_BEGIN)
        .and_then(|rest| rest.strip_suffix(WORD_END));
    let bytes = encoded.and_then(|encoded| BASE64.decode(encoded).ok());
    bytes
        .and_then(|bytes| String::from_utf8(bytes).ok())
        .unwrap_or_else(|| value.to_owned())
}

#[cfg(test)]
mod tests {
    use boards_storage_core::StorageKey;

    use super::*;

    #[track_caller]
    fn check(name: &str, value: &str, sent: (&str, &str)) {
        let fields = BTreeMap::from([(name.to_owned(), value.to_owned())]);
        let encoded = encode(&fields, None, None);
        assert_eq!(encoded, [(sent.0.to_owned(), sent.1.to_owned())]);
        let mut metadata = ObjectMetadata::new(StorageKey::parse("a").expect("a key"), 0);
        decode(&mut metadata, sent.0, sent.1);
        assert_eq!(metadata.attributes.user_metadata, fields);
    }

    #[test]
    fn fields_survive_as_headers() {
        check("a", "plain text, with; signs", ("a", "plain text, with; signs"));
        check("a_b", "Grüße", ("a.-b", "=?UTF-8?B?R3LDvMOfZQ==?="));
        check("a", "", ("a", "=?UTF-8?B??="));
        check("a", " ", ("a", "=?UTF-8?B?IA==?="));
        check("a", "=?x", ("a", "=?UTF-8?B?PT94?="));
    }

    #[test]
    fn our_own_notes_are_no_fields() {
        let write_id = WriteId::fresh();
        let encoded = encode(&BTreeMap::new(), None, Some(write_id));
        let mut metadata = ObjectMetadata::new(StorageKey::parse("a").expect("a key"), 0);
        decode(&mut metadata, &encoded[0].0, &encoded[0].1);
        assert_eq!(metadata.write_id, Some(write_id));
        assert!(metadata.attributes.user_metadata.is_empty());
    }
}

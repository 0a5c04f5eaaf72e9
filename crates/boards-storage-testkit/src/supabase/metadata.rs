//! What a client may say about an object, and what the server makes of it.

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde_json::{Value, json};

use super::reply::Failure;
use super::state::Bucket;

/// Node's decoder: both alphabets, padding or none.
fn decode_base64(text: &str) -> Option<Vec<u8>> {
    let lenient = GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::Indifferent);
    let standard: String = text
        .chars()
        .map(|c| match c {
            '-' => '+',
            '_' => '/',
            other => other,
        })
        .collect();
    GeneralPurpose::new(&alphabet::STANDARD, lenient)
        .decode(standard)
        .ok()
}

/// Checks whether every character may stand in a key.
pub(super) fn check_key(key: &str) -> Result<(), Failure> {
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || "_/!-.*'() &$@=;:+,?".contains(c);
    if key.is_empty() || !key.chars().all(is_allowed) {
        return Err(Failure::invalid_key(key));
    }
    Ok(())
}

/// Reads JSON that must be an object once it is JSON at all; what is not JSON is nothing.
pub(super) fn user_metadata(json: &str) -> Result<Value, Failure> {
    match serde_json::from_str::<Value>(json) {
        Ok(value) if value.is_object() => Ok(value),
        Ok(_) => Err(Failure::parameter("invalid input syntax for type json")),
        Err(_) => Ok(json!({})),
    }
}

/// Reads the `x-metadata` header.
pub(super) fn metadata_header(header: Option<&str>) -> Result<Value, Failure> {
    let decoded = header
        .and_then(decode_base64)
        .and_then(|bytes| String::from_utf8(bytes).ok());
    decoded.map_or_else(|| Ok(json!({})), |text| user_metadata(&text))
}

pub(super) fn decode_text(base64: &str) -> Option<String> {
    String::from_utf8(decode_base64(base64)?).ok()
}

/// Checks a content type against the bucket's list, which compares the whole text.
pub(super) fn check_mime_type(bucket: &Bucket, mime_type: &str) -> Result<(), Failure> {
    let Some(allowed) = &bucket.mime_types else {
        return Ok(());
    };
    let Some((main, _)) = mime_type.split_once('/') else {
        return Err(Failure::mime("Invalid Content-Type header"));
    };
    let fits = |pattern: &String| match pattern.strip_suffix("/*") {
        Some(family) => family == main,
        None => pattern == mime_type,
    };
    if allowed.is_empty() || allowed.iter().any(fits) {
        return Ok(());
    }
    Err(Failure::mime(format!("mime type {mime_type} is not supported")))
}

/// Checks an `x-robots-tag` header.
pub(super) fn check_robots(tag: &str) -> Result<(), Failure> {
    const RULES: &[&str] = &[
        "all",
        "noindex",
        "nofollow",
        "none",
        "nosnippet",
        "indexifembedded",
        "notranslate",
        "noimageindex",
        "noarchive",
    ];
    for rule in tag.split(',').map(str::trim) {
        let name = rule.split(':').next().unwrap_or_default();
        let has_value = rule.contains(':');
        if !RULES.contains(&name) && !has_value {
            let message = format!("Invalid X-Robots-Tag header: Invalid X-Robots-Tag rule: \"{rule}\"");
            return Err(Failure::new(
                400,
                "invalid_x_robots_tag",
                "InvalidRequest",
                message,
            ));
        }
    }
    Ok(())
}

/// What a number means as a cache control in a form or a resumable upload.
pub(super) fn cache_seconds(text: &str) -> Option<String> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| format!("max-age={text}"))
}

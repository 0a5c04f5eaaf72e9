//! Whether an answer is the recorded one, with ids, times and signatures set aside.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::Value;

use crate::client::Answer;
use crate::recording::{Exchange, rename, rename_body, rename_upload_id, rename_upload_metadata};

/// Headers of the connection and of the hour.
const SET_ASIDE: &[&str] = &[
    "date",
    "connection",
    "keep-alive",
    "transfer-encoding",
    "content-length",
];
const DATES: &[&str] = &["last-modified", "expires", "upload-expires"];

/// Says how the answer differs from the recorded one.
pub(crate) fn difference(exchange: &Exchange, answer: &Answer) -> Option<String> {
    let recorded = &exchange.response;
    if recorded.status != answer.status {
        let body = String::from_utf8_lossy(&answer.body)
            .chars()
            .take(300)
            .collect::<String>();
        return Some(format!(
            "status {} instead of {}: {body}",
            answer.status, recorded.status
        ));
    }
    let is_head = exchange.request.method == "HEAD";
    let mut expected: Vec<_> = recorded
        .headers
        .iter()
        .filter_map(|(name, value)| normal_header(name, value, true, is_head))
        .collect();
    let mut found: Vec<_> = answer
        .headers
        .iter()
        .filter_map(|(name, value)| normal_header(name, value, false, is_head))
        .collect();
    expected.sort();
    found.sort();
    if expected != found {
        let missing: Vec<_> = expected.iter().filter(|pair| !found.contains(pair)).collect();
        let surplus: Vec<_> = found.iter().filter(|pair| !expected.contains(pair)).collect();
        return Some(format!("headers: expected {missing:?}, found {surplus:?}"));
    }
    let (expected, found) = (
        normal_body(&rename_body(recorded.body())),
        normal_body(&answer.body),
    );
    (expected != found).then(|| format!("body: expected {expected}\n      found    {found}"))
}

fn normal_header(name: &str, value: &str, is_recorded: bool, is_head: bool) -> Option<(String, String)> {
    let name = name.to_ascii_lowercase();
    let counts_length = is_head && name == "content-length";
    if SET_ASIDE.contains(&name.as_str()) && !counts_length {
        return None;
    }
    let value = match name.as_str() {
        // What a HEAD of JSON would have been long says nothing.
        "content-length" => return None,
        name if DATES.contains(&name) => "a date".to_owned(),
        "upload-metadata" if is_recorded => rename_upload_metadata(value),
        "location" => normal_location(value, is_recorded),
        _ if is_recorded => rename(value),
        _ => value.to_owned(),
    };
    Some((name, value))
}

fn normal_location(value: &str, is_recorded: bool) -> String {
    let (base, id) = value.rsplit_once('/').unwrap_or_default();
    let id = if is_recorded {
        rename_upload_id(id)
    } else {
        id.to_owned()
    };
    let path = URL_SAFE_NO_PAD.decode(id).map(String::from_utf8);
    let path = path.expect("an id is Base64").expect("an id is text");
    format!("{base}/{}", without_ids(&path))
}

fn normal_body(body: &[u8]) -> String {
    let Ok(text) = std::str::from_utf8(body) else {
        return format!("{} bytes {:?}", body.len(), body);
    };
    match serde_json::from_str::<Value>(text) {
        Ok(mut value) => {
            normalise(&mut value);
            value.to_string()
        }
        Err(_) => normal_text(text),
    }
}

fn normalise(value: &mut Value) {
    match value {
        Value::String(text) => *text = normal_text(text),
        Value::Array(items) => items.iter_mut().for_each(normalise),
        Value::Object(fields) => fields.values_mut().for_each(normalise),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn normal_text(text: &str) -> String {
    if let Some(cursor) = STANDARD
        .decode(text)
        .ok()
        .and_then(|bytes| String::from_utf8(bytes).ok())
        && cursor.starts_with("l:")
    {
        return without_times(&rename(&cursor));
    }
    if let Some((before, id)) = text.split_once("/upload/resumable/")
        && let Some((id, after)) = id.split_once(' ')
        && let Ok(Ok(path)) = URL_SAFE_NO_PAD.decode(id).map(String::from_utf8)
    {
        return format!("{before} {} {after}", without_ids(&rename(&path)));
    }
    without_tokens(&without_times(&without_ids(text)))
}

fn replace_shaped(text: &str, length: usize, is_shaped: fn(&[u8]) -> bool, by: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut position = 0;
    while position < bytes.len() {
        match bytes.get(position..position + length) {
            Some(window) if is_shaped(window) => {
                out.extend_from_slice(by.as_bytes());
                position += length;
            }
            _ => {
                out.push(bytes[position]);
                position += 1;
            }
        }
    }
    String::from_utf8(out).expect("only ASCII was replaced")
}

fn without_ids(text: &str) -> String {
    let is_uuid = |window: &[u8]| {
        window.iter().enumerate().all(|(index, byte)| match index {
            8 | 13 | 18 | 23 => *byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
    };
    replace_shaped(text, 36, is_uuid, "<id>")
}

fn without_times(text: &str) -> String {
    let is_time = |window: &[u8]| {
        let pattern = b"0000-00-00T00:00:00.000Z";
        window.iter().zip(pattern).all(|(byte, shape)| match shape {
            b'0' => byte.is_ascii_digit(),
            other => byte == other,
        })
    };
    replace_shaped(text, 24, is_time, "<time>")
}

/// Replaces tokens by what they say, but for the times.
fn without_tokens(text: &str) -> String {
    let Some(position) = text.find("eyJ") else {
        return text.to_owned();
    };
    let (before, token) = text.split_at(position);
    let claims = || {
        let payload = token.split('.').nth(1)?;
        let mut claims: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).ok()?).ok()?;
        let life = claims["exp"].as_i64()? - claims["iat"].as_i64()?;
        claims["exp"] = life.into();
        claims["iat"] = 0.into();
        let (head, signature) = token.rsplit_once('.')?;
        let is_right = signature == crate::recording::sign(head);
        Some(format!("{claims} signed {is_right}"))
    };
    format!("{before}{}", claims().unwrap_or_else(|| token.to_owned()))
}

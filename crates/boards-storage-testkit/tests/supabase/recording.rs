//! The recordings: 1,832 exchanges with the real server, and how they are renamed.

use std::collections::HashMap;
use std::io::Read;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde::Deserialize;
use serde_json::Value;

const RECORDINGS: &[u8] = include_bytes!("recordings.jsonl.gz");

/// One exchange as it was recorded.
#[derive(Debug, Deserialize)]
pub(crate) struct Exchange {
    pub(crate) name: String,
    pub(crate) suite: String,
    pub(crate) backend: String,
    pub(crate) request: Request,
    pub(crate) response: Response,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) headers: HashMap<String, String>,
    #[serde(default)]
    body_b64: Option<String>,
    #[serde(default)]
    body_repeat: Option<Repeat>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Repeat {
    Plain {
        byte: String,
        count: usize,
    },
    /// A form whose file is one byte over and over.
    Form {
        file_byte: String,
        file_count: usize,
    },
}

impl Repeat {
    fn body(&self) -> Vec<u8> {
        match self {
            Self::Plain { byte, count } => byte.repeat(*count).into_bytes(),
            Self::Form {
                file_byte,
                file_count,
            } => {
                let file = file_byte.repeat(*file_count);
                let form = format!(
                    "--B\r\nContent-Disposition: form-data; name=\"cacheControl\"\r\n\r\n3600\r\n--B\r\n\
                     Content-Disposition: form-data; name=\"\"; filename=\"w.bin\"\r\n\
                     Content-Type: application/octet-stream\r\n\r\n{file}\r\n--B--\r\n"
                );
                form.into_bytes()
            }
        }
    }
}

#[derive(Debug, Deserialize)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) headers: HashMap<String, String>,
    #[serde(default)]
    body_b64: Option<String>,
}

pub(crate) fn all() -> Vec<Exchange> {
    let mut text = String::new();
    flate2::read::GzDecoder::new(RECORDINGS)
        .read_to_string(&mut text)
        .expect("the recordings can be unpacked");
    let parse = |line: &str| serde_json::from_str(line).expect("a line of the recordings");
    text.lines().map(parse).collect()
}

impl Request {
    pub(crate) fn body(&self) -> Vec<u8> {
        match (&self.body_b64, &self.body_repeat) {
            (_, Some(repeat)) => repeat.body(),
            (Some(text), None) => STANDARD.decode(text).expect("a recorded body"),
            (None, None) => Vec::new(),
        }
    }
}

impl Response {
    pub(crate) fn body(&self) -> Vec<u8> {
        let text = self.body_b64.as_deref().unwrap_or_default();
        STANDARD.decode(text).expect("a recorded body")
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        header(&self.headers, name)
    }
}

fn header<'a>(headers: &'a HashMap<String, String>, name: &str) -> Option<&'a str> {
    headers
        .iter()
        .find(|(known, _)| known.eq_ignore_ascii_case(name))
        .map(|(_, value)| value.as_str())
}

/// Buckets and keys get other names, in their old order, so that no answer can have been written down beforehand.
const NAMES: &[(&str, &str)] = &[
    ("media-", "mesas-"),
    ("list-b", "long-bucket"),
    ("sign-b", "sigs-bucket"),
    ("tus-b", "tvs-bucket"),
    ("tus-lim", "tvs-small"),
    ("some-id", "some-other-id"),
    ("dl/data.bin", "dl/bytes.bin"),
    ("hello.txt", "howdy.txt"),
    ("dir/plain.txt", "dir/prose.txt"),
    ("orig.txt", "origin.txt"),
    ("minimal.bin", "miniature.bin"),
    ("signed/a.bin", "signed/aa.bin"),
];

/// Renames whatever a text holds, tokens and ids of resumable uploads included.
pub(crate) fn rename(text: &str) -> String {
    let mut renamed = text.to_owned();
    for (old, new) in NAMES {
        renamed = renamed.replace(old, new);
    }
    rename_tokens(&renamed)
}

fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_' || byte == b'.'
}

/// Renames what signed tokens are for and signs them anew, where their signature was right.
fn rename_tokens(text: &str) -> String {
    let mut renamed = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(position) = rest.find("eyJ") {
        let (before, from) = rest.split_at(position);
        renamed.push_str(before);
        let length = from.bytes().take_while(|byte| is_token_byte(*byte)).count();
        let (token, after) = from.split_at(length);
        renamed.push_str(&rename_token(token).unwrap_or_else(|| token.to_owned()));
        rest = after;
    }
    renamed.push_str(rest);
    renamed
}

fn rename_token(token: &str) -> Option<String> {
    let parts: Vec<_> = token.split('.').collect();
    let [header, payload, signature] = parts[..] else {
        return None;
    };
    let claims = String::from_utf8(URL_SAFE_NO_PAD.decode(payload).ok()?).ok()?;
    let mut renamed = claims.clone();
    for (old, new) in NAMES {
        renamed = renamed.replace(old, new);
    }
    if renamed == claims {
        return None;
    }
    let is_right = signature == sign(&format!("{header}.{payload}"));
    let head = format!("{header}.{}", URL_SAFE_NO_PAD.encode(renamed));
    let signature = if is_right {
        sign(&head)
    } else {
        signature.to_owned()
    };
    Some(format!("{head}.{signature}"))
}

/// Signs as the recorded server did.
pub(crate) fn sign(head: &str) -> String {
    use hmac::{Hmac, KeyInit as _, Mac as _};
    let secret = b"super-secret-jwt-token-with-at-least-32-characters-long";
    let mut mac = Hmac::<sha2::Sha256>::new_from_slice(secret).expect("a key");
    mac.update(head.as_bytes());
    URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes())
}

/// Renames the values of an `Upload-Metadata` header.
pub(crate) fn rename_upload_metadata(header: &str) -> String {
    let pairs = header.split(',').map(|pair| match pair.split_once(' ') {
        Some((name, value)) => match STANDARD.decode(value).map(String::from_utf8) {
            Ok(Ok(text)) => format!("{name} {}", STANDARD.encode(rename(&text))),
            _ => pair.to_owned(),
        },
        None => pair.to_owned(),
    });
    pairs.collect::<Vec<_>>().join(",")
}

/// Renames the bucket and the key in the id of a resumable upload.
pub(crate) fn rename_upload_id(id: &str) -> String {
    match URL_SAFE_NO_PAD.decode(id).map(String::from_utf8) {
        Ok(Ok(path)) => URL_SAFE_NO_PAD.encode(rename(&path)),
        _ => id.to_owned(),
    }
}

/// Returns a JSON body renamed, every other body as it is.
pub(crate) fn rename_body(body: Vec<u8>) -> Vec<u8> {
    match std::str::from_utf8(&body) {
        Ok(text) if serde_json::from_str::<Value>(text).is_ok_and(|value| !value.is_number()) => {
            rename(text).into_bytes()
        }
        _ => body,
    }
}

//! Signed URLs. The server signs; the URLs are put together here, since its own contain raw spaces and worse.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use boards_storage_core::{
    Error, ErrorKind, PresignDownloadOptions, PresignUploadOptions, Result, SignedMethod, SignedRequest,
    StorageKey,
};
use jiff::Timestamp;
use reqwest::Method;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::client::{Client, encode, send_json};
use crate::error::unexpected;

/// How far the server's clock and rounding may make a life differ.
const LIFE_TOLERANCE_SECONDS: i64 = 5;

/// One answer of a batch.
#[derive(Debug)]
pub(crate) struct Signed {
    pub(crate) path: String,
    /// `None` where there is no object.
    pub(crate) token: Option<String>,
}

/// Signs downloads. The route for a single one signs keys with some characters wrongly; this one is always right.
pub(crate) async fn sign_many(client: &Client, names: &[&str], seconds: u64) -> Result<Vec<Signed>> {
    #[derive(Deserialize)]
    struct Answer {
        path: Option<String>,
        #[serde(rename = "signedURL")]
        signed_url: Option<String>,
    }
    let body = json!({ "expiresIn": seconds, "paths": names });
    let request = client.json_request(Method::POST, &client.bucket_route("object/sign"), &body);
    let answers: Vec<Answer> = send_json(request).await?;
    let signed = |answer: Answer| Signed {
        path: answer.path.unwrap_or_default(),
        token: answer.signed_url.as_deref().and_then(token_of).map(str::to_owned),
    };
    Ok(answers.into_iter().map(signed).collect())
}

/// A key may contain `?` as it is, so the token is what stands behind the last `?token=`.
fn token_of(url: &str) -> Option<&str> {
    let (_, query) = url.rsplit_once("?token=")?;
    query.split('&').next().filter(|token| !token.is_empty())
}

/// Reads a time out of a token, which the server may read only itself, but which is not secret to its holder.
fn claim(token: &str, name: &str) -> Option<i64> {
    let payload = URL_SAFE_NO_PAD.decode(token.split('.').nth(1)?).ok()?;
    serde_json::from_slice::<Value>(&payload).ok()?[name].as_i64()
}

fn expiry(token: &str) -> Result<Timestamp> {
    claim(token, "exp")
        .and_then(|seconds| Timestamp::from_second(seconds).ok())
        .ok_or_else(|| unexpected("the server's token does not tell when it expires"))
}

pub(crate) async fn download(
    client: &Client,
    key: &StorageKey,
    options: &PresignDownloadOptions,
) -> Result<SignedRequest> {
    if options.content_type.is_some() {
        return Err(Error::unsupported(
            "a signed download serves the object's own content type",
        ));
    }
    if options.range.is_some() {
        return Err(Error::unsupported("a signed download cannot be bound to a range")
            .with_help("sign the whole; the client may ask for any range"));
    }
    let disposition = options
        .content_disposition
        .as_deref()
        .map(download_parameter)
        .transpose()?;
    // Part of a second would be cut off.
    let seconds = options.expires_in.as_secs() + u64::from(options.expires_in.subsec_nanos() > 0);
    let signed = sign_many(client, &[key.as_str()], seconds).await?;
    let token = signed.into_iter().next().and_then(|signed| signed.token);
    let token =
        token.ok_or_else(|| Error::not_found("there is no object to sign for, or the key may not see it"))?;
    let route = client.object_route("object/sign", key);
    let mut url = format!("{}?token={token}", client.url(&route));
    if let Some(name) = disposition {
        url.push_str("&download=");
        url.push_str(&encode(&name).replace('/', "%2F"));
    }
    Ok(SignedRequest::new(SignedMethod::Get, url, expiry(&token)?))
}

/// Returns the value of `download` that makes the server send this disposition.
fn download_parameter(disposition: &str) -> Result<String> {
    let other = || {
        Error::unsupported("a signed download can be an attachment, nothing else")
            .with_help("give 'attachment' or 'attachment; filename=\"name\"'")
    };
    let rest = disposition.strip_prefix("attachment").ok_or_else(other)?.trim();
    if rest.is_empty() {
        return Ok(String::new());
    }
    let name = rest
        .strip_prefix(';')
        .and_then(|rest| rest.trim().strip_prefix("filename=\""))
        .and_then(|rest| rest.strip_suffix('"'))
        .filter(|name| !name.is_empty() && !name.contains(['"', '\\']));
    name.map(str::to_owned).ok_or_else(other)
}

pub(crate) async fn upload(
    client: &Client,
    key: &StorageKey,
    options: &PresignUploadOptions,
    life: Duration,
) -> Result<SignedRequest> {
    check_upload(options)?;
    #[derive(Deserialize)]
    struct Answer {
        token: Option<String>,
        url: Option<String>,
    }
    let route = client.object_route("object/upload/sign", key);
    let request = client.request(Method::POST, &route).header("x-upsert", "true");
    let answer: Answer = send_json(request).await?;
    // Old servers answer the URL alone.
    let token = answer
        .token
        .or_else(|| answer.url.as_deref().and_then(token_of).map(str::to_owned));
    let token = token.ok_or_else(|| unexpected("the server did not sign the upload"))?;
    let seconds = claim(&token, "exp")
        .zip(claim(&token, "iat"))
        .map(|(end, start)| end - start);
    let asked = i64::try_from(life.as_secs()).unwrap_or(i64::MAX);
    if let Some(seconds) = seconds
        && (seconds - asked).abs() > LIFE_TOLERANCE_SECONDS
    {
        return Err(Error::new(
            ErrorKind::Configuration,
            format!("signed_upload_life is {asked} s, but the server signs uploads for {seconds} s"),
        )
        .with_help(format!("set signed_upload_life to '{seconds}s'")));
    }
    let url = format!("{}?token={token}", client.url(&route));
    Ok(SignedRequest::new(SignedMethod::Put, url, expiry(&token)?))
}

/// Refuses what the signature would not bind: the server checks the key and the time alone.
fn check_upload(options: &PresignUploadOptions) -> Result<()> {
    let unbound = |what: &str| {
        Err(
            Error::unsupported(format!("a signed upload cannot bind the {what} here")).with_help(
                "limit sizes and content types in the bucket's settings; the client sends its own headers",
            ),
        )
    };
    if !options.attributes.is_empty() {
        return unbound("attributes");
    }
    if options.length.is_some() {
        return unbound("length");
    }
    if options.checksum.is_some() {
        return unbound("checksum");
    }
    if options.write_id.is_some() {
        return unbound("write id");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_token_stands_behind_the_last_mark() {
        assert_eq!(
            token_of("/object/sign/b/a?token=x/y.txt?token=t.o.k"),
            Some("t.o.k")
        );
        assert_eq!(token_of("/object/sign/b/a b?token=t&x=1"), Some("t"));
        assert_eq!(token_of("/object/sign/b/a?token="), None);
        assert_eq!(token_of("/object/sign/b/a"), None);
    }

    #[test]
    fn only_attachments_can_be_asked_for() {
        let of = |text: &str| download_parameter(text).ok();
        assert_eq!(of("attachment"), Some(String::new()));
        assert_eq!(of("attachment; filename=\"a b.bin\""), Some("a b.bin".to_owned()));
        for other in [
            "inline",
            "attachment; filename=a",
            "attachment; filename=\"\"",
            "attachmentx",
            "attachment; filename=\"a\\\"b\"",
        ] {
            assert_eq!(of(other), None, "{other}");
        }
    }
}

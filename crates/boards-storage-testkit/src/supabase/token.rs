//! JSON web tokens with HMAC-SHA256: API keys and the tokens of signed URLs.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::{Value, json};
use sha2::Sha256;

/// Signs claims.
pub(super) fn sign(secret: &str, claims: &Value) -> String {
    let header = URL_SAFE_NO_PAD.encode(r#"{"alg":"HS256"}"#);
    let head = format!("{header}.{}", URL_SAFE_NO_PAD.encode(claims.to_string()));
    let signature = URL_SAFE_NO_PAD.encode(mac(secret, &head).finalize().into_bytes());
    format!("{head}.{signature}")
}

/// Returns an API key for a role that lives until the year 2100.
pub(super) fn api_key(secret: &str, role: &str, subject: Option<&str>) -> String {
    let mut claims =
        json!({ "iss": "supabase-double", "role": role, "iat": 1_700_000_000, "exp": 4_102_444_800_u64 });
    if let Some(subject) = subject {
        claims["sub"] = json!(subject);
    }
    sign(secret, &claims)
}

/// Checks a token at that time, and returns its claims or what the server says is wrong.
pub(super) fn verify(secret: &str, token: &str, now: i64) -> Result<Value, String> {
    let parts: Vec<_> = token.split('.').collect();
    let [header, payload, signature] = parts[..] else {
        return Err("Invalid Compact JWS".to_owned());
    };
    let header = decode(header).ok_or("JWS Protected Header is invalid")?;
    if header["alg"] != "HS256" {
        return Err("\"alg\" (Algorithm) Header Parameter value not allowed".to_owned());
    }
    let wrong = || "signature verification failed".to_owned();
    let given = URL_SAFE_NO_PAD.decode(signature).map_err(|_not_base64| wrong())?;
    let (head, _) = token.rsplit_once('.').unwrap_or_default();
    mac(secret, head)
        .verify_slice(&given)
        .map_err(|_mismatch| wrong())?;
    let claims = decode(payload).ok_or_else(wrong)?;
    if claims["exp"].as_i64().is_some_and(|end| end <= now) {
        return Err("\"exp\" claim timestamp check failed".to_owned());
    }
    if claims["nbf"].as_i64().is_some_and(|start| start > now) {
        return Err("\"nbf\" claim timestamp check failed".to_owned());
    }
    Ok(claims)
}

fn mac(secret: &str, head: &str) -> Hmac<Sha256> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("HMAC takes keys of any length");
    mac.update(head.as_bytes());
    mac
}

fn decode(part: &str) -> Option<Value> {
    let value: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).ok()?).ok()?;
    value.is_object().then_some(value)
}

//! Signed URLs.

use serde_json::{Value, json};

use super::access::{Action, Role};
use super::read::path_as_signed;
use super::reply::{Failure, Reply, ok};
use super::request::{Request, integer};
use super::route::Place;
use super::{Shared, token};

/// A batch signs at most so many.
const BATCH_MAX: usize = 1000;

fn can_read(shared: &Shared, role: &Role, place: &Place) -> bool {
    let exists = shared.state.lock().object(&place.bucket, &place.key).is_some();
    exists && role.may(shared, Action::Select, &place.bucket, &place.key)
}

fn download_token(shared: &Shared, url: &str, life: i64, transformations: Option<String>) -> String {
    let now = shared.now().as_second();
    let claims = match transformations {
        Some(transformations) => json!({
            "transformations": transformations, "url": url, "scope": "download", "iat": now, "exp": now + life,
        }),
        None => json!({ "url": url, "scope": "download", "iat": now, "exp": now + life }),
    };
    token::sign(&shared.options.jwt_secret, &claims)
}

fn life(body: &Value) -> Result<i64, Failure> {
    let life = integer(body, "expiresIn", 1)?;
    let life = life.ok_or_else(|| Failure::schema("body must have required property 'expiresIn'"))?;
    if life > i64::from(i32::MAX) {
        return Err(Failure::parameter("Invalid Parameter expiresIn"));
    }
    Ok(life)
}

fn transformations(body: &Value) -> Option<String> {
    let transform = body["transform"]
        .as_object()
        .filter(|fields| !fields.is_empty())?;
    let mut parts = Vec::new();
    for field in ["height", "width"] {
        if let Some(value) = transform.get(field) {
            parts.push(format!("{field}:{value}"));
        }
    }
    let resize = transform.get("resize").and_then(Value::as_str);
    parts.push(format!("resize:{}", resize.unwrap_or("undefined")));
    for field in ["format", "quality"] {
        if let Some(value) = transform.get(field) {
            parts.push(format!("{field}:{}", value.to_string().trim_matches('"')));
        }
    }
    Some(parts.join(","))
}

pub(super) async fn one(shared: &Shared, request: &mut Request, place: &Place) -> Result<Reply, Failure> {
    let body = request.object().await?;
    let life = life(&body)?;
    let role = shared.role_of(request.authorization()?)?;
    shared.check_database(false)?;
    if !can_read(shared, &role, place) {
        return Err(Failure::no_such_key());
    }
    // The server signs the path as it came, which is right only where nothing in it stays encoded.
    let path = path_as_signed(request.raw_path.trim_start_matches("/object/sign/"));
    let transformations = transformations(&body);
    let route = if transformations.is_some() {
        "/render/image/sign"
    } else {
        "/object/sign"
    };
    let token = download_token(shared, &path, life, transformations);
    Ok(ok(
        &json!({ "signedURL": format!("{route}/{path}?token={token}") }),
    ))
}

pub(super) async fn batch(shared: &Shared, request: &mut Request, bucket: &str) -> Result<Reply, Failure> {
    let body = request.object().await?;
    let life = life(&body)?;
    let paths = body["paths"]
        .as_array()
        .ok_or_else(|| Failure::schema("body must have required property 'paths'"))?;
    if paths.is_empty() {
        return Err(Failure::schema("body/paths must NOT have fewer than 1 items"));
    }
    if paths.len() > BATCH_MAX {
        return Err(Failure::schema(format!(
            "body/paths must NOT have more than {BATCH_MAX} items"
        )));
    }
    let role = shared.role_of(request.authorization()?)?;
    shared.check_database(false)?;
    let sign = |path: &Value| {
        let key = path.as_str().unwrap_or_default();
        let place = Place {
            bucket: bucket.to_owned(),
            key: key.to_owned(),
        };
        if !can_read(shared, &role, &place) {
            let error = "Either the object does not exist or you do not have access to it";
            return json!({ "error": error, "path": key, "signedURL": null });
        }
        let url = format!("{bucket}/{key}");
        let token = download_token(shared, &url, life, None);
        json!({ "error": null, "path": key, "signedURL": format!("/object/sign/{url}?token={token}") })
    };
    let signed: Vec<_> = paths.iter().map(sign).collect();
    Ok(ok(&json!(signed)))
}

pub(super) fn upload(shared: &Shared, request: &Request, place: &Place) -> Result<Reply, Failure> {
    let role = shared.role_of(request.authorization()?)?;
    let is_upsert = request.is_upsert();
    shared.check_database(true)?;
    let needed: &[Action] = if is_upsert {
        &[Action::Insert, Action::Update, Action::Select]
    } else {
        &[Action::Insert]
    };
    {
        let state = shared.state.lock();
        if !state.buckets.contains_key(&place.bucket) {
            return Err(Failure::related_missing());
        }
        if !role.may_all(shared, needed, &place.bucket, &place.key) {
            return Err(Failure::row_security());
        }
        if !is_upsert && state.object(&place.bucket, &place.key).is_some() {
            return Err(Failure::key_exists());
        }
    }
    let url = format!("{}/{}", place.bucket, place.key);
    let now = shared.now().as_second();
    let life = i64::try_from(shared.options.signed_upload_life.as_secs()).unwrap_or(i64::MAX);
    let mut claims =
        json!({ "url": url, "upsert": is_upsert, "scope": "upload", "iat": now, "exp": now + life });
    if let Role::User(id) = &role {
        claims["owner"] = json!(id);
    }
    let token = token::sign(&shared.options.jwt_secret, &claims);
    Ok(ok(
        &json!({ "url": format!("/object/upload/sign/{url}?token={token}"), "token": token }),
    ))
}

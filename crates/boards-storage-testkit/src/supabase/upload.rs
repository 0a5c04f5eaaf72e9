//! Uploads in one request: direct ones, and those with a signed URL.

use bytes::Bytes;
use http::Method;
use http_body_util::BodyExt;
use serde_json::{Value, json};
use uuid::Uuid;

use super::access::{Action, Role};
use super::blob::{Blob, BlobWriter};
use super::form;
use super::metadata::{
    cache_seconds, check_key, check_mime_type, check_robots, metadata_header, user_metadata,
};
use super::reply::{Failure, Reply, ok};
use super::request::Request;
use super::route::Place;
use super::state::{Bucket, NewObject, Object, upload_tag};
use super::{Shared, SupabaseBackend, token};

/// How a write may go.
struct Permission {
    role: Role,
    is_upsert: bool,
}

pub(super) async fn direct(shared: &Shared, request: &mut Request, place: &Place) -> Result<Reply, Failure> {
    let authorization = request.authorization()?.to_owned();
    let permission = Permission {
        role: shared.role_of(&authorization)?,
        is_upsert: request.method == Method::PUT || request.is_upsert(),
    };
    let object = store(shared, request, place, &permission).await?;
    Ok(ok(&json!({
        "Key": format!("{}/{}", place.bucket, place.key),
        "Id": object.id.to_string(),
    })))
}

pub(super) async fn signed(shared: &Shared, request: &mut Request, place: &Place) -> Result<Reply, Failure> {
    let given = request
        .query("token")
        .ok_or_else(|| Failure::schema("querystring must have required property 'token'"))?;
    let claims =
        token::verify(&shared.options.jwt_secret, given, shared.now().as_second()).map_err(Failure::token)?;
    if claims["scope"] == "download" {
        return Err(Failure::signature("Token is not scoped for upload"));
    }
    if claims["url"] != format!("{}/{}", place.bucket, place.key) {
        return Err(Failure::signature("Invalid signature"));
    }
    let permission = Permission {
        role: Role::Service,
        is_upsert: claims["upsert"] == json!(true),
    };
    store(shared, request, place, &permission).await?;
    Ok(ok(&json!({ "Key": format!("{}/{}", place.bucket, place.key) })))
}

/// What a request says of its object.
struct Said {
    mime_type: String,
    cache_control: String,
    user_metadata: Value,
}

async fn store(
    shared: &Shared,
    request: &mut Request,
    place: &Place,
    permission: &Permission,
) -> Result<Object, Failure> {
    let stored = try_store(shared, request, place, permission).await;
    if stored.is_err() {
        request.drain().await;
    }
    stored
}

async fn try_store(
    shared: &Shared,
    request: &mut Request,
    place: &Place,
    permission: &Permission,
) -> Result<Object, Failure> {
    check_key(&place.key)?;
    let robots = request.header("x-robots-tag").map(str::to_owned);
    if let Some(robots) = &robots {
        check_robots(robots)?;
    }
    shared.check_database(true)?;
    let bucket = bucket_of(shared, &place.bucket)?;
    let version = Uuid::new_v4();
    check_path(shared, place, version)?;
    let content_type = request.header("content-type").unwrap_or_default().to_owned();
    let (said, blob) = match form::boundary(&content_type) {
        Some(boundary) => {
            may_write(shared, place, permission)?;
            from_form(shared, request, &bucket, place, &boundary?).await?
        }
        None => {
            let said = Said {
                mime_type: some_or(&content_type, "application/octet-stream"),
                cache_control: some_or(request.header("cache-control").unwrap_or_default(), "no-cache"),
                user_metadata: metadata_header(request.header("x-metadata"))?,
            };
            check_mime_type(&bucket, &said.mime_type)?;
            let limit = size_limit(shared, &bucket, place);
            if request.content_length().is_some_and(|length| length > limit) {
                return Err(Failure::too_large());
            }
            may_write(shared, place, permission)?;
            if shared.is_backend_down() {
                return Err(backend_down());
            }
            (said, receive(shared, request).await?)
        }
    };
    // The row is written last, so a request that breaks off leaves what was there. Nothing is looked at again:
    // two of several writers without upsert succeed, as on the real server.
    let mut state = shared.state.lock();
    let new = NewObject {
        version,
        owner: permission.role.owner(),
        mime_type: said.mime_type,
        cache_control: said.cache_control,
        robots,
        user_metadata: said.user_metadata,
        etag: upload_tag(shared.options.backend, &blob),
        blob,
    };
    state
        .put(&place.bucket, &place.key, new, shared.now())
        .ok_or_else(Failure::no_such_bucket)
}

pub(super) fn backend_down() -> Failure {
    Failure::store(500, "connect ECONNREFUSED 127.0.0.1:15900", "Error")
}

fn some_or(text: &str, default: &str) -> String {
    if text.is_empty() { default } else { text }.to_owned()
}

pub(super) fn bucket_of(shared: &Shared, id: &str) -> Result<Bucket, Failure> {
    let state = shared.state.lock();
    let bucket = state.buckets.get(id).ok_or_else(Failure::no_such_bucket)?;
    // The objects can be many, and are not needed.
    Ok(Bucket {
        objects: Default::default(),
        id: bucket.id.clone(),
        name: bucket.name.clone(),
        mime_types: bucket.mime_types.clone(),
        ..*bucket
    })
}

/// Refuses what the file backend cannot hold.
fn check_path(shared: &Shared, place: &Place, version: Uuid) -> Result<(), Failure> {
    if shared.options.backend == SupabaseBackend::S3 {
        return Ok(());
    }
    let path = format!("{}/{}", place.bucket, place.key);
    if path.split('/').any(|segment| segment == "." || segment == "..") {
        return Err(Failure::invalid_key(&format!(
            "supa-storage-bucket/stub/{path}/{version} contains dot path segment"
        )));
    }
    if path.split('/').any(|segment| segment.len() > 255) {
        return Err(Failure::internal());
    }
    Ok(())
}

/// The placeholder of an empty folder must be empty.
fn size_limit(shared: &Shared, bucket: &Bucket, place: &Place) -> u64 {
    if place.key.ends_with("/.emptyFolderPlaceholder") {
        return 0;
    }
    bucket
        .size_bytes_max
        .unwrap_or(u64::MAX)
        .min(shared.options.size_bytes_max)
}

/// Tries the write as the database would judge it.
fn may_write(shared: &Shared, place: &Place, permission: &Permission) -> Result<(), Failure> {
    let needed: &[Action] = if permission.is_upsert {
        &[Action::Insert, Action::Update, Action::Select]
    } else {
        &[Action::Insert]
    };
    if !permission.role.may_all(shared, needed, &place.bucket, &place.key) {
        return Err(Failure::row_security());
    }
    let exists = shared.state.lock().object(&place.bucket, &place.key).is_some();
    if exists && !permission.is_upsert {
        return Err(Failure::key_exists());
    }
    Ok(())
}

async fn receive(shared: &Shared, request: &mut Request) -> Result<Blob, Failure> {
    let mut writer = BlobWriter::new(shared.folder.path());
    while let Some(frame) = request.body.frame().await {
        let frame = frame.map_err(|_broken_off| Failure::request("request aborted"))?;
        if let Some(piece) = frame.data_ref() {
            writer.write(piece).await.map_err(|_disk| Failure::internal())?;
        }
    }
    writer.finish().await.map_err(|_disk| Failure::internal())
}

/// The form parser cuts parameters off.
fn without_parameters(mime_type: String) -> String {
    match mime_type.split_once(';') {
        Some((essence, _)) => essence.trim_end().to_owned(),
        None => mime_type,
    }
}

async fn from_form(
    shared: &Shared,
    request: &mut Request,
    bucket: &Bucket,
    place: &Place,
    boundary: &str,
) -> Result<(Said, Blob), Failure> {
    let most = usize::try_from(shared.options.size_bytes_max).unwrap_or(usize::MAX);
    let body: Bytes = request.bytes(most.saturating_add(1 << 20)).await?;
    let form = form::parse(&body, boundary)?;
    let (part_type, content) = form.file.ok_or_else(|| Failure::request("No content provided"))?;
    let said = Said {
        mime_type: form
            .content_type
            .or_else(|| part_type.map(without_parameters))
            .unwrap_or_else(|| "application/octet-stream".to_owned()),
        cache_control: form
            .cache_control
            .as_deref()
            .and_then(cache_seconds)
            .unwrap_or_else(|| "no-cache".to_owned()),
        user_metadata: form
            .metadata
            .map_or_else(|| Ok(json!({})), |text| user_metadata(&text))?,
    };
    check_mime_type(bucket, &said.mime_type)?;
    if content.len() as u64 > size_limit(shared, bucket, place) {
        return Err(Failure::too_large());
    }
    let mut writer = BlobWriter::new(shared.folder.path());
    let disk = |_error| Failure::internal();
    writer.write(&content).await.map_err(disk)?;
    Ok((said, writer.finish().await.map_err(disk)?))
}

//! Copies, moves and deletions.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use uuid::Uuid;

use super::access::{Action, Role};
use super::metadata::{check_key, metadata_header};
use super::reply::{Failure, Reply, ok};
use super::request::{Request, required};
use super::route::Place;
use super::state::{NewObject, Object};
use super::{Shared, SupabaseBackend};

/// The documented limit of a batch, which only some servers enforce.
const BATCH_MAX: usize = 1000;

struct Transfer {
    role: Role,
    from: Place,
    to: Place,
    body: Value,
}

async fn transfer(shared: &Shared, request: &mut Request) -> Result<(Transfer, Object), Failure> {
    let body = request.object().await?;
    let text = |name: &str| required(&body, name).map(str::to_owned);
    let (bucket, source, destination) = (text("bucketId")?, text("sourceKey")?, text("destinationKey")?);
    let to_bucket = body["destinationBucket"].as_str().unwrap_or(&bucket).to_owned();
    let role = shared.role_of(request.authorization()?)?;
    shared.check_database(true)?;
    check_key(&destination)?;
    let found = shared.state.lock().object(&bucket, &source).cloned();
    let found = found.filter(|_| role.may(shared, Action::Select, &bucket, &source));
    let object = found.ok_or_else(Failure::no_such_key)?;
    let transfer = Transfer {
        role,
        from: Place { bucket, key: source },
        to: Place {
            bucket: to_bucket,
            key: destination,
        },
        body,
    };
    Ok((transfer, object))
}

fn lost_bytes(backend: SupabaseBackend) -> Failure {
    match backend {
        SupabaseBackend::File => Failure::internal(),
        SupabaseBackend::S3 => Failure::store(404, "The specified key does not exist.", "NoSuchKey"),
    }
}

pub(super) async fn copy(shared: &Shared, request: &mut Request) -> Result<Reply, Failure> {
    let (transfer, source) = transfer(shared, request).await?;
    let Transfer { role, to, body, .. } = transfer;
    let is_upsert = request.is_upsert();
    let needed: &[Action] = if is_upsert {
        &[Action::Insert, Action::Update, Action::Select]
    } else {
        &[Action::Insert]
    };
    let copies_metadata = body["copyMetadata"].as_bool().unwrap_or(true);
    let given = request.header("x-metadata");
    let user_metadata = match (copies_metadata, given) {
        (true, _) => source.user_metadata.clone(),
        (false, Some(_)) => metadata_header(given)?,
        (false, None) => Value::Null,
    };
    let said = |name: &str, old: &str| {
        let new = body["metadata"][name].as_str().filter(|_| !copies_metadata);
        new.unwrap_or(old).to_owned()
    };
    let mut state = shared.state.lock();
    if !state.buckets.contains_key(&to.bucket) {
        return Err(Failure::related_missing());
    }
    if !role.may_all(shared, needed, &to.bucket, &to.key) {
        return Err(Failure::row_security());
    }
    if !is_upsert && state.object(&to.bucket, &to.key).is_some() {
        return Err(Failure::key_exists());
    }
    let blob = source
        .blob
        .clone()
        .ok_or_else(|| lost_bytes(shared.options.backend))?;
    let new = NewObject {
        version: Uuid::new_v4(),
        owner: role.owner(),
        mime_type: said("mimetype", &source.mime_type),
        cache_control: said("cacheControl", &source.cache_control),
        robots: source.robots.clone(),
        user_metadata,
        // The store copies in one piece.
        etag: blob.md5_tag(),
        blob,
    };
    let copied = state
        .put(&to.bucket, &to.key, new, shared.now())
        .ok_or_else(Failure::related_missing)?;
    let mut row = copied.row(&to.bucket, &to.key);
    row.insert("Key".to_owned(), json!(format!("{}/{}", to.bucket, to.key)));
    row.insert("Id".to_owned(), json!(copied.id.to_string()));
    Ok(ok(&Value::Object(row)))
}

pub(super) async fn rename(shared: &Shared, request: &mut Request) -> Result<Reply, Failure> {
    let (transfer, mut object) = transfer(shared, request).await?;
    let Transfer { role, from, to, .. } = transfer;
    if !role.may(shared, Action::Update, &from.bucket, &from.key) {
        return Err(Failure::no_such_key());
    }
    let is_same = from.bucket == to.bucket && from.key == to.key;
    let mut state = shared.state.lock();
    if !state.buckets.contains_key(&to.bucket) {
        return Err(Failure::related_missing());
    }
    if !is_same && state.object(&to.bucket, &to.key).is_some() {
        let message = "The resource already exists";
        return Err(Failure::new(409, "Duplicate", "ResourceAlreadyExists", message));
    }
    if let Some(bucket) = state.buckets.get_mut(&from.bucket) {
        bucket.objects.remove(&from.key);
    }
    object.version = Uuid::new_v4();
    object.updated = shared.now();
    if let Some(blob) = &object.blob {
        object.etag = blob.md5_tag();
    }
    if let Some(bucket) = state.buckets.get_mut(&to.bucket) {
        bucket.objects.insert(to.key, object);
    }
    Ok(ok(&json!({ "message": "Successfully moved" })))
}

pub(super) async fn delete(shared: &Shared, request: &mut Request, place: &Place) -> Result<Reply, Failure> {
    request.json().await?;
    let role = shared.role_of(request.authorization()?)?;
    shared.check_database(true)?;
    if shared.is_backend_down() {
        return Err(Failure::internal());
    }
    let mut state = shared.state.lock();
    if state.object(&place.bucket, &place.key).is_none() {
        return Err(Failure::no_such_key());
    }
    if !role.may(shared, Action::Delete, &place.bucket, &place.key) {
        return Err(Failure::denied("Access denied"));
    }
    if let Some(bucket) = state.buckets.get_mut(&place.bucket) {
        bucket.objects.remove(&place.key);
    }
    Ok(ok(&json!({ "message": "Successfully deleted" })))
}

pub(super) async fn delete_many(
    shared: &Shared,
    request: &mut Request,
    bucket: &str,
) -> Result<Reply, Failure> {
    let body = request.object().await?;
    let keys = body["prefixes"]
        .as_array()
        .ok_or_else(|| Failure::schema("body must have required property 'prefixes'"))?;
    if keys.is_empty() {
        return Err(Failure::schema("body/prefixes must NOT have fewer than 1 items"));
    }
    let role = shared.role_of(request.authorization()?)?;
    if shared.options.hard_limits && keys.len() > BATCH_MAX {
        let message = format!("Bulk object requests are limited to {BATCH_MAX} objects per request.");
        return Err(Failure::request(message));
    }
    shared.check_database(true)?;
    let keys: BTreeSet<_> = keys.iter().filter_map(Value::as_str).collect();
    let mut state = shared.state.lock();
    let mut deleted = Vec::new();
    for key in keys {
        if !role.may_all(shared, &[Action::Delete, Action::Select], bucket, key) {
            continue;
        }
        let objects = state.buckets.get_mut(bucket).map(|bucket| &mut bucket.objects);
        if let Some(object) = objects.and_then(|objects| objects.remove(key)) {
            deleted.push(Value::Object(object.row(bucket, key)));
        }
    }
    Ok(ok(&json!(deleted)))
}

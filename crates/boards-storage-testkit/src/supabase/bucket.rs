//! Buckets.

use std::collections::BTreeMap;

use http::Method;
use serde_json::{Value, json};

use super::Shared;
use super::access::Role;
use super::reply::{Failure, Reply, ok};
use super::request::{Request, decode, required};
use super::route::unknown;
use super::state::{Bucket, iso};

const NAME_CHARS_MAX: usize = 100;

pub(super) async fn answer(shared: &Shared, request: &mut Request, rest: &[&str]) -> Result<Reply, Failure> {
    let method = request.method.clone();
    match (&method, rest) {
        (&Method::GET | &Method::HEAD, [] | [""]) => list(shared, request),
        (&Method::POST, [] | [""]) => create(shared, request).await,
        (&Method::GET | &Method::HEAD, [id]) => {
            let role = enter(shared, request, false)?;
            let state = shared.state.lock();
            let bucket = state.buckets.get(&plain(id)).filter(|_| role == Role::Service);
            bucket.map_or_else(
                || Err(Failure::no_such_bucket()),
                |bucket| Ok(ok(&bucket.shown(false))),
            )
        }
        (&Method::PUT, [id]) => update(shared, request, &plain(id)).await,
        (&Method::DELETE, [id]) => delete(shared, request, &plain(id)).await,
        (&Method::POST, [id, "empty"]) => empty(shared, request, &plain(id)),
        _ => Ok(unknown(request)),
    }
}

fn plain(segment: &str) -> String {
    decode(segment).unwrap_or_default()
}

fn enter(shared: &Shared, request: &Request, writes: bool) -> Result<Role, Failure> {
    let role = shared.role_of(request.authorization()?)?;
    shared.check_database(writes)?;
    Ok(role)
}

impl Bucket {
    fn shown(&self, with_type: bool) -> Value {
        let mut shown = json!({
            "id": self.id,
            "name": self.name,
            "owner": "",
            "public": self.public,
            "file_size_limit": self.size_bytes_max,
            "allowed_mime_types": self.mime_types,
            "created_at": iso(self.created),
            "updated_at": iso(self.updated),
        });
        if with_type {
            shown["type"] = json!("STANDARD");
        }
        shown
    }
}

fn list(shared: &Shared, request: &Request) -> Result<Reply, Failure> {
    let authorization = request.authorization()?.to_owned();
    let columns = ["id", "name", "created_at", "updated_at"];
    let column = request.query("sortColumn").unwrap_or("created_at");
    let equal = |name: &str| {
        Failure::schema(format!(
            "querystring/{name} must be equal to one of the allowed values"
        ))
    };
    if !columns.contains(&column) {
        return Err(equal("sortColumn"));
    }
    let number = |name: &str, least: usize| match request.query(name).map(str::parse::<usize>) {
        None => Ok(None),
        Some(Ok(number)) if number >= least => Ok(Some(number)),
        Some(_) => Err(Failure::schema(format!("querystring/{name} must be >= {least}"))),
    };
    let (limit, offset) = (number("limit", 1)?, number("offset", 0)?);
    let role = shared.role_of(&authorization)?;
    shared.check_database(false)?;
    let state = shared.state.lock();
    let mut buckets: Vec<_> = state
        .buckets
        .values()
        .filter(|bucket| role == Role::Service && bucket.name.contains(request.query("search").unwrap_or("")))
        .collect();
    buckets.sort_by_key(|bucket| match column {
        "id" => (bucket.id.clone(), 0),
        "name" => (bucket.name.clone(), 0),
        _ => (String::new(), bucket.serial),
    });
    if request.query("sortOrder") == Some("desc") {
        buckets.reverse();
    }
    // Old Python clients cannot read the type.
    let is_old_client = request
        .header("user-agent")
        .is_some_and(|agent| agent.starts_with("supabase-py/storage3 v0.11"));
    let shown: Vec<_> = buckets
        .into_iter()
        .skip(offset.unwrap_or(0))
        .take(limit.unwrap_or(usize::MAX))
        .map(|bucket| bucket.shown(!is_old_client))
        .collect();
    Ok(ok(&json!(shown)))
}

async fn create(shared: &Shared, request: &mut Request) -> Result<Reply, Failure> {
    let body = request.object().await?;
    let name = required(&body, "name")?.to_owned();
    let limit = size_limit(&body)?;
    let authorization = request.authorization()?.to_owned();
    let role = shared.role_of(&authorization)?;
    let is_name = |c: char| c.is_ascii_alphanumeric() || "_!-.*'() &$@=;:+,?".contains(c);
    let is_reserved = name.ends_with("--table-s3");
    if name.is_empty()
        || name.len() > NAME_CHARS_MAX
        || name.trim() != name
        || is_reserved
        || !name.chars().all(is_name)
    {
        return Err(Failure::new(
            400,
            "Invalid Input",
            "InvalidBucketName",
            "Bucket name invalid",
        ));
    }
    check_limits(shared, &body, limit)?;
    shared.check_database(true)?;
    if role != Role::Service {
        return Err(Failure::row_security());
    }
    let id = body["id"].as_str().unwrap_or(&name).to_owned();
    let now = shared.now();
    let mut state = shared.state.lock();
    if state.buckets.contains_key(&id) {
        let message = "The resource already exists";
        return Err(Failure::new(409, "Duplicate", "BucketAlreadyExists", message));
    }
    let bucket = Bucket {
        id: id.clone(),
        name: name.clone(),
        public: body["public"].as_bool().unwrap_or(false),
        size_bytes_max: limit,
        mime_types: mime_types(&body),
        created: now,
        updated: now,
        serial: state.next_serial(),
        objects: BTreeMap::new(),
    };
    state.buckets.insert(id, bucket);
    Ok(ok(&json!({ "name": name })))
}

/// Reads `file_size_limit`: bytes, or a text such as `1MB` (of 1,000 each).
fn size_limit(body: &Value) -> Result<Option<u64>, Failure> {
    let wrong = || {
        Failure::schema(
            "body/file_size_limit must be integer, body/file_size_limit must pass \"finite\" keyword validation, \
             body/file_size_limit must match pattern \
             \"^[0-9]+(?:\\.[0-9]+)?(?:[gG][bB]|[mM][bB]|[kK][bB]|[bB])$\", \
             body/file_size_limit must match a schema in anyOf",
        )
    };
    let text = match &body["file_size_limit"] {
        Value::Null => return Ok(None),
        Value::String(text) => text.to_ascii_lowercase(),
        number => return number.as_u64().map(Some).ok_or_else(wrong),
    };
    let units = [("gb", 1_000_000_000), ("mb", 1_000_000), ("kb", 1_000), ("b", 1)];
    let parsed = units.iter().find_map(|(unit, factor)| {
        let number: u64 = text.strip_suffix(unit)?.parse().ok()?;
        Some(number * factor)
    });
    parsed.or_else(|| text.parse().ok()).map(Some).ok_or_else(wrong)
}

fn mime_types(body: &Value) -> Option<Vec<String>> {
    let types = body["allowed_mime_types"].as_array()?;
    Some(
        types
            .iter()
            .filter_map(|kind| kind.as_str().map(str::to_owned))
            .collect(),
    )
}

fn check_limits(shared: &Shared, body: &Value, limit: Option<u64>) -> Result<(), Failure> {
    if limit.is_some_and(|limit| limit > shared.options.size_bytes_max) {
        return Err(Failure::too_large());
    }
    match mime_types(body)
        .unwrap_or_default()
        .iter()
        .find(|kind| !kind.contains('/'))
    {
        Some(bad) => Err(Failure::mime(format!("mime type {bad} is not supported"))),
        None => Ok(()),
    }
}

async fn update(shared: &Shared, request: &mut Request, id: &str) -> Result<Reply, Failure> {
    let body = request.object().await?;
    let fields = ["public", "file_size_limit", "allowed_mime_types"];
    if fields.iter().all(|field| body.get(field).is_none()) {
        let missing = fields.map(|field| format!("body must have required property '{field}'"));
        return Err(Failure::schema(format!(
            "{}, body must match a schema in anyOf",
            missing.join(", ")
        )));
    }
    let limit = size_limit(&body)?;
    let role = enter(shared, request, true)?;
    check_limits(shared, &body, limit)?;
    let now = shared.now();
    let mut state = shared.state.lock();
    let bucket = state
        .buckets
        .get_mut(id)
        .filter(|_| role == Role::Service)
        .ok_or_else(Failure::no_such_bucket)?;
    if let Some(public) = body["public"].as_bool() {
        bucket.public = public;
    }
    if body.get("file_size_limit").is_some() {
        bucket.size_bytes_max = limit;
    }
    if body.get("allowed_mime_types").is_some() {
        bucket.mime_types = mime_types(&body);
    }
    bucket.updated = now;
    Ok(ok(&json!({ "message": "Successfully updated" })))
}

async fn delete(shared: &Shared, request: &mut Request, id: &str) -> Result<Reply, Failure> {
    // The body parser of this route takes an empty body.
    request.bytes(1 << 20).await?;
    let role = enter(shared, request, true)?;
    let mut state = shared.state.lock();
    let bucket = state.buckets.get(id).filter(|_| role == Role::Service);
    let bucket = bucket.ok_or_else(Failure::no_such_bucket)?;
    if !bucket.objects.is_empty() {
        let message = "The bucket you tried to delete is not empty";
        return Err(Failure::new(409, "ResourceNotEmpty", "ResourceNotEmpty", message));
    }
    state.buckets.remove(id);
    Ok(ok(&json!({ "message": "Successfully deleted" })))
}

fn empty(shared: &Shared, request: &Request, id: &str) -> Result<Reply, Failure> {
    let role = enter(shared, request, true)?;
    if role != Role::Service {
        return Err(Failure::forbidden("Access denied: Invalid role"));
    }
    let mut state = shared.state.lock();
    let bucket = state.buckets.get_mut(id).ok_or_else(Failure::no_such_bucket)?;
    bucket.objects.clear();
    let message = "Empty bucket has been queued. Completion may take up to an hour.";
    Ok(ok(&json!({ "message": message })))
}

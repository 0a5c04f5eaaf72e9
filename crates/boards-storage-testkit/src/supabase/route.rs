//! Which handler answers: the server's routing table.

use std::sync::Arc;

use http::Method;
use serde_json::json;

use super::Shared;
use super::reply::{Failure, Reply, json_reply, reply, set};
use super::request::{Request, decode};
use super::{bucket, change, list, read, render, sign, tus, upload};

/// A bucket and a key, decoded.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) bucket: String,
    pub(super) key: String,
}

pub(super) async fn route(shared: &Arc<Shared>, mut request: Request) -> Result<Reply, Failure> {
    let path = request.raw_path.clone();
    if path == "/upload/resumable" || path.starts_with("/upload/resumable/") {
        return Ok(tus::answer(shared, request).await);
    }
    let method = request.method.clone();
    let segments: Vec<&str> = path.trim_start_matches('/').split('/').collect();
    match (&method, &segments[..]) {
        (&Method::GET, ["status"]) => Ok(reply(200, None, "")),
        (&Method::GET, ["version"]) => Ok(reply(200, Some("text/plain; charset=utf-8"), "1.11.2")),
        (&Method::GET, ["health"]) => health(shared, &request),
        (_, ["bucket", rest @ ..]) => bucket::answer(shared, &mut request, rest).await,
        (_, ["object", rest @ ..]) => object(shared, request, rest).await,
        (&Method::GET, ["render", "image", rest @ ..]) => render::answer(shared, &request, rest),
        (&Method::DELETE, ["cdn", _, ..]) => {
            shared.role_of(request.authorization()?)?;
            let message = "Missing Required Parameter CDN_PURGE_ENDPOINT_URL is not set";
            Err(Failure::new(400, "MissingParameter", "MissingParameter", message))
        }
        _ => Ok(unknown(&request)),
    }
}

/// What comes after `/object/`.
async fn object(shared: &Arc<Shared>, mut request: Request, rest: &[&str]) -> Result<Reply, Failure> {
    let method = request.method.clone();
    let is_read = method == Method::GET || method == Method::HEAD;
    let is_write = method == Method::POST || method == Method::PUT;
    match (&method, rest) {
        (&Method::POST, ["list", bucket]) => list::first(shared, &mut request, &plain(bucket)).await,
        (&Method::POST, ["list-v2", bucket]) if !shared.options.is_old => {
            list::second(shared, &mut request, &plain(bucket)).await
        }
        (&Method::POST, ["copy"]) => change::copy(shared, &mut request).await,
        (&Method::POST, ["move"]) => change::rename(shared, &mut request).await,
        (&Method::POST, ["sign", bucket]) => sign::batch(shared, &mut request, &plain(bucket)).await,
        (&Method::POST, ["sign", bucket, key @ ..]) => {
            sign::one(shared, &mut request, &place(bucket, key)).await
        }
        (_, ["sign", bucket, key @ ..]) if is_read && !key.is_empty() => {
            read::signed(shared, &request, &place(bucket, key)).await
        }
        (&Method::POST, ["upload", "sign", bucket, key @ ..]) if !key.is_empty() => {
            sign::upload(shared, &request, &place(bucket, key))
        }
        (&Method::PUT, ["upload", "sign", bucket, key @ ..]) if !key.is_empty() => {
            upload::signed(shared, &mut request, &place(bucket, key)).await
        }
        (_, ["authenticated", bucket, key @ ..]) if is_read && !key.is_empty() => {
            read::authenticated(shared, &request, &place(bucket, key)).await
        }
        (_, ["public", bucket, key @ ..]) if is_read && !key.is_empty() => {
            read::public(shared, &request, &place(bucket, key)).await
        }
        (_, ["info", rest @ ..]) if is_read && rest.len() > 1 => info(shared, &request, rest),
        (&Method::DELETE, [bucket]) => change::delete_many(shared, &mut request, &plain(bucket)).await,
        (_, [bucket, key @ ..]) if !key.is_empty() => {
            let place = place(bucket, key);
            if is_read {
                read::short(shared, &request, &place).await
            } else if is_write {
                upload::direct(shared, &mut request, &place).await
            } else if method == Method::DELETE {
                change::delete(shared, &mut request, &place).await
            } else {
                Ok(unknown(&request))
            }
        }
        _ => Ok(unknown(&request)),
    }
}

fn info(shared: &Arc<Shared>, request: &Request, rest: &[&str]) -> Result<Reply, Failure> {
    match rest {
        ["authenticated", bucket, key @ ..] if !key.is_empty() => {
            read::info_authenticated(shared, request, &place(bucket, key))
        }
        ["public", bucket, key @ ..] if !key.is_empty() => {
            read::info_public(shared, request, &place(bucket, key))
        }
        [bucket, key @ ..] => read::info_short(shared, request, &place(bucket, key)),
        [] => Ok(unknown(request)),
    }
}

fn health(shared: &Arc<Shared>, request: &Request) -> Result<Reply, Failure> {
    shared.role_of(request.header("authorization").unwrap_or_default())?;
    let healthy = shared.check_database(false).is_ok();
    Ok(json_reply(200, &json!({ "healthy": healthy })))
}

fn plain(segment: &str) -> String {
    decode(segment).unwrap_or_else(|| segment.to_owned())
}

fn place(bucket: &str, key: &[&str]) -> Place {
    Place {
        bucket: plain(bucket),
        key: plain(&key.join("/")),
    }
}

/// The router's own answer, in one of its two shapes.
pub(super) fn unknown(request: &Request) -> Reply {
    let message = format!("Route {}:{} not found", request.method, request.raw_path);
    if request.raw_path.starts_with("/object") || request.raw_path.starts_with("/bucket") {
        let body = json!({
            "statusCode": "404", "error": "Not Found", "message": message, "code": "InvalidRequest",
        });
        let mut reply = json_reply(404, &body);
        set(&mut reply, "content-type", "application/json");
        return reply;
    }
    json_reply(
        404,
        &json!({ "message": message, "error": "Not Found", "statusCode": 404 }),
    )
}

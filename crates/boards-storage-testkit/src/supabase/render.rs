//! Image transformations, as a server answers them whose image service is not there.

use super::Shared;
use super::access::{Action, Role};
use super::reply::{Failure, Reply};
use super::request::{Request, decode};

pub(super) fn answer(shared: &Shared, request: &Request, rest: &[&str]) -> Result<Reply, Failure> {
    check_query(request)?;
    let (access, bucket, key) = match rest {
        [access, bucket, key @ ..] if !key.is_empty() => (*access, *bucket, key.join("/")),
        _ => return Err(Failure::no_such_key()),
    };
    let plain = |text: &str| decode(text).unwrap_or_default();
    let (bucket, key) = (plain(bucket), plain(&key));
    let role = match access {
        "authenticated" => shared.role_of(request.header("authorization").unwrap_or_default())?,
        "sign" => super::read::signed_claims(shared, request).map(|_| Role::Service)?,
        _ => Role::Service,
    };
    let state = shared.state.lock();
    let is_there = state.object(&bucket, &key).is_some();
    if !is_there || !role.may(shared, Action::Select, &bucket, &key) {
        return Err(Failure::no_such_key());
    }
    Err(Failure::image("fetch failed"))
}

fn check_query(request: &Request) -> Result<(), Failure> {
    for name in ["width", "height"] {
        if let Some(value) = request.query(name)
            && value.parse::<i64>().is_err()
        {
            return Err(Failure::schema(format!("querystring/{name} must be integer")));
        }
    }
    let choices = [
        ("resize", &["cover", "contain", "fill"][..]),
        ("format", &["origin", "avif"]),
    ];
    for (name, allowed) in choices {
        if let Some(value) = request.query(name)
            && !allowed.contains(&value)
        {
            let message = format!("querystring/{name} must be equal to one of the allowed values");
            return Err(Failure::schema(message));
        }
    }
    match request.query("quality").map(str::parse::<i64>) {
        Some(Ok(quality)) if quality < 20 => Err(Failure::schema("querystring/quality must be >= 20")),
        Some(Ok(quality)) if quality > 100 => Err(Failure::schema("querystring/quality must be <= 100")),
        Some(Err(_)) => Err(Failure::schema("querystring/quality must be integer")),
        Some(Ok(_)) | None => Ok(()),
    }
}

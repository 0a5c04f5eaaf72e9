//! What changes objects without sending bytes: copies, other attributes, deletions.

use boards_storage_core::{
    CopyOptions, DeleteOptions, DeleteOutcome, DeletedKey, Error, ErrorKind, ObjectAttributes,
    ObjectMetadata, Precondition, Result, SetMetadataOptions, StorageKey,
};
use futures_util::{StreamExt, stream};
use reqwest::Method;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::client::{Client, Query, send_json, send_unit};
use crate::encoding::{self, Notes, encode_segment};
use crate::error::{Asked, unexpected};
use crate::read::{LOOKS_MAX, changed_again, look};
use crate::resource::{Resource, State, conditions, header_fields, other_state, to_json};

/// The greatest number of keys in one call.
pub(crate) const DELETE_MANY_MAX: usize = 1_000;
/// How many deletions of one call are under way at a time.
pub(crate) const DELETIONS_AT_ONCE: usize = 16;

/// The answer to a request for a copy.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Rewritten {
    #[serde(default)]
    done: bool,
    #[serde(default)]
    rewrite_token: Option<String>,
    #[serde(default)]
    resource: Option<Resource>,
}

/// Copies bytes and attributes of one state of the source.
pub(crate) async fn copy(
    client: &Client,
    from: &StorageKey,
    to: &StorageKey,
    options: &CopyOptions,
) -> Result<ObjectMetadata> {
    if let Some(attributes) = &options.attributes {
        encoding::check_fields(attributes)?;
    }
    for _ in 0..LOOKS_MAX {
        let source = look(client, &client.full(from)).await?;
        let state = source.state()?;
        if options
            .source_if_match
            .as_ref()
            .is_some_and(|wanted| State::of(wanted) != Some(state))
        {
            return Err(other_state());
        }
        let attributes = options.attributes.clone().unwrap_or_else(|| source.attributes());
        let notes = Notes {
            digest: source.notes().digest,
            write_id: options.write_id,
        };
        let said = Value::Object(client.held(to_json(&attributes, &notes)));
        let query = client
            .kms_query("destinationKmsKeyName")
            .with("sourceGeneration", state.generation)
            .with_all(conditions(&options.precondition)?);
        let asked = Asked::write(&options.precondition);
        match rewrite(client, &source.name, &client.full(to), &query, &said, asked).await {
            // The source was replaced or deleted since: the next look tells.
            Err(error) if error.status() == Some(404) => {}
            Err(error) => return Err(error),
            // A store that does not pin the source may have copied its next state.
            Ok(copied) if (copied.size()?, copied.crc32c()) != (source.size()?, source.crc32c()) => {}
            Ok(copied) => return copied.to_metadata(to, client.settings().versions),
        }
    }
    Err(changed_again())
}

/// Asks for a copy until it is done: large ones between classes or places take several requests.
async fn rewrite(
    client: &Client,
    from: &str,
    to: &str,
    query: &Query,
    said: &Value,
    asked: Asked,
) -> Result<Resource> {
    let bucket = &client.settings().bucket;
    let url = format!(
        "{}/rewriteTo/b/{bucket}/o/{}",
        client.object_url(from),
        encode_segment(to)
    );
    let mut token: Option<String> = None;
    loop {
        let query = query.clone().with_some("rewriteToken", token.as_deref());
        let request = client.json_request(Method::POST, &url, &query, said).await?;
        let answer: Rewritten = send_json(request, asked).await?;
        match answer {
            Rewritten {
                done: true,
                resource: Some(resource),
                ..
            } => return Ok(resource),
            Rewritten {
                done: false,
                rewrite_token: Some(next),
                ..
            } => token = Some(next),
            _ => return Err(unexpected("the store did not say how far the copy is")),
        }
    }
}

/// Replaces all attributes of the state that was looked at; digest and write id stay.
pub(crate) async fn set_metadata(
    client: &Client,
    key: &StorageKey,
    attributes: &ObjectAttributes,
    options: &SetMetadataOptions,
) -> Result<ObjectMetadata> {
    encoding::check_fields(attributes)?;
    let name = client.full(key);
    let wanted = match &options.precondition {
        Precondition::IfMatch(etag) => Some(State::of(etag)),
        _ => None,
    };
    for _ in 0..LOOKS_MAX {
        let present = match look(client, &name).await {
            Err(error) if wanted.is_some() && error.kind() == ErrorKind::NotFound => {
                return Err(other_state().with_source(error));
            }
            looked => looked?,
        };
        let state = present.state()?;
        if wanted.is_some_and(|wanted| wanted != Some(state)) {
            return Err(other_state());
        }
        let said = Value::Object(replacing(&present, attributes));
        let query = Query::default()
            .with("ifGenerationMatch", state.generation)
            .with("ifMetagenerationMatch", state.metageneration);
        let request = client
            .json_request(Method::PATCH, &client.object_url(&name), &query, &said)
            .await?;
        match send_json::<Resource>(request, Asked::Write).await {
            // Changed since.
            Err(error) if matches!(error.status(), Some(404 | 412)) => {}
            Err(error) => return Err(error),
            Ok(changed) => return changed.to_metadata(key, client.settings().versions),
        }
    }
    Err(changed_again())
}

/// Returns what turns an object's attributes into these: what is not said stays, so what is to go is `null`.
fn replacing(present: &Resource, attributes: &ObjectAttributes) -> Map<String, Value> {
    let mut said = to_json(attributes, &present.notes());
    for (name, value) in header_fields(attributes) {
        said.insert(name.to_owned(), json!(value));
    }
    if let Some(Value::Object(custom)) = said.get_mut("metadata") {
        for name in present.custom_names() {
            custom.entry(name.clone()).or_insert(Value::Null);
        }
    }
    said
}

pub(crate) async fn delete(
    client: &Client,
    key: &StorageKey,
    precondition: &Precondition,
) -> Result<DeleteOutcome> {
    let query = Query::default().with_all(conditions(precondition)?);
    delete_object(client, &client.full(key), &query, Asked::write(precondition)).await
}

pub(crate) async fn delete_object(
    client: &Client,
    name: &str,
    query: &Query,
    asked: Asked,
) -> Result<DeleteOutcome> {
    let request = client
        .request(Method::DELETE, &client.object_url(name), query)
        .await?;
    match send_unit(request, asked).await {
        Ok(()) => Ok(DeleteOutcome::Existed),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(DeleteOutcome::Absent),
        Err(error) => Err(error),
    }
}

/// Deletes many keys, several at a time. A key that is given twice is deleted twice.
pub(crate) async fn delete_many(
    client: &Client,
    keys: &[StorageKey],
    options: &DeleteOptions,
) -> Vec<DeletedKey> {
    let deletions = stream::iter(keys.to_vec()).map(|key| async move {
        let outcome = delete(client, &key, &options.precondition).await;
        DeletedKey { key, outcome }
    });
    deletions.buffered(DELETIONS_AT_ONCE).collect().await
}

/// Removes objects by name, several at a time, and tells the first failure when all were tried.
pub(crate) async fn remove_all(client: &Client, names: Vec<String>) -> Result<()> {
    let removals = stream::iter(names)
        .map(|name| async move { delete_object(client, &name, &Query::default(), Asked::Read).await });
    let outcomes: Vec<_> = removals.buffer_unordered(DELETIONS_AT_ONCE).collect().await;
    let failed: Option<Error> = outcomes.into_iter().find_map(Result::err);
    failed.map_or(Ok(()), Err)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_said_again_goes() {
        let present =
            r#"{"contentType":"image/png","metadata":{"old":"1","kept":"2","boards.digest":"nonsense"}}"#;
        let present: Resource = serde_json::from_str(present).expect("JSON");
        let attributes = ObjectAttributes::default()
            .with_cache_control("no-cache")
            .with_user_metadata("kept", "3");
        let expected = json!({
            "contentType": "binary/octet-stream",
            "contentDisposition": null,
            "contentEncoding": null,
            "contentLanguage": null,
            "cacheControl": "no-cache",
            "metadata": { "old": null, "kept": "3", "boards.digest": null },
        });
        assert_eq!(Value::Object(replacing(&present, &attributes)), expected);
    }
}

//! What goes wrong between the program and the store: the right kind, what to do, and no secret.

use boards_storage_core::{CallOptions, ErrorKind, Result, StorageProvider as _, UploadOptions};
use serde_json::json;

use crate::world::{World, key, refused, tests};

tests! { "errors":
    wrong_keys_are_denied_and_not_shown
    a_missing_bucket_is_a_wrong_setting
    a_probe_changes_nothing
    a_long_content_under_a_precondition_goes_in_one_request_or_not_at_all
}

async fn wrong_keys_are_denied_and_not_shown(world: World) -> Result<()> {
    let wrong_secret = world
        .with(json!({ "secret_access_key": "hunter2-hunter2" }))
        .await?;
    let wrong_id = world
        .with(json!({ "access_key_id": "nobody", "secret_access_key": "hunter2-hunter2" }))
        .await?;
    for provider in [wrong_secret, wrong_id] {
        let errors = [
            refused(
                provider
                    .upload(&key("a"), "x".into(), &UploadOptions::default())
                    .await,
                ErrorKind::AccessDenied,
            ),
            refused(
                provider.exists(&key("a"), &CallOptions::default()).await,
                ErrorKind::AccessDenied,
            ),
            refused(
                provider.probe(&CallOptions::default()).await,
                ErrorKind::AccessDenied,
            ),
        ];
        for error in errors {
            let shown = format!("{error} {error:?} {provider:?}");
            assert!(!shown.contains("hunter2") && error.help().is_some(), "{shown}");
            assert!(
                error.request_id().is_some() && error.status() == Some(403),
                "{shown}"
            );
        }
    }
    Ok(())
}

async fn a_missing_bucket_is_a_wrong_setting(world: World) -> Result<()> {
    let provider = world.with(json!({ "bucket": "no-such-bucket" })).await?;
    let kind = ErrorKind::Configuration;
    refused(
        provider
            .upload(&key("a"), "x".into(), &UploadOptions::default())
            .await,
        kind,
    );
    refused(provider.exists(&key("a"), &CallOptions::default()).await, kind);
    refused(provider.metadata(&key("a"), &CallOptions::default()).await, kind);
    refused(provider.download(&key("a"), &Default::default()).await, kind);
    refused(provider.probe(&CallOptions::default()).await, kind);
    Ok(())
}

async fn a_probe_changes_nothing(world: World) -> Result<()> {
    world.provider.probe(&CallOptions::default()).await?;
    assert!(world.raw_names().await?.is_empty());
    Ok(())
}

async fn a_long_content_under_a_precondition_goes_in_one_request_or_not_at_all(world: World) -> Result<()> {
    use boards_storage_core::{Content, Precondition};
    let provider = world.in_parts().await?;
    let bytes = crate::world::pattern(11 << 20);
    let options = UploadOptions::default().with_precondition(Precondition::IfAbsent);
    let stream = || {
        let pieces: Vec<_> = bytes
            .chunks(100_000)
            .map(|piece| Ok(bytes.slice_ref(piece)))
            .collect();
        futures_util::stream::iter(pieces)
    };
    let unknown = Content::from_stream(None, stream());
    refused(
        provider.upload(&key("a"), unknown, &options).await,
        ErrorKind::Unsupported,
    );
    refused(world.head("a").await, ErrorKind::NotFound);
    for (is_first, content) in [
        (true, Content::from_stream(Some(11 << 20), stream())),
        (false, bytes.clone().into()),
    ] {
        let outcome = provider.upload(&key("a"), content, &options).await;
        if is_first {
            outcome?;
        } else {
            refused(outcome, ErrorKind::AlreadyExists);
        }
        assert_eq!(world.read("a").await?, bytes);
    }
    let lying = Content::from_stream(Some((11 << 20) - 1), stream());
    refused(
        provider.upload(&key("b"), lying, &options).await,
        ErrorKind::InvalidInput,
    );
    refused(world.head("b").await, ErrorKind::NotFound);
    assert_eq!(world.open_uploads().await?, 0);
    Ok(())
}

//! What errors say of where they happened.

use std::sync::Arc;

use boards_storage_core::{
    DeleteOptions, DeletedKey, DownloadOptions, Error, ErrorKind, Layer, ListOptions, OperationKind, Outcome,
    StorageProvider,
};
use boards_storage_layers::ContextLayer;
use boards_storage_testkit::Step;

use crate::support::{Bench, Prepared, call, key, sample, unavailable};

fn layers() -> Vec<Arc<dyn Layer>> {
    vec![Arc::new(ContextLayer::new())]
}

fn bare() -> Error {
    Error::new(ErrorKind::Storage, "it broke")
}

#[track_caller]
fn check(error: &Error, kind: OperationKind, name: Option<&str>) {
    assert_eq!(
        (error.operation(), error.provider()),
        (Some(kind), Some("main")),
        "{error}"
    );
    assert_eq!(error.key().map(|key| key.as_str()), name, "{kind}");
}

#[tokio::test(start_paused = true)]
async fn every_error_names_operation_key_and_provider() {
    for kind in OperationKind::ALL {
        let bench = Bench::new(layers());
        let prepared = Prepared::new(&bench).await;
        bench.script.push(kind, Step::FailBefore(bare()));
        let error = call(kind, &bench.stack, &prepared).await.expect_err("it broke");
        let name = match kind {
            OperationKind::Upload => Some("new"),
            OperationKind::Copy => Some("copy"),
            OperationKind::UploadPart
            | OperationKind::ListParts
            | OperationKind::CompleteUpload
            | OperationKind::AbortUpload
            | OperationKind::PresignedPartUrl => Some("parts"),
            OperationKind::DeleteMany | OperationKind::List | OperationKind::Probe => None,
            _ => Some("a"),
        };
        check(&error, kind, name);
    }
}

#[tokio::test(start_paused = true)]
async fn errors_inside_returned_streams_name_it_too() {
    let bench = Bench::new(layers());
    bench.put("a", sample(100)).await;
    bench
        .script
        .push(OperationKind::Download, Step::BreakStream(5, bare()));
    let download = bench
        .download("a", DownloadOptions::default())
        .await
        .expect("open");
    check(
        &download.bytes(100).await.expect_err("it broke"),
        OperationKind::Download,
        Some("a"),
    );
    bench
        .script
        .push(OperationKind::List, Step::BreakStream(0, bare()));
    check(
        &bench.names(ListOptions::default()).await.expect_err("it broke"),
        OperationKind::List,
        None,
    );
}

#[tokio::test(start_paused = true)]
async fn each_key_of_many_has_its_own_error() {
    let bench = Bench::new(layers());
    let answer = ["a", "b"].map(|name| DeletedKey {
        key: key(name),
        outcome: Err(unavailable()),
    });
    bench.script.push(
        OperationKind::DeleteMany,
        Step::Answer(Outcome::DeleteMany(answer.into())),
    );
    let deleted = bench
        .stack
        .delete_many(&["a", "b"].map(key), &DeleteOptions::default())
        .await
        .expect("answered");
    for (deleted, name) in deleted.iter().zip(["a", "b"]) {
        check(
            deleted.outcome.as_ref().expect_err("it failed"),
            OperationKind::DeleteMany,
            Some(name),
        );
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_named_already_stays() {
    let bench = Bench::new(layers());
    let error = bare()
        .with_provider("replica")
        .with_key(&key("source"))
        .with_operation(OperationKind::Metadata);
    bench.script.push(OperationKind::Copy, Step::FailBefore(error));
    let prepared = Prepared::new(&bench).await;
    let error = call(OperationKind::Copy, &bench.stack, &prepared)
        .await
        .expect_err("it broke");
    assert_eq!(
        (error.operation(), error.provider()),
        (Some(OperationKind::Metadata), Some("replica"))
    );
    assert_eq!(error.key(), Some(&key("source")));
}

#[tokio::test(start_paused = true)]
async fn without_the_layer_an_error_names_nothing() {
    for (layers, is_named) in [(layers(), true), (Vec::new(), false)] {
        let bench = Bench::new(layers);
        let prepared = Prepared::new(&bench).await;
        bench.script.push(OperationKind::Exists, Step::FailBefore(bare()));
        let error = call(OperationKind::Exists, &bench.stack, &prepared)
            .await
            .expect_err("it broke");
        assert_eq!(error.key().is_some(), is_named);
    }
}

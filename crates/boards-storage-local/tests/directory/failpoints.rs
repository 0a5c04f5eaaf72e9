//! Every failpoint is passed by the operation that it is named after.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use boards_storage_core::{Content, DeleteOptions, PartPlace, StorageProvider};
use boards_storage_local::FAILPOINTS;

use crate::support::{Base, key, put};

#[tokio::test]
async fn every_failpoint_is_passed() {
    let passed: Arc<Mutex<BTreeSet<&str>>> = Arc::default();
    for name in FAILPOINTS {
        let passed = Arc::clone(&passed);
        fail::cfg_callback(*name, move || {
            passed.lock().expect("not poisoned").insert(name);
        })
        .expect("set");
    }
    let base = Base::new();
    let provider = base.open().await;
    put(&provider, "a/b", b"1").await;
    put(&provider, "a/b", b"2").await;
    provider
        .delete(&key("a/b"), &DeleteOptions::default())
        .await
        .expect("deleted");
    let upload = provider
        .create_upload(&key("a/b"), &Default::default())
        .await
        .expect("begun");
    let part = provider
        .upload_part(
            &upload,
            PartPlace::new(1, 0),
            Content::from("x"),
            &Default::default(),
        )
        .await;
    provider
        .complete_upload(&upload, &[part.expect("stored")], &Default::default())
        .await
        .expect("completed");
    let passed = passed.lock().expect("not poisoned").clone();
    assert_eq!(passed, FAILPOINTS.iter().copied().collect());
}

//! The official clients against the double, and the provider beside them in the same bucket.
//!
//! `cargo xtask test` installs the clients under `target/services/supabase-clients`.

use std::path::{Path, PathBuf};

use boards_storage_core::{
    CallOptions, Content, DownloadOptions, StorageKey, StorageProvider, UploadOptions,
};
use boards_storage_supabase::{SupabaseProvider, SupabaseSettings};
use boards_storage_testkit::{SupabaseBackend, SupabaseDouble, SupabaseOptions};
use tokio::process::Command;

const BUCKET: &str = "clients";

fn installed(name: &str) -> PathBuf {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR"))
        .parent()
        .expect("the target directory");
    let path = target.join("services/supabase-clients").join(name);
    assert!(
        path.exists(),
        "{} is missing: run `cargo xtask test`, which installs the official clients (it needs node with npm, and \
         python3 with venv: `apt-get install nodejs npm python3-venv`)",
        path.display()
    );
    path
}

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/clients")
        .join(name)
}

async fn runs(program: &Path, script: &Path, last: Option<&Path>) {
    for backend in [SupabaseBackend::S3, SupabaseBackend::File] {
        let double = SupabaseDouble::start(SupabaseOptions::default().with_backend(backend)).await;
        let double = double.expect("a free port");
        let mut command = Command::new(program);
        command
            .arg(script)
            .args([double.url(), double.service_key(), BUCKET.to_owned()]);
        let output = command.args(last).output().await.expect("the program runs");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.success(),
            "{} ({backend:?}):\n{said}",
            script.display()
        );
        sees_what_the_client_stored(&double).await;
    }
}

/// What a client stored, the provider reads; and the other way round there is no difference to the recordings.
async fn sees_what_the_client_stored(double: &SupabaseDouble) {
    let settings = SupabaseSettings::new(double.url(), double.service_key(), BUCKET);
    let provider = SupabaseProvider::open("supabase", settings)
        .await
        .expect("opened");
    let key = |text: &str| StorageKey::parse(text).expect("a key");
    let download = provider
        .download(&key("dir/a b.txt"), &DownloadOptions::default())
        .await
        .expect("there");
    let download = download.into_object().expect("an object");
    assert_eq!(
        download.metadata().attributes.cache_control.as_deref(),
        Some("max-age=60")
    );
    assert_eq!(&download.bytes(100).await.expect("bytes")[..], b"three");
    assert!(
        !provider
            .exists(&key("dir/moved.txt"), &CallOptions::default())
            .await
            .expect("asked")
    );
    let stored = provider
        .upload(
            &key("dir/a b.txt"),
            Content::from("four"),
            &UploadOptions::default(),
        )
        .await;
    assert_eq!(stored.expect("stored").size_bytes, 4);
}

#[tokio::test]
async fn the_javascript_client_works() {
    let modules = installed("npm/node_modules");
    runs(Path::new("node"), &script("storage.mjs"), Some(&modules)).await;
}

#[tokio::test]
async fn the_python_client_works() {
    runs(&installed("venv/bin/python"), &script("storage.py"), None).await;
}

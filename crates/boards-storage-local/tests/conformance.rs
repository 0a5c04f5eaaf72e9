//! The local provider passes the conformance suite, with everything that it must be able to do pinned.

use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use boards_storage_core::{
    BoxFuture, Capability, Error, ErrorKind, OperationKind, PreconditionKind, Result, SharedProvider,
};
use boards_storage_local::{LocalProvider, LocalSettings};
use boards_storage_testkit::conformance::{Fixture, Suite, run_all};

const PINNED: &[Capability] = &[
    Capability::Range,
    Capability::ConditionalDownload,
    Capability::List,
    Capability::ListDelimiter,
    Capability::ListStartAfter,
    Capability::TruthfulDelete,
    Capability::DeleteMany,
    Capability::Copy,
    Capability::CopyAttributes,
    Capability::SetMetadata,
    Capability::Multipart,
    Capability::StreamingUpload,
    Capability::PublicUrl,
    Capability::ContentType,
    Capability::ContentDisposition,
    Capability::ContentEncoding,
    Capability::ContentLanguage,
    Capability::CacheControl,
    Capability::UserMetadata,
    Capability::Digest,
    Capability::WriteId,
];

fn main() {
    run_all([
        suite("local", |path| {
            open_with(LocalSettings::new(path).with_public_url_base("https://cdn.example.com/boards"))
        })
        .requires(&[Capability::Checksum, Capability::VerifiedRead]),
        suite("local-plain", |path| {
            let settings = LocalSettings::new(path).without_fsync().without_checksum();
            open_with(settings.with_public_url_base("http://127.0.0.1:8080"))
        }),
        suite("local-locked", |path| {
            let settings = LocalSettings::new(path)
                .without_fsync()
                .with_public_url_base("http://127.0.0.1:8080");
            let opened = open_with(settings);
            Box::pin(async move { Ok(opened.await?.with_locked_writes()) })
        }),
    ]);
}

type Open = fn(PathBuf) -> BoxFuture<'static, Result<LocalProvider>>;

fn open_with(settings: LocalSettings) -> BoxFuture<'static, Result<LocalProvider>> {
    Box::pin(LocalProvider::open("local", settings))
}

fn suite(name: &'static str, opener: Open) -> Suite {
    use OperationKind::{CompleteUpload, Copy, Delete, SetMetadata, Upload};
    let mut suite = Suite::new(name, move || Box::pin(open(opener))).requires(PINNED);
    for operation in [Upload, Copy, CompleteUpload] {
        suite = suite.requires_precondition(operation, PreconditionKind::IfAbsent);
    }
    for operation in [Upload, Copy, CompleteUpload, Delete, SetMetadata] {
        suite = suite.requires_precondition(operation, PreconditionKind::IfMatch);
    }
    suite
}

async fn open(opener: Open) -> Result<Fixture> {
    let folder = tempfile::tempdir().map_err(failed)?;
    let base = folder.path().join("base");
    let provider = Arc::new(opener(base.clone()).await?);
    let (second, damaged) = (base.clone(), base);
    Ok(Fixture::new(provider)
        .with_second(move || {
            let opened = opener(second.clone());
            Box::pin(async move { Ok(Arc::new(opened.await?) as SharedProvider) })
        })
        .with_damage(move |key| {
            let path = damaged.join(key.as_str());
            Box::pin(async move { flip_a_bit(&path).map_err(failed) })
        })
        .with_guard(folder))
}

/// Changes a byte in the middle of a file, as a rotten disk would: its time stays.
#[expect(clippy::disallowed_methods, reason = "a test may block")]
fn flip_a_bit(path: &Path) -> std::io::Result<()> {
    let mut file = std::fs::File::options().read(true).write(true).open(path)?;
    let metadata = file.metadata()?;
    let mut byte = [0];
    file.seek(SeekFrom::Start(metadata.len() / 2))?;
    file.read_exact(&mut byte)?;
    byte[0] ^= 1;
    file.seek(SeekFrom::Start(metadata.len() / 2))?;
    file.write_all(&byte)?;
    file.set_modified(metadata.modified()?)
}

fn failed(source: std::io::Error) -> Error {
    Error::new(ErrorKind::Storage, "the fixture failed").with_source(source)
}

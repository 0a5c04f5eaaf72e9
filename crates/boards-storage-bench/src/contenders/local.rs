//! The local provider and its peers, each with a folder of its own.
//!
//! OpenDAL always syncs the file on close, which costs nothing on tmpfs; with `--fsync` object_store and
//! boards-storage sync files and folders too.

use std::path::Path;
use std::sync::Arc;

use boards_storage_core::ObjectAttributes;
use boards_storage_local::{LocalProvider, LocalSettings};
use object_store::Attributes;
use object_store::local::LocalFileSystem;

use super::{Arrow, Contender, OpenDal, Ours, Result, typed};

/// The fastest of the sizes 256 KiB to 8 MiB here.
const OPENDAL_READ_BYTES: usize = 1 << 20;

/// Returns all contenders, each with a folder below `path`.
pub(crate) async fn all(path: &Path, fsync: bool) -> Result<Vec<Arc<dyn Contender>>> {
    let settings = |name: &str| {
        let settings = LocalSettings::new(path.join(name));
        if fsync { settings } else { settings.without_fsync() }
    };
    let full = LocalProvider::open("full", settings("full")).await?;
    let plain = LocalProvider::open("plain", settings("plain").without_checksum()).await?;
    for name in ["object_store", "opendal", "opendal-atomic", "opendal-temporary"] {
        tokio::task::block_in_place(|| create(&path.join(name)))?;
    }
    let text = |name: &str| path.join(name).display().to_string();
    let fs = || opendal::services::Fs::default();
    let atomic = fs()
        .root(&text("opendal-atomic"))
        .atomic_write_dir(&text("opendal-temporary"));
    Ok(vec![
        Arc::new(Ours {
            name: "boards-storage",
            keeps: "atomic; etag never repeats; content type and user metadata kept; CRC-64 kept and checked on full \
                    reads",
            provider: Arc::new(full),
            attributes: described()?,
        }),
        Arc::new(Ours {
            name: "boards-storage plain",
            keeps: "checksums off, so no sidecar: atomic; etag never repeats; content type by the name; no checksum",
            provider: Arc::new(plain),
            // What the file's name says already needs no sidecar.
            attributes: typed()?,
        }),
        Arc::new(Arrow {
            store: LocalFileSystem::new_with_prefix(path.join("object_store"))?.with_fsync(fsync),
            keeps: "atomic; refuses metadata; no checksum",
            attributes: Attributes::default(),
            part_bytes: None,
            concurrency: 8,
        }),
        Arc::new(opendal(
            "OpenDAL in place",
            "not atomic; user metadata only, as extended attributes (not used here); no checksum",
            // As it is by default: a reader can see a half-written object.
            fs().root(&text("opendal")),
        )?),
        Arc::new(opendal(
            "OpenDAL atomic",
            "atomic; user metadata only, as extended attributes (not used here); no checksum",
            atomic,
        )?),
    ])
}

fn opendal(name: &'static str, keeps: &'static str, service: opendal::services::Fs) -> Result<OpenDal> {
    Ok(OpenDal {
        name,
        keeps,
        operator: opendal::Operator::new(service)?,
        content_type: None,
        part_bytes: None,
        concurrency: 1,
        read_bytes: Some(OPENDAL_READ_BYTES),
    })
}

#[expect(clippy::disallowed_methods, reason = "the caller says that it blocks")]
fn create(path: &Path) -> std::io::Result<()> {
    std::fs::create_dir(path)
}

fn described() -> Result<ObjectAttributes> {
    Ok(typed()?
        .with_user_metadata("board", "board_123")
        .with_user_metadata("prompt", "a lighthouse at dusk, oil on canvas"))
}

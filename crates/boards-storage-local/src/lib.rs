//! Artifacts in a local directory: atomic, durable, with metadata.
//!
//! # On disk
//!
//! An object's bytes are a plain file at `base_path/<key>`, so any tool can read, serve or map it. Everything else
//! lies under `base_path/.boards-storage/`:
//!
//! ```text
//! format                         the version of this layout
//! meta/<2 hex>/<hash>.<tag>      the sidecar of one generation of one key
//! staging/<id>/                  what one open provider has not committed yet
//! multipart/<upload id>/         uploads in parts
//! locks/                         one file for each shard of keys
//! ```
//!
//! A *generation* is a file's modification time in nanoseconds, which the writer sets and never repeats, and its
//! size. It names the sidecar and is the ETag. A write stages payload and sidecar, makes them durable, takes the
//! lock of the key's shard (threads and processes alike), decides the precondition and **renames the payload into
//! place: the one commit**. A reader opens the payload once and reads the sidecar of the generation that it opened:
//! bytes and metadata always belong together. Objects are never changed in place.
//!
//! A file without a sidecar of its generation was put there by hand: it is an object whose content type follows from
//! its extension. So is a file that was edited in place. Nothing relies on inodes or extended attributes: a tree at
//! rest can be copied with `rsync -a` or `cp -a`, which keep times to the nanosecond. `.boards-storage` must be
//! copied too, and must not be touched while a program uses the tree.
//!
//! # What is no object
//!
//! Symbolic links are never followed below `base_path`: an operation on such a key is refused, a listing leaves them
//! out. So it does with sockets, pipes and devices, and with names that are no valid key (not UTF-8, control
//! characters, backslashes).
//!
//! # Examples
//!
//! ```
//! use boards_storage_core::{Content, DownloadOptions, StorageKey, StorageProvider, UploadOptions};
//! use boards_storage_local::{LocalProvider, LocalSettings};
//!
//! # #[tokio::main]
//! # async fn main() -> boards_storage_core::Result<()> {
//! # let folder = tempfile::tempdir().expect("a temporary folder");
//! # let base_path = folder.path();
//! let provider = LocalProvider::open("local", LocalSettings::new(base_path)).await?;
//! let key = StorageKey::parse("greetings/hello.txt")?;
//! provider.upload(&key, Content::from("hello"), &UploadOptions::default()).await?;
//! assert_eq!(std::fs::read(base_path.join("greetings/hello.txt")).expect("a plain file"), b"hello");
//! # Ok(())
//! # }
//! ```

#[macro_use]
mod failpoints;

mod buffers;
mod copy;
mod delete;
mod error;
mod generation;
mod hop;
mod list;
mod lock;
mod multipart;
mod provider;
mod read;
mod settings;
mod sidecar;
mod staging;
mod store;
mod stream;
mod tree;
mod upload;
mod write;

#[cfg(feature = "failpoints")]
pub use failpoints::FAILPOINTS;
pub use provider::LocalProvider;
pub use settings::LocalSettings;

boards_storage_core::register_provider!(LocalProvider);

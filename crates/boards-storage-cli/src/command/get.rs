//! `get`: fetches an artifact into a file.

use std::path::{Path, PathBuf};

use boards_storage::{
    ArtifactReference, ByteRange, Download, Error, ErrorKind, FileDownloadOptions, OpenOptions,
    StorageManager,
};
use clap::Args;
use futures_util::StreamExt;
use tempfile::{NamedTempFile, TempPath};
use tokio::io::AsyncWriteExt;

use super::get_resume::Partial;
use crate::address::Address;
use crate::arguments::{Selection, byte_range, parsed};
use crate::errors::{Failure, Result, file_error};
use crate::output::{escape, file_name, human_size};
use crate::progress::Bar;
use crate::session::Session;
use crate::settings;

/// From this size on several ranges are fetched at once.
const PARALLEL_BYTES_MIN: u64 = 16 << 20;

/// Fetch an artifact into a file
///
/// The bytes go to a temporary file beside the target, which takes its place only when everything was read and
/// checked against the digest: a get that fails leaves nothing behind.
///
/// With --resume, what was fetched stays beside the target when the command is interrupted, and the same command goes
/// on with it: only the parts that are missing travel.
///
/// Without -o the file is made in the current folder and named as the artifact's key ends, such as original.png. An
/// existing file is kept then, unless --force is given. -o FILE replaces the file.
#[derive(Debug, Args)]
pub(crate) struct Get {
    /// An artifact id, a storage key or a boards-storage:// URL
    #[arg(value_name = "ID|KEY", value_parser = parsed::<Address>)]
    address: Address,

    /// Where to write: a file, or a folder
    #[arg(short, long, value_name = "FILE|FOLDER")]
    output: Option<PathBuf>,

    /// Replace a file that exists
    #[arg(short, long)]
    force: bool,

    /// Only these bytes: FIRST-LAST (both included, from 0), FIRST- or -COUNT
    #[arg(long, value_name = "RANGE", value_parser = byte_range, allow_hyphen_values = true)]
    range: Option<ByteRange>,

    /// Go on with what the same command began, and keep what is needed to go on again
    #[arg(long, conflicts_with = "range")]
    resume: bool,

    #[command(flatten)]
    selection: Selection,
}

/// Where the bytes go.
struct Target {
    path: PathBuf,
    /// The path as the caller wrote it.
    shown: PathBuf,
    may_replace: bool,
}

impl Get {
    pub(super) async fn run(self, session: &mut Session) -> Result<()> {
        if self.output.as_deref() == Some(Path::new("-")) {
            return Err(Failure::usage(
                "-o wants a file or folder",
                "`boards-storage cat` writes to the standard output",
            ));
        }
        let storage = settings::open(session).await?;
        let reference = self.address.find(&storage, &self.selection).await?;
        let target = self.target(&reference).await?;
        if !target.may_replace && exists(&target.path).await {
            return Err(target.refuse().into());
        }
        let bytes = self.fetch(session, &storage, &reference, &target).await?;
        storage.close().await?;
        let path = target.shown.display().to_string();
        if session.output.json {
            let mut value = serde_json::json!(reference);
            value["path"] = path.into();
            value["bytes_written"] = bytes.into();
            return session.output.json(&value);
        }
        session
            .output
            .note(&escape(&format!("wrote {path} ({})", human_size(bytes))))
    }

    /// Fetches into the target; returns how many bytes.
    async fn fetch(
        &self,
        session: &Session,
        storage: &StorageManager,
        reference: &ArtifactReference,
        target: &Target,
    ) -> Result<u64> {
        let shown = target.shown.display().to_string();
        let is_special = is_special(&target.path).await;
        if self.resume {
            if is_special {
                return Err(Failure::usage(
                    "--resume wants a file: what was written to a device or pipe cannot be looked at again",
                    "leave it out, or give a file with -o",
                ));
            }
            let bar = session.progress.begin(&shown, Some(reference.size));
            return target.fetch_resumable(storage, reference, &bar).await;
        }
        if self.range.is_none() && !is_special && reference.size >= PARALLEL_BYTES_MIN {
            let bar = session.progress.begin(&shown, Some(reference.size));
            return target.fetch(storage, reference, &bar).await;
        }
        let mut options = OpenOptions::default();
        options.range = self.range;
        let download = storage.open_artifact(reference, &options).await?;
        let bytes = download.length();
        let bar = session.progress.begin(&shown, Some(bytes));
        let download = if bar.is_shown() {
            download.with_progress(bar.mover())
        } else {
            download
        };
        target.write(download, is_special).await?;
        Ok(bytes)
    }

    async fn target(&self, reference: &ArtifactReference) -> Result<Target> {
        let name = file_name(reference);
        let Some(output) = &self.output else {
            return Ok(Target::new(PathBuf::from(name), self.force));
        };
        let is_folder = match tokio::fs::metadata(output).await {
            Ok(metadata) => metadata.is_dir(),
            Err(_) => output
                .as_os_str()
                .to_string_lossy()
                .ends_with(std::path::MAIN_SEPARATOR),
        };
        if is_folder {
            return Ok(Target::new(output.join(name), self.force));
        }
        // A link is followed, so that it stays one.
        let path = tokio::fs::canonicalize(output)
            .await
            .unwrap_or_else(|_| output.clone());
        Ok(Target {
            path,
            ..Target::new(output.clone(), true)
        })
    }
}

impl Target {
    fn new(path: PathBuf, may_replace: bool) -> Self {
        Self {
            shown: path.clone(),
            path,
            may_replace,
        }
    }

    /// Writes everything or nothing.
    async fn write(&self, download: Download, is_special: bool) -> Result<()> {
        if is_special {
            // A device or pipe cannot be replaced, only written to.
            let opened = tokio::fs::OpenOptions::new().write(true).open(&self.path).await;
            let file = opened.map_err(|source| Failure::file("cannot write to", &self.shown, source))?;
            return self.fill(file, download).await;
        }
        let temporary = self.create_temporary().await?;
        let file = temporary.as_file().try_clone();
        let file = file.map_err(|source| Failure::file("cannot write beside", &self.shown, source))?;
        self.fill(tokio::fs::File::from_std(file), download).await?;
        self.publish(temporary.into_temp_path()).await
    }

    /// Fetches several ranges at once, everything or nothing.
    async fn fetch(&self, storage: &StorageManager, reference: &ArtifactReference, bar: &Bar) -> Result<u64> {
        let temporary = self.create_temporary().await?;
        let file = temporary.as_file().try_clone();
        let file = file.map_err(|source| Failure::file("cannot write beside", &self.shown, source))?;
        let options = FileDownloadOptions::default().with_progress(bar.mover());
        storage.fetch_artifact(reference, file, &options).await?;
        self.publish(temporary.into_temp_path()).await?;
        Ok(reference.size)
    }

    /// Fetches what is missing since an earlier run; what is there stays for a later one.
    async fn fetch_resumable(
        &self,
        storage: &StorageManager,
        reference: &ArtifactReference,
        bar: &Bar,
    ) -> Result<u64> {
        let partial = Partial::open(&self.path, reference.version_id).await?;
        let options = partial.options().await?.with_progress(bar.mover());
        let file = partial.file()?;
        storage.fetch_artifact(reference, file, &options).await?;
        self.publish(partial.finish()?).await?;
        partial.forget().await?;
        Ok(reference.size)
    }

    async fn fill(&self, mut file: tokio::fs::File, download: Download) -> Result<()> {
        let failed = |source| Failure::file("cannot write to", &self.shown, source);
        let mut stream = download.into_stream();
        while let Some(piece) = stream.next().await {
            file.write_all(&piece?).await.map_err(failed)?;
        }
        file.flush().await.map_err(failed)
    }

    async fn create_temporary(&self) -> Result<NamedTempFile> {
        let folder = match self.path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder.to_owned(),
            Some(_) | None => PathBuf::from("."),
        };
        let created = blocking({
            let folder = folder.clone();
            move || {
                let mut builder = tempfile::Builder::new();
                builder.prefix(".boards-storage-").suffix(".part");
                #[cfg(unix)]
                builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
                builder.tempfile_in(folder)
            }
        });
        created.await.map_err(|source| {
            file_error("cannot write into the folder", &folder, source)
                .with_help("give another file with -o")
                .into()
        })
    }

    /// Gives the finished file its name.
    async fn publish(&self, temporary: TempPath) -> Result<()> {
        let (path, may_replace) = (self.path.clone(), self.may_replace);
        let published = blocking(move || {
            let persisted = if may_replace {
                temporary.persist(path)
            } else {
                temporary.persist_noclobber(path)
            };
            persisted.map_err(|error| error.error)
        });
        published.await.map_err(|source| match source.kind() {
            std::io::ErrorKind::AlreadyExists => self.refuse().into(),
            _ => Failure::file("cannot write", &self.shown, source),
        })
    }

    fn refuse(&self) -> Error {
        Error::new(
            ErrorKind::AlreadyExists,
            format!("the file '{}' exists", self.shown.display()),
        )
        .with_help("give --force to replace it, or another file with -o")
    }
}

async fn exists(path: &Path) -> bool {
    tokio::fs::symlink_metadata(path).await.is_ok()
}

/// Returns whether there is something at the path that is neither a file nor a folder.
async fn is_special(path: &Path) -> bool {
    tokio::fs::metadata(path)
        .await
        .is_ok_and(|metadata| !metadata.is_file() && !metadata.is_dir())
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> std::io::Result<T> + Send + 'static,
) -> std::io::Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(std::io::Error::other)?
}

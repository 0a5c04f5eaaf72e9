//! `put`: stores files, or the standard input.

use std::path::{Path, PathBuf};

use boards_storage::{
    AccessClass, ArtifactId, ArtifactReference, ArtifactType, BoardId, Content, ContentType, Digest,
    ErrorKind, Extension, NewArtifact, StorageManager, TenantId, VariantFile,
};
use clap::Args;
use futures_util::StreamExt;

use super::put_resume::Resumption;
use crate::arguments::{jobs, name_and_value, parsed};
use crate::errors::{Failure, Result};
use crate::output::{Output, escape, human_size};
use crate::progress::Progress;
use crate::session::Session;
use crate::settings;
use crate::sources::{Source, walk};

/// Store files, each as an artifact of its own
///
/// A folder stands for all files in it, all the way down. What fails is told, and the rest is stored all the same.
///
/// Storing the same bytes again changes nothing and answers the same artifact. Other bytes for a variant that exists
/// are refused, unless --overwrite makes them its new version.
///
/// Content is checked on its way: its type, its extension and its bytes must agree, text must be text, images must not be
/// too large, and pickles are refused. What is refused is not stored; see storage.validation in the settings.
///
/// With --resume, an upload that was interrupted goes on when the same command is given again: only what the store
/// does not have yet travels, and files that were stored before are not stored twice. The state is kept in the user's
/// folder for program states until the command succeeds. The store keeps the parts meanwhile; the artifact stays
/// reserved for a day.
///
/// With --quiet only the artifact ids are printed. With --json one file prints an artifact; several files, or a folder,
/// print an array in which 'file' says which one it was.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  boards-storage put photo.png --type image --meta prompt='a lighthouse'
  boards-storage put small.webp --type image --artifact ID --variant thumbnail
  boards-storage put --resume checkpoint.safetensors --type model
  boards-storage put --resume --jobs 8 renders/ --type image
  ffmpeg … | boards-storage put - --type video --content-type video/mp4")]
pub(crate) struct Put {
    /// The files or folders; '-' is the standard input
    #[arg(required = true, value_name = "FILE|FOLDER")]
    files: Vec<PathBuf>,

    /// What it is: image, video, audio, text, model, dataset, intermediate or a type of your own
    #[arg(short = 't', long = "type", value_name = "TYPE", value_parser = parsed::<ArtifactType>)]
    artifact_type: ArtifactType,

    /// Whose it is [default: default]
    #[arg(long, value_name = "TENANT", value_parser = parsed::<TenantId>)]
    tenant: Option<TenantId>,

    /// The board that it belongs to
    #[arg(long, value_name = "BOARD", value_parser = parsed::<BoardId>)]
    board: Option<BoardId>,

    /// The artifact's id; without it a new one is made
    #[arg(long, value_name = "ID", value_parser = parsed::<ArtifactId>)]
    artifact: Option<ArtifactId>,

    /// Which variant, perhaps with an extension: thumbnail, weights.safetensors [default: original]
    #[arg(long, value_name = "NAME", value_parser = parsed::<VariantFile>)]
    variant: Option<VariantFile>,

    /// The content type; by default it follows from the file's extension, else from the variant's
    #[arg(long, value_name = "TYPE/SUBTYPE", value_parser = parsed::<ContentType>)]
    content_type: Option<ContentType>,

    /// A field of your own; may be given several times
    #[arg(long, value_name = "NAME=VALUE", value_parser = name_and_value)]
    meta: Vec<(String, String)>,

    /// How it may be reached: public, private, temporary or authenticated
    #[arg(long, value_name = "CLASS", default_value = "private", value_parser = parsed::<AccessClass>)]
    access: AccessClass,

    /// Store a new version if the variant exists
    #[arg(long)]
    overwrite: bool,

    /// The digest that the bytes must have, such as blake3:… or sha256:…
    #[arg(long, value_name = "DIGEST", value_parser = parsed::<Digest>)]
    digest: Option<Digest>,

    /// The exact number of bytes that the standard input will give
    #[arg(long, value_name = "BYTES")]
    length: Option<u64>,

    /// Go on with what the same command began, and keep what is needed to go on again
    #[arg(long)]
    resume: bool,

    /// How many files are stored at a time: 1 to 256
    #[arg(short, long, value_name = "COUNT", default_value_t = 4, value_parser = jobs)]
    jobs: usize,
}

impl Put {
    pub(super) async fn run(self, session: &mut Session) -> Result<()> {
        let is_one = self.is_one().await;
        self.check(is_one)?;
        let storage = settings::open(session).await?;
        let resumption = self.resumption(session, is_one).await?;
        let mut stored = Vec::new();
        let mut first_failure = None;
        let mut is_empty = true;
        {
            let progress = session.progress.clone();
            let (this, storage, progress, resumption) = (&self, &storage, &progress, resumption.as_ref());
            let puts = walk(self.files.clone()).map(|source| async move {
                match source {
                    Source::File(file) => {
                        let result = Box::pin(this.put(storage, &file, progress, resumption)).await;
                        Done::Put(file, result.map(Box::new))
                    }
                    Source::LeftOut(path, why) => Done::LeftOut(path, why),
                    Source::Failed(path, failure) => Done::Put(path, Err(failure)),
                }
            });
            let mut puts = std::pin::pin!(puts.buffered(self.jobs));
            while let Some(done) = puts.next().await {
                is_empty = false;
                match done {
                    Done::Put(file, Ok(reference)) => {
                        let output = &mut session.output;
                        session.progress.aside(|| self.show(output, &file, &reference))?;
                        if session.output.json {
                            stored.push(entry(&file, &reference, is_one));
                        }
                    }
                    Done::Put(_, Err(failure)) if is_one => return Err(failure),
                    Done::Put(file, Err(failure)) => {
                        session.tell(&file.display().to_string(), &failure)?;
                        first_failure = first_failure.or(Some(failure.exit_code()));
                    }
                    Done::LeftOut(path, why) => session.warn(&path.display().to_string(), why)?,
                }
            }
        }
        if is_empty {
            let names: Vec<_> = self.files.iter().map(|file| file.display().to_string()).collect();
            session.warn(&names.join(", "), "there are no files in it")?;
        }
        if session.output.json {
            match stored.as_slice() {
                [only] if is_one => session.output.json(only)?,
                all => session.output.json(&all)?,
            }
        }
        if let (Some(resumption), None) = (resumption, first_failure) {
            resumption.finish().await?;
        }
        storage.close().await?;
        first_failure.map_or(Ok(()), |code| Err(Failure::Told(code)))
    }

    /// Says whether one file is named, and no folder.
    async fn is_one(&self) -> bool {
        match self.files.as_slice() {
            [only] => !tokio::fs::metadata(only)
                .await
                .is_ok_and(|metadata| metadata.is_dir()),
            _ => false,
        }
    }

    async fn resumption(&self, session: &Session, is_one: bool) -> Result<Option<Resumption>> {
        if !self.resume {
            return Ok(None);
        }
        let facts = serde_json::json!({
            "settings": settings::identity(&session.global).await?,
            "type": self.artifact_type,
            "tenant": self.tenant,
            "board": self.board,
            "artifact": self.artifact,
            "variant": self.variant.as_ref().map(|file| (&file.name, file.extension.as_ref().map(Extension::as_str))),
            "access": self.access,
            "content_type": self.content_type,
            "meta": self.meta,
        });
        Ok(Some(
            Resumption::open(settings::uploads_folder()?, facts, is_one).await,
        ))
    }

    /// Refuses options that fit only one file, or only the standard input.
    fn check(&self, is_one: bool) -> Result<()> {
        let from_stdin = self.files.iter().any(|file| is_standard_input(file));
        if !is_one {
            let for_one = [
                ("--artifact", self.artifact.is_some()),
                ("--digest", self.digest.is_some()),
                ("'-', the standard input,", from_stdin),
            ];
            if let Some((name, _)) = for_one.iter().find(|(_, is_given)| *is_given) {
                return Err(Failure::usage(
                    format!("{name} cannot go with several files: each becomes an artifact of its own"),
                    "store them one by one",
                ));
            }
        }
        if self.resume && from_stdin {
            return Err(Failure::usage(
                "--resume cannot go with '-': the standard input cannot be read again",
                "store it from a file",
            ));
        }
        if self.length.is_some() && !from_stdin {
            return Err(Failure::usage(
                "--length is for the standard input; a file has its length",
                "leave it out",
            ));
        }
        Ok(())
    }

    async fn put(
        &self,
        storage: &StorageManager,
        file: &Path,
        progress: &Progress,
        resumption: Option<&Resumption>,
    ) -> Result<ArtifactReference> {
        let content = self.content(file).await?;
        let name = if is_standard_input(file) {
            "standard input".into()
        } else {
            file_name(file)
        };
        let bar = progress.begin(&name, content.length());
        let content = if bar.is_shown() {
            content.with_progress(bar.mover())
        } else {
            content
        };
        let new = self.describe(file);
        let stored = match resumption {
            Some(resumption) => resumption.store(storage, file, new, content).await,
            None => storage.store_artifact(new, content).await,
        };
        stored.map_err(|error| match error.kind() {
            ErrorKind::AlreadyExists if !self.overwrite && error.retry() == boards_storage::Retry::No => {
                error
                    .with_help("give --overwrite for a new version, or another --artifact or --variant")
                    .into()
            }
            _ => error.into(),
        })
    }

    async fn content(&self, file: &Path) -> Result<Content> {
        if is_standard_input(file) {
            let content = Content::from_async_read(tokio::io::stdin());
            return Ok(match self.length {
                Some(length) => content.with_length(length),
                None => content,
            });
        }
        Ok(Content::from_path(file)
            .await
            .map_err(|error| match error.kind() {
                ErrorKind::InvalidInput => error.with_help(
                    "give files; what a pipe or device holds can be stored with `… | boards-storage put -`",
                ),
                _ => error,
            })?)
    }

    fn describe(&self, file: &Path) -> NewArtifact {
        let mut new = NewArtifact::new(self.artifact_type.clone()).with_access(self.access);
        new.artifact.clone_from(&self.artifact);
        new.board.clone_from(&self.board);
        new.tenant = self.tenant.clone().unwrap_or_default();
        new.file = self.variant.clone().unwrap_or_default();
        new.overwrite = self.overwrite;
        new.digest = self.digest;
        let guessed = || ContentType::from_file_name(&file_name(file));
        new.attributes.content_type = self.content_type.clone().or_else(guessed);
        if !is_standard_input(file) {
            new.file_name = Some(file_name(file));
        }
        if new.attributes.content_type.is_none() && new.file.extension.is_none() {
            new.file.extension = extension(file);
        }
        for (name, value) in &self.meta {
            new = new.with_user_metadata(name, value);
        }
        new
    }

    fn show(&self, output: &mut Output, file: &Path, reference: &ArtifactReference) -> Result<()> {
        if output.json {
            return Ok(());
        }
        if output.quiet {
            return output.line(reference.artifact_id.as_str());
        }
        let what = if is_standard_input(file) {
            "the standard input".to_owned()
        } else {
            file.display().to_string()
        };
        output.line(&escape(&format!(
            "stored {what} as {} ({}, {}, version {})",
            reference.artifact_id,
            reference.storage_key,
            human_size(reference.size),
            reference.version
        )))
    }
}

/// What became of one source.
enum Done {
    Put(PathBuf, Result<Box<ArtifactReference>>),
    LeftOut(PathBuf, &'static str),
}

/// An artifact as --json prints it.
fn entry(file: &Path, reference: &ArtifactReference, is_one: bool) -> serde_json::Value {
    let mut entry = serde_json::json!(reference);
    if !is_one {
        entry["file"] = file.display().to_string().into();
    }
    entry
}

fn is_standard_input(file: &Path) -> bool {
    file.as_os_str() == "-"
}

fn file_name(file: &Path) -> String {
    file.file_name()
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_default()
}

/// Returns the file's own extension, for content of a type that nobody knows.
fn extension(file: &Path) -> Option<Extension> {
    file.extension()
        .and_then(|extension| Extension::parse(extension.to_str()?).ok())
}

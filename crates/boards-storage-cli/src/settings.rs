//! Where the settings come from: a file that is looked for in four places, and the environment.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use boards_storage::{
    AuditEventId, CallContext, Error, LoadedSettings, Principal, Settings, SettingsSources, Storage,
    StorageManager, StorageSettings,
};
use serde_json::json;

use crate::arguments::Global;
use crate::errors::{Failure, Result, file_error};
use crate::session::Session;

/// The variable that names the settings file.
const VARIABLE: &str = "BOARDS_STORAGE_CONFIG";

/// The name of the settings file where it is looked for.
const FILE_NAME: &str = "storage.yaml";

/// Where everything is kept without settings.
const DATA_PATH: &str = "./boards-storage-data";

/// Settings files are small; one that is larger is something else.
const SIZE_BYTES_MAX: u64 = 4 << 20;

/// The place that the settings were found in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// The file that `--config` names.
    Option(PathBuf),
    /// The file that the variable names.
    Variable(PathBuf),
    /// `./storage.yaml`.
    CurrentFolder(PathBuf),
    /// The user's configuration folder.
    UserFolder(PathBuf),
    /// There is no file.
    BuiltIn,
}

impl Place {
    /// Returns the file, if it is one.
    pub(crate) fn file(&self) -> Option<&Path> {
        match self {
            Self::Option(path)
            | Self::Variable(path)
            | Self::CurrentFolder(path)
            | Self::UserFolder(path) => Some(path),
            Self::BuiltIn => None,
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Option(path) => write!(f, "{} (named by --config)", path.display()),
            Self::Variable(path) => write!(f, "{} (named by {VARIABLE})", path.display()),
            Self::CurrentFolder(path) => write!(f, "{} (in the current folder)", path.display()),
            Self::UserFolder(path) => write!(f, "{} (in the user's configuration folder)", path.display()),
            Self::BuiltIn => write!(
                f,
                "built in: there is no settings file, everything is kept in {DATA_PATH}"
            ),
        }
    }
}

/// The text of the settings, and where it was found.
pub(crate) struct Found {
    /// The place.
    pub(crate) place: Place,
    sources: SettingsSources,
}

impl Found {
    /// Loads and checks the settings.
    pub(crate) fn load(&self) -> Result<LoadedSettings> {
        Ok(Settings::load(&self.sources, &Storage::registry()?)?)
    }
}

/// Looks for the settings.
pub(crate) async fn find(global: &Global) -> Result<Found> {
    let (place, text) = read(global.config.as_deref()).await?;
    let mut sources = SettingsSources::new().with_environment(environment());
    sources = match (place.file(), text) {
        (Some(path), Some(text)) => sources.with_file(path.display().to_string(), text),
        _ => sources.with_defaults(built_in()),
    };
    Ok(Found { place, sources })
}

/// Opens the storage that the settings describe, for whoever runs the program.
pub(crate) async fn open(session: &Session) -> Result<StorageManager> {
    let loaded = find(&session.global).await?.load()?;
    Ok(open_settings(loaded.settings.storage, session).await?)
}

/// Opens the storage of these settings, for whoever runs the program.
pub(crate) async fn open_settings(
    settings: StorageSettings,
    session: &Session,
) -> Result<StorageManager, Error> {
    let manager = Storage::builder().settings(settings).open().await?;
    Ok(for_whoever_runs(&manager, session))
}

/// Says in every call who runs the program, and has the audit log closed at its end.
pub(crate) fn for_whoever_runs(manager: &StorageManager, session: &Session) -> StorageManager {
    if let Some(trail) = manager.audit() {
        session.keep_trail(trail.clone());
    }
    let context = CallContext::default()
        .with_principal(Principal::new(user()))
        .with_user_agent(concat!("boards-storage/", env!("CARGO_PKG_VERSION")))
        .with_request_id(AuditEventId::fresh().to_string());
    manager.with_context(context)
}

/// Names whoever runs the program: by the environment, else by the number of the user.
fn user() -> String {
    let named = ["USER", "LOGNAME", "USERNAME"].into_iter().find_map(variable);
    if let Some(name) = named.and_then(|name| name.into_os_string().into_string().ok()) {
        return name;
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        #[expect(
            clippy::disallowed_methods,
            reason = "it is no file of a disk, and answers at once"
        )]
        let owner = std::fs::metadata("/proc/self").map(|metadata| metadata.uid());
        if let Ok(number) = owner {
            return format!("uid-{number}");
        }
    }
    "unknown".to_owned()
}

/// Names the settings in effect, so that what was begun with one storage is not gone on with at another.
pub(crate) async fn identity(global: &Global) -> Result<String> {
    let (place, _) = read(global.config.as_deref()).await?;
    let path = place.file().unwrap_or(Path::new("."));
    let path = tokio::fs::canonicalize(path)
        .await
        .map_err(|source| file_error("cannot look at", path, source))?;
    Ok(path.display().to_string())
}

/// Returns the folder for states of uploads: below `XDG_STATE_HOME`, `LOCALAPPDATA` on Windows, else `~/.local/state`.
pub(crate) fn uploads_folder() -> Result<PathBuf> {
    let own = if cfg!(windows) {
        variable("LOCALAPPDATA")
    } else {
        None
    };
    let folder = variable("XDG_STATE_HOME")
        .filter(|path| path.is_absolute())
        .or(own)
        .or_else(|| variable("HOME").map(|home| home.join(".local/state")));
    let folder = folder.ok_or_else(|| {
        Failure::usage(
            "--resume needs a folder of the user's to keep the upload's state in, and none is known",
            "set HOME, or XDG_STATE_HOME to an absolute path",
        )
    })?;
    Ok(folder.join("boards-storage").join("uploads"))
}

/// What holds where there is no file.
fn built_in() -> serde_json::Value {
    json!({
        "storage": {
            "default_provider": "local",
            "providers": { "local": { "type": "local", "config": { "base_path": format!("{DATA_PATH}/objects") } } },
            "data_path": DATA_PATH,
            "audit": { "type": "jsonl" },
        }
    })
}

async fn read(option: Option<&Path>) -> Result<(Place, Option<String>)> {
    if let Some(path) = option {
        let text = read_named(path, "--config").await?;
        return Ok((Place::Option(path.to_owned()), Some(text)));
    }
    if let Some(path) = variable(VARIABLE) {
        let text = read_named(&path, VARIABLE).await?;
        return Ok((Place::Variable(path), Some(text)));
    }
    let mut candidates = vec![Place::CurrentFolder(PathBuf::from(FILE_NAME))];
    candidates
        .extend(user_folder().map(|folder| Place::UserFolder(folder.join("boards-storage").join(FILE_NAME))));
    for place in candidates {
        let Some(path) = place.file() else { continue };
        match read_text(path).await {
            Ok(text) => return Ok((place, Some(text))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(unreadable(path, error).into()),
        }
    }
    Ok((Place::BuiltIn, None))
}

/// Reads a file that somebody named, so that it must be there.
async fn read_named(path: &Path, named_by: &str) -> Result<String> {
    read_text(path).await.map_err(|source| {
        unreadable(path, source)
            .with_help(format!(
                "correct {named_by}, or leave it out for the built-in settings"
            ))
            .into()
    })
}

/// Settings that cannot be read are wrong settings, whatever the reason.
fn unreadable(path: &Path, source: io::Error) -> Error {
    Error::configuration(format!("cannot read the settings file '{}'", path.display())).with_source(source)
}

async fn read_text(path: &Path) -> io::Result<String> {
    if tokio::fs::metadata(path).await?.len() > SIZE_BYTES_MAX {
        return Err(io::Error::other(format!(
            "it is larger than the {SIZE_BYTES_MAX} bytes that settings may have"
        )));
    }
    tokio::fs::read_to_string(path).await
}

/// Returns the environment; what is not Unicode can neither name a setting nor be one.
fn environment() -> Vec<(String, String)> {
    #[expect(
        clippy::disallowed_methods,
        reason = "the program is the room that reads the environment"
    )]
    let variables = std::env::vars_os();
    variables
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect()
}

/// Returns a variable that is set and not empty.
fn variable(name: &str) -> Option<PathBuf> {
    #[expect(
        clippy::disallowed_methods,
        reason = "the program is the room that reads the environment"
    )]
    let value = std::env::var_os(name);
    value.filter(|value| !value.is_empty()).map(PathBuf::from)
}

/// Returns the user's configuration folder: `XDG_CONFIG_HOME`, `APPDATA` on Windows, else `~/.config`.
fn user_folder() -> Option<PathBuf> {
    let own = if cfg!(windows) { variable("APPDATA") } else { None };
    // The specification says that a relative path here is invalid and to be ignored.
    variable("XDG_CONFIG_HOME")
        .filter(|path| path.is_absolute())
        .or(own)
        .or_else(|| variable("HOME").map(|home| home.join(".config")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(feature = "local")]
    #[test]
    fn the_built_in_settings_are_valid() {
        let registry = Storage::registry().expect("a registry");
        let loaded =
            Settings::load(&SettingsSources::new().with_defaults(built_in()), &registry).expect("valid");
        assert_eq!(
            loaded.settings.storage.catalog_path(),
            Some(PathBuf::from("./boards-storage-data/catalog.db"))
        );
        assert!(registry.find("local").is_ok());
    }

    #[test]
    fn a_named_file_must_be_there() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .expect("a runtime");
        let failure = runtime
            .block_on(read(Some(Path::new("/nowhere/storage.yaml"))))
            .expect_err("not there");
        assert_eq!(failure.exit_code(), 7);
    }
}

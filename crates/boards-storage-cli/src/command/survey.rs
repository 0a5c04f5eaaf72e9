//! Opening a storage that may not be well: what can be opened is, and the rest is told. For commands that look.

use boards_storage::{Error, MemoryCatalog, Storage, StorageManager, StorageSettings};

use crate::errors::Result;
use crate::session::Session;
use crate::settings::for_whoever_runs;

/// A storage as far as it opens.
pub(super) struct Survey {
    /// The providers that opened, and the catalog; if that did not, an empty one in its place.
    pub(super) storage: StorageManager,
    /// Why the catalog did not open.
    pub(super) catalog_error: Option<Error>,
    /// The providers that did not open, each with its error.
    pub(super) unopened: Vec<(String, Error)>,
}

impl Survey {
    pub(super) async fn open(settings: StorageSettings, session: &Session) -> Result<Self> {
        let builder = || Storage::builder().settings(settings.clone());
        match builder().open_available().await {
            Ok((storage, unopened)) => Ok(Self {
                storage: for_whoever_runs(&storage, session),
                catalog_error: None,
                unopened,
            }),
            Err(error) => {
                let stand_in = std::sync::Arc::new(MemoryCatalog::default());
                let (storage, unopened) = builder().catalog(stand_in).open_available().await?;
                Ok(Self {
                    storage: for_whoever_runs(&storage, session),
                    catalog_error: Some(error),
                    unopened,
                })
            }
        }
    }

    /// Takes out why a provider did not open.
    pub(super) fn take_unopened(&mut self, provider: &str) -> Option<Error> {
        let index = self.unopened.iter().position(|(name, _)| name == provider)?;
        Some(self.unopened.swap_remove(index).1)
    }
}

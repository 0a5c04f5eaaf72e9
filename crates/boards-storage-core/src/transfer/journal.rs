//! Where the state of a long transfer is kept, so that it can go on after a restart.

use std::fmt::Debug;

use async_trait::async_trait;

use crate::error::Result;

/// Keeps the state of one transfer: an [`UploadState`](crate::UploadState), a
/// [`DownloadState`](crate::DownloadState) or a [`StoreState`](crate::StoreState).
///
/// The caller decides where: in a file, in a row of a database. A state may hold the store's own name of an upload,
/// which with some stores is all that is needed to write to it: keep it as private as a credential.
///
/// # Examples
///
/// ```
/// use boards_storage_core::{async_trait, Journal, Result, UploadState};
///
/// #[derive(Debug, Default)]
/// struct InMemory(std::sync::Mutex<Option<UploadState>>);
///
/// #[async_trait]
/// impl Journal<UploadState> for InMemory {
///     async fn keep(&self, state: &UploadState) -> Result<()> {
///         *self.0.lock().expect("not poisoned") = Some(state.clone());
///         Ok(())
///     }
///
///     async fn forget(&self) -> Result<()> {
///         *self.0.lock().expect("not poisoned") = None;
///         Ok(())
///     }
/// }
/// ```
#[async_trait]
pub trait Journal<State: Sync>: Debug + Send + Sync {
    /// Replaces the state that was kept before. It must be kept when this returns: what it describes happens next.
    ///
    /// # Errors
    ///
    /// Why it cannot be kept; the transfer ends with it.
    async fn keep(&self, state: &State) -> Result<()>;

    /// Forgets the state: there is nothing to go on with any more. Idempotent.
    ///
    /// # Errors
    ///
    /// Why it cannot be forgotten. The transfer's own outcome stands all the same.
    async fn forget(&self) -> Result<()>;
}

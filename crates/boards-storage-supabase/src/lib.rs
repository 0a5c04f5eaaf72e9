//! Artifacts in a bucket of Supabase Storage, hosted or self-hosted.
//!
//! # What the server can and cannot
//!
//! - A write replaces what was there, whole or not at all; "only if absent" is not atomic there, so it is refused.
//! - Content up to the threshold goes in one request; more goes in resumable chunks (TUS), which are visible only
//!   when all of them are there. An upload in parts can be gone on with in another process.
//! - Keys hold `A-Za-z0-9_/!.*'() &$@=;:+,?-` only, and segments of at most 255 bytes.
//! - A signed upload URL lives as long as the server is configured for (2 hours when hosted), and binds nothing but
//!   the key. A signed download URL is only given for an object that is there.
//! - The digest and the write id are kept in the user metadata, under the name `.boards-storage`.
//! - Listings hide, without an error, what the key may not see: use a key that may read the whole bucket.
//! - Objects whose names are no valid key (empty, `.` or `..` segments) are left out of listings.
//! - Behind the hosted CDN a public URL may serve an old state for a while after an overwrite; new keys do not.
//!
//! # Examples
//!
//! ```no_run
//! use boards_storage_core::{Content, StorageKey, StorageProvider, UploadOptions};
//! use boards_storage_supabase::{SupabaseProvider, SupabaseSettings};
//!
//! # async fn example() -> boards_storage_core::Result<()> {
//! let settings = SupabaseSettings::new("https://abcdefgh.supabase.co", "service-role-key", "artifacts");
//! let provider = SupabaseProvider::open("supabase", settings).await?;
//! let key = StorageKey::parse("greetings/hello.txt")?;
//! provider.upload(&key, Content::from("hello"), &UploadOptions::default()).await?;
//! # Ok(())
//! # }
//! ```

mod client;
mod error;
mod list;
mod metadata;
mod object;
mod presign;
mod provider;
mod resumable;
mod settings;
mod upload;

pub use provider::SupabaseProvider;
pub use settings::SupabaseSettings;

boards_storage_core::register_provider!(SupabaseProvider);

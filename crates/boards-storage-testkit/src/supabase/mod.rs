//! A working server that answers as Supabase Storage does, on a free port of 127.0.0.1.
//!
//! It is held to recordings of the real server: every recorded request gets the recorded answer. What it does not
//! have: the S3 protocol endpoint, image transformations (it answers as a server without the image service) and
//! the analytics and vector buckets.

mod access;
mod blob;
mod bucket;
mod change;
mod form;
mod list;
mod metadata;
mod read;
mod render;
mod reply;
mod request;
mod route;
mod server;
mod sign;
mod state;
mod token;
mod tus;
mod upload;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use boards_storage_core::{Clock, SystemClock};
use jiff::Timestamp;
use parking_lot::Mutex;
use tokio::task::JoinHandle;

use state::State;

/// Where the real server keeps its bytes. Its answers differ in details.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SupabaseBackend {
    /// A directory, as on small self-hosted servers.
    File,
    /// An S3 store, as in hosted Supabase.
    #[default]
    S3,
}

/// What the `Location` of a resumable upload looks like.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SupabaseLocation {
    /// As the request came, with its forwarded scheme, host, port and prefix.
    #[default]
    AsRequested,
    /// As a server in production mode: always https.
    Https,
    /// As a self-hosted server whose proxy forwards nothing: a host that nobody can reach and no prefix.
    Unreachable,
}

/// A failure that the double shows until it is told otherwise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SupabaseFault {
    /// All is well.
    #[default]
    None,
    /// The database takes no writes: HTTP 400 with 503 in the body.
    DatabaseReadOnly,
    /// The database does not answer in time: 544.
    DatabaseTimeout,
    /// The database has no connection left: 429.
    DatabaseBusy,
    /// The database cannot be reached: 500.
    DatabaseDown,
    /// The store of the bytes cannot be reached.
    BackendDown,
}

/// How a [`SupabaseDouble`] behaves.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SupabaseOptions {
    /// Which of the real server's backends it answers like.
    pub backend: SupabaseBackend,
    /// Whether it stands behind the hosted gateway: under `/storage/v1`, with CORS.
    pub gateway: bool,
    /// What the `Location` of resumable uploads looks like.
    pub location: SupabaseLocation,
    /// Whether it is a server of before list-v2 and error codes.
    pub is_old: bool,
    /// Whether requests for more than 1,000 objects are refused.
    pub hard_limits: bool,
    /// The greatest object in bytes. 50 MiB by default, as on the free plan.
    pub size_bytes_max: u64,
    /// How long a signed upload URL lives.
    pub signed_upload_life: Duration,
    /// How long a resumable upload may take.
    pub resumable_life: Duration,
    /// The key with which tokens are signed.
    pub jwt_secret: String,
    /// The bucket in which an ordinary user may do everything below its own id, write below `dropbox/` and read
    /// below `readonly/`. Everywhere else it may do nothing.
    pub user_bucket: String,
}

impl Default for SupabaseOptions {
    fn default() -> Self {
        Self {
            backend: SupabaseBackend::default(),
            gateway: true,
            location: SupabaseLocation::default(),
            is_old: false,
            hard_limits: false,
            size_bytes_max: 50 << 20,
            signed_upload_life: Duration::from_hours(2),
            resumable_life: Duration::from_hours(1),
            jwt_secret: "super-secret-jwt-token-with-at-least-32-characters-long".to_owned(),
            user_bucket: "media-private".to_owned(),
        }
    }
}

macro_rules! option_setters {
    ($( $(#[$doc:meta])* $setter:ident: $field:ident = $type:ty; )*) => {
        impl SupabaseOptions { $(
            $(#[$doc])*
            #[must_use]
            pub fn $setter(mut self, value: $type) -> Self {
                self.$field = value;
                self
            }
        )* }
    };
}

option_setters! {
    /// Sets which backend it answers like.
    with_backend: backend = SupabaseBackend;
    /// Sets whether it stands behind the gateway.
    with_gateway: gateway = bool;
    /// Sets what the `Location` of resumable uploads looks like.
    with_location: location = SupabaseLocation;
    /// Sets whether it is an old server.
    with_old: is_old = bool;
    /// Sets whether large batches are refused.
    with_hard_limits: hard_limits = bool;
    /// Sets the greatest object in bytes.
    with_size_bytes_max: size_bytes_max = u64;
    /// Sets how long a resumable upload may take.
    with_resumable_life: resumable_life = Duration;
    /// Sets in which bucket an ordinary user has rights.
    with_user_bucket: user_bucket = String;
}

/// A running double. Dropping it ends it.
///
/// # Examples
///
/// ```
/// use boards_storage_testkit::{SupabaseDouble, SupabaseOptions};
///
/// # #[tokio::main]
/// # async fn main() -> std::io::Result<()> {
/// let double = SupabaseDouble::start(SupabaseOptions::default()).await?;
/// assert!(double.url().starts_with("http://127.0.0.1:"));
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct SupabaseDouble {
    shared: Arc<Shared>,
    address: SocketAddr,
    server: JoinHandle<()>,
}

/// What every request sees.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) options: SupabaseOptions,
    state: Mutex<State>,
    folder: tempfile::TempDir,
    fault: Mutex<SupabaseFault>,
    clock_offset_ms: AtomicI64,
}

impl Shared {
    fn now(&self) -> Timestamp {
        let offset = self.clock_offset_ms.load(Ordering::Relaxed);
        let now = SystemClock.now().as_millisecond() + offset;
        Timestamp::from_millisecond(now).unwrap_or_default()
    }
}

impl SupabaseDouble {
    /// Starts a double on a free port of 127.0.0.1.
    ///
    /// # Errors
    ///
    /// If there is no port or no temporary folder.
    pub async fn start(options: SupabaseOptions) -> std::io::Result<Self> {
        let shared = Arc::new(Shared {
            options,
            state: Mutex::default(),
            folder: tempfile::tempdir()?,
            fault: Mutex::default(),
            clock_offset_ms: AtomicI64::new(0),
        });
        let (address, server) = server::listen(Arc::clone(&shared)).await?;
        Ok(Self {
            shared,
            address,
            server,
        })
    }

    /// Returns the project's URL.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Returns where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns the API key that may do everything.
    #[must_use]
    pub fn service_key(&self) -> String {
        token::api_key(&self.shared.options.jwt_secret, "service_role", None)
    }

    /// Returns the API key of somebody who is not signed in.
    #[must_use]
    pub fn anonymous_key(&self) -> String {
        token::api_key(&self.shared.options.jwt_secret, "anon", None)
    }

    /// Returns the token of an ordinary user.
    #[must_use]
    pub fn user_key(&self, id: &str) -> String {
        token::api_key(&self.shared.options.jwt_secret, "authenticated", Some(id))
    }

    /// Moves the server's clock forwards.
    pub fn advance(&self, by: Duration) {
        let by = i64::try_from(by.as_millis()).unwrap_or(i64::MAX);
        self.shared.clock_offset_ms.fetch_add(by, Ordering::Relaxed);
    }

    /// Sets the server's clock; it goes on from there.
    pub fn set_time(&self, time: Timestamp) {
        let offset = time.as_millisecond() - SystemClock.now().as_millisecond();
        self.shared.clock_offset_ms.store(offset, Ordering::Relaxed);
    }

    /// Shows a failure from now on.
    pub fn set_fault(&self, fault: SupabaseFault) {
        *self.shared.fault.lock() = fault;
    }

    /// Loses the bytes of an object; what is known of it stays.
    pub fn lose_bytes(&self, bucket: &str, key: &str) {
        if let Some(object) = self.shared.state.lock().object_mut(bucket, key) {
            object.blob = None;
        }
    }
}

impl Drop for SupabaseDouble {
    fn drop(&mut self) {
        self.server.abort();
    }
}

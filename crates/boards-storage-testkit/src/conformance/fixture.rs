//! What a test gets: a provider, and what only its author can open beside it.

use std::any::Any;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use boards_storage_core::{BoxFuture, Result, SharedProvider, StorageKey};

use crate::executor::SignedRequestExecutor;

/// Opens a fresh [`Fixture`] for each test.
pub type FixtureFactory = Arc<dyn Fn() -> BoxFuture<'static, Result<Fixture>> + Send + Sync>;

pub(crate) type OpenSecond = Arc<dyn Fn() -> BoxFuture<'static, Result<SharedProvider>> + Send + Sync>;
pub(crate) type PassTime = Arc<dyn Fn(Duration) + Send + Sync>;
pub(crate) type Damage = Arc<dyn Fn(StorageKey) -> BoxFuture<'static, Result<()>> + Send + Sync>;

/// A provider under test, with what belongs to it.
///
/// The store may hold other objects: every test works under a random prefix of its own.
///
/// # Examples
///
/// ```
/// use boards_storage_core::SharedProvider;
/// use boards_storage_testkit::MemoryProvider;
/// use boards_storage_testkit::conformance::Fixture;
///
/// let memory = MemoryProvider::new();
/// let again = memory.clone();
/// let fixture = Fixture::new(memory.clone())
///     .with_executor(memory.executor())
///     .with_second(move || {
///         let again = again.clone() as SharedProvider;
///         Box::pin(async { Ok(again) })
///     });
/// # drop(fixture);
/// ```
pub struct Fixture {
    pub(crate) provider: SharedProvider,
    pub(crate) executor: Option<Arc<dyn SignedRequestExecutor>>,
    pub(crate) second: Option<OpenSecond>,
    pub(crate) damage: Option<Damage>,
    pub(crate) pass_time: Option<PassTime>,
    // The last field: it is dropped after everything that may use it.
    guard: Box<dyn Any + Send + Sync>,
}

impl Fixture {
    /// Creates a fixture of a provider alone.
    pub fn new(provider: SharedProvider) -> Self {
        Self {
            provider,
            executor: None,
            second: None,
            damage: None,
            pass_time: None,
            guard: Box::new(()),
        }
    }

    /// Gives the client that sends signed requests. Without it nothing that is signed is tested.
    #[must_use]
    pub fn with_executor(mut self, executor: Arc<dyn SignedRequestExecutor>) -> Self {
        self.executor = Some(executor);
        self
    }

    /// Gives a function that opens a second, independent handle of the same store, as another process would.
    #[must_use]
    pub fn with_second<F>(mut self, open: F) -> Self
    where
        F: Fn() -> BoxFuture<'static, Result<SharedProvider>> + Send + Sync + 'static,
    {
        self.second = Some(Arc::new(open));
        self
    }

    /// Gives a function that changes a stored byte of an object behind the provider's back.
    #[must_use]
    pub fn with_damage<F>(mut self, damage: F) -> Self
    where
        F: Fn(StorageKey) -> BoxFuture<'static, Result<()>> + Send + Sync + 'static,
    {
        self.damage = Some(Arc::new(damage));
        self
    }

    /// Gives a function that moves the clock by which signatures expire. Without it the tests wait.
    #[must_use]
    pub fn with_clock(mut self, pass_time: impl Fn(Duration) + Send + Sync + 'static) -> Self {
        self.pass_time = Some(Arc::new(pass_time));
        self
    }

    /// Keeps something alive until the test has ended: a temporary folder, a server.
    #[must_use]
    pub fn with_guard(mut self, guard: impl Any + Send + Sync) -> Self {
        self.guard = Box::new((self.guard, guard));
        self
    }
}

impl fmt::Debug for Fixture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fixture")
            .field("provider", &self.provider)
            .finish_non_exhaustive()
    }
}

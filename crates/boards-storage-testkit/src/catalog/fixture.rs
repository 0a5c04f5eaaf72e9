//! What a test gets: an empty catalog.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use boards_storage_core::{BoxFuture, Result, SharedCatalog};

/// Opens a fresh [`Fixture`] for each test.
pub type FixtureFactory = Arc<dyn Fn() -> BoxFuture<'static, Result<Fixture>> + Send + Sync>;

/// An empty catalog under test.
///
/// # Examples
///
/// ```
/// use std::sync::Arc;
///
/// use boards_storage_core::MemoryCatalog;
/// use boards_storage_testkit::catalog::Fixture;
///
/// let fixture = Fixture::new(Arc::new(MemoryCatalog::default()));
/// # drop(fixture);
/// ```
pub struct Fixture {
    pub(crate) catalog: SharedCatalog,
    pub(crate) second: SharedCatalog,
    // The last field: it is dropped after everything that may use it.
    guard: Box<dyn Any + Send + Sync>,
}

impl Fixture {
    /// Creates a fixture of a catalog that holds no records.
    pub fn new(catalog: SharedCatalog) -> Self {
        Self {
            second: Arc::clone(&catalog),
            catalog,
            guard: Box::new(()),
        }
    }

    /// Gives a second, independent handle of the same records, as another process would open it. Races run over both.
    #[must_use]
    pub fn with_second(mut self, second: SharedCatalog) -> Self {
        self.second = second;
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
            .field("catalog", &self.catalog)
            .finish_non_exhaustive()
    }
}

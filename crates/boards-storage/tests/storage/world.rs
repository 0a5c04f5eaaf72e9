//! A manager over memory, with a script between it and its provider.

use std::sync::Arc;
use std::time::Duration;

use boards_storage::prelude::*;
use boards_storage::{AuditOptions, AuditTrail, ByteStream, ManagerSettings, MemoryCatalog, Stack};
use boards_storage_testkit::{ManualClock, MemoryAudit, MemoryBuilder, MemoryProvider, Script};
use bytes::Bytes;

/// What a test looks at.
pub(crate) struct World {
    pub(crate) manager: StorageManager,
    pub(crate) memory: Arc<MemoryProvider>,
    pub(crate) script: Arc<Script>,
    pub(crate) clock: Arc<ManualClock>,
}

impl World {
    pub(crate) fn new() -> Self {
        Self::with(ManagerSettings::new("main"), MemoryProvider::builder())
    }

    pub(crate) fn with(settings: ManagerSettings, memory: MemoryBuilder) -> Self {
        let clock = Arc::new(ManualClock::new("2026-01-01T00:00:00Z".parse().expect("a time")));
        let script = Script::new();
        let layer = Arc::clone(&script);
        let manager = StorageManager::with_parts(
            settings,
            Arc::new(MemoryCatalog::default()),
            Arc::clone(&clock) as Arc<_>,
            Arc::new(move |name, provider| {
                Arc::new(Stack::new(name, provider, vec![Arc::clone(&layer) as Arc<_>]))
            }),
        );
        let memory = memory.build();
        manager
            .register_provider("main", Arc::clone(&memory) as Arc<_>)
            .expect("a free name");
        Self {
            manager,
            memory,
            script,
            clock,
        }
    }

    /// Records everything from now on.
    pub(crate) fn audited(mut self, options: AuditOptions) -> (Self, Arc<MemoryAudit>) {
        let sink = Arc::new(MemoryAudit::default());
        let clock = Arc::clone(&self.clock) as Arc<_>;
        let trail = AuditTrail::start(Arc::clone(&sink) as Arc<_>, options, clock);
        self.manager = self.manager.with_audit(trail);
        (self, sink)
    }

    pub(crate) async fn put(
        &self,
        new: NewArtifact,
        content: impl Into<Content>,
    ) -> Result<ArtifactReference> {
        self.manager.store_artifact(new, content).await
    }

    pub(crate) async fn read(&self, locator: impl Into<ArtifactLocator>) -> Result<Bytes> {
        self.manager
            .open_artifact(locator, &OpenOptions::default())
            .await?
            .bytes(usize::MAX)
            .await
    }

    /// After the leases are over, removes what was left and says how many objects remain.
    pub(crate) async fn objects_after_reaping(&self) -> usize {
        self.clock.advance(Duration::from_secs(600));
        let report = self.manager.reap(1000).await.expect("reaped");
        assert_eq!(report.failed, 0, "{report:?}");
        self.memory.objects()
    }
}

/// A world whose downloads come as streams of pieces.
pub(crate) fn in_pieces() -> World {
    let mut settings = ManagerSettings::new("main");
    settings.downloader.concurrency = 2;
    settings.downloader.range_size_bytes = 4;
    World::with(settings, MemoryProvider::builder())
}

/// An image with an id of its own.
pub(crate) fn image(id: &str) -> NewArtifact {
    NewArtifact::new(ArtifactType::Image)
        .with_artifact(ArtifactId::parse(id).expect("an id"))
        .with_content_type(ContentType::parse("image/png").expect("a type"))
}

pub(crate) fn locate(id: &str) -> ArtifactLocator {
    ArtifactLocator::new(ArtifactId::parse(id).expect("an id"))
}

/// A one-shot stream of unknown length.
pub(crate) fn stream(pieces: &'static [&'static str]) -> Content {
    let pieces: ByteStream = Box::pin(futures_util::stream::iter(
        pieces
            .iter()
            .map(|piece| Ok(Bytes::from_static(piece.as_bytes()))),
    ));
    Content::from_stream(None, pieces)
}

#[track_caller]
pub(crate) fn check_kind<T: std::fmt::Debug>(result: Result<T>, kind: ErrorKind) -> Error {
    let error = result.expect_err("an error");
    assert_eq!(error.kind(), kind, "{error}");
    error
}

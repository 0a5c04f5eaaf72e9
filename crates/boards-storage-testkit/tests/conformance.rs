//! The suite over the memory provider: with everything, and with less.

use std::sync::Arc;

use boards_storage_core::{Capability, KeyRules, PartOrder, PartRules, PreconditionKind, SharedProvider};
use boards_storage_core::{Layer, OperationKind, Stack};
use boards_storage_testkit::conformance::{self, Fixture, Suite};
use boards_storage_testkit::{ManualClock, MemoryBuilder, MemoryProvider, Script};

fn main() {
    conformance::run_all([
        everything(),
        layered(),
        plain(),
        sequential(),
        equal_parts(),
        file_system(),
    ]);
}

fn fixture(builder: MemoryBuilder) -> Fixture {
    let clock = Arc::new(ManualClock::default());
    let memory = builder.clock(clock.clone()).build();
    let (second, damaged) = (memory.clone(), memory.clone());
    Fixture::new(memory.clone())
        .with_executor(memory.executor())
        .with_clock(move |time| clock.advance(time))
        .with_second(move || {
            let second = second.clone() as SharedProvider;
            Box::pin(async { Ok(second) })
        })
        .with_damage(move |key| {
            let damaged = damaged.clone();
            Box::pin(async move { damaged.damage(&key) })
        })
}

fn suite(name: &str, build: impl Fn() -> MemoryBuilder + Send + Sync + 'static) -> Suite {
    Suite::new(name, move || {
        let fixture = fixture(build());
        Box::pin(async { Ok(fixture) })
    })
}

/// Every capability but the one that a checksum of the whole cannot give.
fn declared() -> Vec<Capability> {
    let all = Capability::ALL.iter().copied();
    all.filter(|capability| *capability != Capability::VerifiedRange)
        .collect()
}

/// Every capability and precondition, all pinned.
fn everything() -> Suite {
    let pinned = suite("memory", MemoryProvider::builder).requires(&declared());
    let decided = [
        (OperationKind::Upload, PreconditionKind::IfAbsent),
        (OperationKind::Upload, PreconditionKind::IfMatch),
        (OperationKind::Copy, PreconditionKind::IfAbsent),
        (OperationKind::Copy, PreconditionKind::IfMatch),
        (OperationKind::Delete, PreconditionKind::IfMatch),
        (OperationKind::SetMetadata, PreconditionKind::IfMatch),
        (OperationKind::CompleteUpload, PreconditionKind::IfAbsent),
        (OperationKind::CompleteUpload, PreconditionKind::IfMatch),
        (OperationKind::PresignedUploadUrl, PreconditionKind::IfAbsent),
        (OperationKind::PresignedUploadUrl, PreconditionKind::IfMatch),
    ];
    decided.into_iter().fold(pinned, |suite, (operation, kind)| {
        suite.requires_precondition(operation, kind)
    })
}

/// Through a stack with a layer that does nothing: the mechanism itself is not noticed.
fn layered() -> Suite {
    Suite::new("layered", || {
        let memory = MemoryProvider::new();
        let executor = memory.executor();
        let stack = Stack::new("layered", memory, vec![Script::new() as Arc<dyn Layer>]);
        Box::pin(async { Ok(Fixture::new(Arc::new(stack)).with_executor(executor)) })
    })
    .requires(&declared())
}

/// Nothing at all: only put, get, head and delete are left.
fn plain() -> Suite {
    suite("plain", || {
        MemoryProvider::builder()
            .without(Capability::ALL)
            .without_preconditions()
    })
}

/// Parts in sequence, of at least 4,000 bytes in multiples of 100; no versions, no truth on deletes.
fn sequential() -> Suite {
    suite("sequential", || {
        let mut rules = PartRules::any();
        rules.order = PartOrder::Sequential;
        rules.size_bytes_min = 4_000;
        rules.multiple_of_bytes = 100;
        let less = [
            Capability::ReadVersion,
            Capability::TruthfulDelete,
            Capability::ListStartAfter,
            Capability::Digest,
        ];
        MemoryProvider::builder().part_rules(rules).without(&less)
    })
    .requires(&[Capability::Multipart])
}

/// Parts of one size; keys of few characters.
fn equal_parts() -> Suite {
    suite("equal_parts", || {
        let mut rules = PartRules::any();
        rules.equal_size = true;
        rules.size_bytes_min = 1_024;
        let mut keys = KeyRules::default();
        keys.characters =
            Some("abcdefghijklmnopqrstuvwxyz0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ!-_.*'() &$@=;:+,?");
        keys.bytes_max = 900;
        let less = [
            Capability::CopyAttributes,
            Capability::ListDelimiter,
            Capability::Checksum,
        ];
        MemoryProvider::builder()
            .part_rules(rules)
            .key_rules(keys)
            .without(&less)
    })
}

/// Keys as in a file system.
fn file_system() -> Suite {
    suite("file_system", || {
        let mut keys = KeyRules::default();
        keys.file_or_folder = true;
        keys.segment_bytes_max = Some(255);
        MemoryProvider::builder()
            .key_rules(keys)
            .without(&[Capability::Multipart, Capability::PresignedPart])
    })
}

//! Whole objects: a reader sees what one write made, bytes and metadata together.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use boards_storage_core::{
    CallOptions, Capability, DeleteOptions, DownloadOptions, Error, ErrorKind, ObjectMetadata, Result,
    SharedProvider, StorageKey, StorageProvider, UploadOptions,
};
use bytes::Bytes;
use tokio::task::JoinSet;

use super::case::{Case, SIZE_BYTES_MAX, pattern, same_bytes, streamed};
use super::conformance_tests;
use super::need::Need::{Has, Second};

conformance_tests! {
    "atomicity" needs [] {
        readers_of_an_overwritten_object_see_a_whole_one []
        readers_by_another_handle_see_a_whole_one [Second]
        readers_of_a_deleted_object_see_a_whole_one_or_none []
        a_reader_sees_an_acknowledged_write_at_once []
        changed_attributes_are_all_old_or_all_new [Has(Capability::SetMetadata)]
    }
}

/// Two states that differ in size, bytes and every attribute.
struct States {
    options: [UploadOptions; 2],
    bytes: [Bytes; 2],
}

impl States {
    fn of(case: &Case) -> Arc<Self> {
        Arc::new(Self {
            options: [case.options_of("one"), case.options_of("other2")],
            bytes: [pattern(70_000, 110), pattern(300_000, 111)],
        })
    }

    /// Reads the object and its metadata, and checks each against the states.
    async fn look(&self, provider: &dyn StorageProvider, key: &StorageKey) -> Result<()> {
        let object = provider
            .download(key, &DownloadOptions::default())
            .await?
            .into_object()?;
        let metadata = Arc::clone(object.metadata());
        self.check(&metadata, &object.bytes(SIZE_BYTES_MAX).await?);
        let head = provider.metadata(key, &CallOptions::default()).await?;
        let state = usize::from(head.size_bytes == self.bytes[1].len() as u64);
        assert_eq!(
            head.attributes, self.options[state].attributes,
            "metadata of one write"
        );
        Ok(())
    }

    /// Finds which state the metadata tell of, and checks that the bytes are the same state's.
    fn check(&self, metadata: &ObjectMetadata, bytes: &[u8]) {
        let state = usize::from(metadata.size_bytes == self.bytes[1].len() as u64);
        same_bytes(bytes, &self.bytes[state], "the state that the metadata tell of");
        assert_eq!(
            metadata.attributes, self.options[state].attributes,
            "the attributes of the same write"
        );
    }
}

/// Writes both states in turn, by two writers, while three readers look.
async fn race(case: &Case, reader: SharedProvider, deletes: bool) -> Result<()> {
    const WRITES: usize = 40;
    let states = States::of(case);
    let key = case.key("a");
    case.put_with("a", states.bytes[0].clone(), &states.options[0])
        .await?;
    let is_over = Arc::new(AtomicBool::new(false));
    let reads = Arc::new(AtomicUsize::new(0));
    // Readers and writers end with this function, also when one of them fails.
    let (mut readers, mut writers) = (JoinSet::new(), JoinSet::new());
    for _ in 0..3 {
        let (states, key, provider) = (Arc::clone(&states), key.clone(), Arc::clone(&reader));
        let (is_over, reads) = (Arc::clone(&is_over), Arc::clone(&reads));
        readers.spawn(async move {
            while !is_over.load(Ordering::Relaxed) {
                match states.look(&*provider, &key).await {
                    Ok(()) => reads.fetch_add(1, Ordering::Relaxed),
                    Err(error) if deletes && error.kind() == ErrorKind::NotFound => 0,
                    Err(error) => return Err(error),
                };
                // A provider may never wait; then nobody else would run.
                tokio::task::yield_now().await;
            }
            Ok(())
        });
    }
    for writer in 0..2_usize {
        let (states, key, provider) = (Arc::clone(&states), key.clone(), Arc::clone(&case.provider));
        writers.spawn(async move {
            for number in 0..WRITES {
                let state = (number + writer) % 2;
                let content = streamed(&states.bytes[state], 20_000, None);
                provider.upload(&key, content, &states.options[state]).await?;
                if deletes && number % 4 == 3 {
                    provider.delete(&key, &DeleteOptions::default()).await?;
                }
                tokio::task::yield_now().await;
            }
            Ok(())
        });
    }
    join(&mut writers).await?;
    is_over.store(true, Ordering::Relaxed);
    join(&mut readers).await?;
    assert!(
        deletes || reads.load(Ordering::Relaxed) > 0,
        "somebody read something"
    );
    Ok(())
}

/// Waits for all tasks, and fails or panics with the first one that does.
async fn join(tasks: &mut JoinSet<Result<()>>) -> Result<()> {
    while let Some(outcome) = tasks.join_next().await {
        match outcome {
            Ok(outcome) => outcome?,
            Err(panicked) => std::panic::resume_unwind(panicked.into_panic()),
        }
    }
    Ok(())
}

async fn readers_of_an_overwritten_object_see_a_whole_one(case: Case) -> Result<()> {
    race(&case, Arc::clone(&case.provider), false).await
}

async fn readers_by_another_handle_see_a_whole_one(case: Case) -> Result<()> {
    race(&case, case.second().await?, false).await
}

async fn readers_of_a_deleted_object_see_a_whole_one_or_none(case: Case) -> Result<()> {
    race(&case, Arc::clone(&case.provider), true).await
}

async fn a_reader_sees_an_acknowledged_write_at_once(case: Case) -> Result<()> {
    for number in 0..50_u32 {
        case.put("a", number.to_string()).await?;
        case.assert_holds("a", number.to_string().as_bytes()).await?;
        if number % 5 == 4 {
            case.provider
                .delete(&case.key("a"), &DeleteOptions::default())
                .await?;
            case.assert_absent("a").await?;
        }
    }
    Ok(())
}

async fn changed_attributes_are_all_old_or_all_new(case: Case) -> Result<()> {
    let bytes = pattern(50_000, 112);
    let (one, other) = (case.attributes("one"), case.attributes("other2"));
    case.put_with("a", bytes.clone(), &case.options_of("one")).await?;
    let key = case.key("a");
    let write = async {
        for number in 0..30 {
            let attributes = if number % 2 == 0 { &other } else { &one };
            case.provider
                .set_metadata(&key, attributes, &Default::default())
                .await?;
        }
        Ok::<_, Error>(())
    };
    let read = async {
        for _ in 0..60 {
            let object = case
                .provider
                .download(&key, &DownloadOptions::default())
                .await?
                .into_object()?;
            let attributes = object.metadata().attributes.clone();
            assert!(
                attributes == one || attributes == other,
                "a mixture: {attributes:?}"
            );
            same_bytes(&object.bytes(SIZE_BYTES_MAX).await?, &bytes, "the bytes");
            tokio::task::yield_now().await;
        }
        Ok(())
    };
    futures_util::future::try_join(write, read).await.map(drop)
}

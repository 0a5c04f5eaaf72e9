//! Every fault happens to every operation that it can happen to, and is told; nothing else happens.

use std::sync::Arc;
use std::time::Duration;

use boards_storage_core::{
    AccessClass, ByteStream, CallOptions, CompleteUploadOptions, Content, CopyOptions, CreateUploadOptions,
    DeleteOptions, DeletedKey, DownloadOptions, Error, ErrorKind, ListOptions, MultipartUpload,
    ObjectAttributes, OperationKind, Part, PartPlace, PresignDownloadOptions, PresignPartOptions,
    PresignUploadOptions, Result, SetMetadataOptions, Stack, StorageKey, StorageProvider, UploadOptions,
    UploadPartOptions,
};
use boards_storage_testkit::MemoryProvider;
use boards_storage_testkit::faults::{FaultKind, FaultProfile, Faults};
use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt};
use tokio::time::Instant;

const BYTES: &[u8] = b"twelve bytes";
const LIMIT: Duration = Duration::from_secs(60);

fn key(text: &str) -> StorageKey {
    StorageKey::parse(text).expect("a valid key")
}

/// A store with three objects and an upload in parts, behind faults.
struct World {
    memory: Arc<MemoryProvider>,
    faults: Arc<Faults>,
    provider: Stack,
    upload: MultipartUpload,
    part: Part,
}

/// What came of a call: how many bytes, entries or keys there were, where that says something.
type Answer = Result<usize>;

impl World {
    async fn new(profile: FaultProfile, seed: u64) -> Self {
        let memory = MemoryProvider::new();
        for name in ["a", "b", "c"] {
            memory
                .upload(&key(name), BYTES.into(), &UploadOptions::default())
                .await
                .expect("stored");
        }
        let upload = memory
            .create_upload(&key("parts"), &CreateUploadOptions::default())
            .await
            .expect("begun");
        let place = PartPlace::new(1, 0).last();
        let part = memory
            .upload_part(&upload, place, BYTES.into(), &UploadPartOptions::default())
            .await
            .expect("sent");
        let faults = Faults::new(seed, profile);
        Self {
            provider: faults.over(Arc::clone(&memory) as Arc<_>),
            memory,
            faults,
            upload,
            part,
        }
    }

    /// Makes one call of each kind. The bytes of a download must be right as far as they come.
    async fn call(&self, kind: OperationKind) -> Answer {
        let (provider, call, one) = (&self.provider, CallOptions::default(), key("a"));
        match kind {
            OperationKind::Upload => {
                let stored = provider
                    .upload(&key("new"), once(), &UploadOptions::default())
                    .await?;
                Ok(size(stored.size_bytes))
            }
            OperationKind::Download => {
                let download = provider.download(&one, &DownloadOptions::default()).await?;
                read(download.into_object()?.into_stream()).await
            }
            OperationKind::Metadata => Ok(size(provider.metadata(&one, &call).await?.size_bytes)),
            OperationKind::Exists => provider.exists(&one, &call).await.map(usize::from),
            OperationKind::Delete => provider.delete(&one, &DeleteOptions::default()).await.map(|_| 0),
            OperationKind::DeleteMany => {
                let keys = [one, key("b"), key("c")];
                let deleted = provider.delete_many(&keys, &DeleteOptions::default()).await?;
                assert_eq!(deleted.len(), 3);
                whole(deleted)
            }
            OperationKind::List => {
                let entries = provider.list(&ListOptions::default()).await?;
                Ok(entries.try_collect::<Vec<_>>().await?.len())
            }
            OperationKind::Copy => {
                let copied = provider.copy(&one, &key("copy"), &CopyOptions::default()).await?;
                Ok(size(copied.size_bytes))
            }
            OperationKind::SetMetadata => {
                let (attributes, options) = (ObjectAttributes::default(), SetMetadataOptions::default());
                Ok(size(
                    provider
                        .set_metadata(&one, &attributes, &options)
                        .await?
                        .size_bytes,
                ))
            }
            OperationKind::SetAccess => provider
                .set_access(&one, AccessClass::Public, &call)
                .await
                .map(|()| 0),
            OperationKind::CreateUpload => {
                let options = CreateUploadOptions::default();
                provider.create_upload(&key("other"), &options).await.map(|_| 0)
            }
            OperationKind::UploadPart => {
                let (place, options) = (PartPlace::new(1, 0).last(), UploadPartOptions::default());
                Ok(size(
                    provider
                        .upload_part(&self.upload, place, once(), &options)
                        .await?
                        .size_bytes,
                ))
            }
            OperationKind::ListParts => Ok(provider.list_parts(&self.upload, &call).await?.len()),
            OperationKind::CompleteUpload => {
                let (parts, options) = ([self.part.clone()], CompleteUploadOptions::default());
                Ok(size(
                    provider
                        .complete_upload(&self.upload, &parts, &options)
                        .await?
                        .size_bytes,
                ))
            }
            OperationKind::AbortUpload => provider.abort_upload(&self.upload, &call).await.map(|()| 0),
            OperationKind::PresignedUploadUrl => {
                let options = PresignUploadOptions::default();
                provider
                    .presigned_upload_url(&key("new"), &options)
                    .await
                    .map(|_| 0)
            }
            OperationKind::PresignedDownloadUrl => {
                let options = PresignDownloadOptions::default();
                provider.presigned_download_url(&one, &options).await.map(|_| 0)
            }
            OperationKind::PresignedPartUrl => {
                let options = PresignPartOptions::default();
                provider
                    .presigned_part_url(&self.upload, 1, &options)
                    .await
                    .map(|_| 0)
            }
            OperationKind::PublicUrl => provider.public_url(&one, &call).await.map(|_| 0),
            OperationKind::Probe => provider.probe(&call).await.map(|()| 0),
        }
    }

    /// Says how much of what a change of this kind does is there; a read changes nothing.
    async fn effect(&self, kind: OperationKind) -> Option<bool> {
        let call = CallOptions::default();
        let exists = async |name: &str| self.memory.exists(&key(name), &call).await.expect("asked");
        Some(match kind {
            OperationKind::Upload => exists("new").await,
            OperationKind::Delete => !exists("a").await,
            OperationKind::DeleteMany => !exists("a").await && !exists("b").await && !exists("c").await,
            OperationKind::Copy => exists("copy").await,
            OperationKind::SetAccess => self.memory.access(&key("a")).expect("there") == AccessClass::Public,
            OperationKind::CreateUpload => self.memory.pending_uploads() == 2,
            OperationKind::CompleteUpload => exists("parts").await,
            OperationKind::AbortUpload => self.memory.pending_uploads() == 0,
            _ => return None,
        })
    }
}

/// Content that can be read once, in pieces.
fn once() -> Content {
    let pieces = BYTES.chunks(5).map(|piece| Ok(Bytes::copy_from_slice(piece)));
    Content::from_stream(
        Some(BYTES.len() as u64),
        futures_util::stream::iter(pieces.collect::<Vec<_>>()),
    )
}

fn size(bytes: u64) -> usize {
    usize::try_from(bytes).expect("small")
}

async fn read(mut stream: ByteStream) -> Answer {
    let mut seen = Vec::new();
    while let Some(piece) = stream.next().await {
        seen.extend_from_slice(&piece?);
    }
    if seen[..] == BYTES[..seen.len().min(BYTES.len())] {
        Ok(seen.len())
    } else {
        Err(Error::new(ErrorKind::Corruption, "other bytes than were stored"))
    }
}

fn whole(deleted: Vec<DeletedKey>) -> Answer {
    for deleted in deleted {
        deleted.outcome?;
    }
    Ok(3)
}

/// What a call of each kind says when nothing goes wrong.
fn healthy(kind: OperationKind) -> usize {
    match kind {
        OperationKind::Upload
        | OperationKind::Download
        | OperationKind::Metadata
        | OperationKind::Copy
        | OperationKind::SetMetadata
        | OperationKind::UploadPart
        | OperationKind::CompleteUpload => BYTES.len(),
        OperationKind::DeleteMany | OperationKind::List => 3,
        OperationKind::Exists | OperationKind::ListParts => 1,
        OperationKind::Delete
        | OperationKind::SetAccess
        | OperationKind::CreateUpload
        | OperationKind::AbortUpload
        | OperationKind::PresignedUploadUrl
        | OperationKind::PresignedDownloadUrl
        | OperationKind::PresignedPartUrl
        | OperationKind::PublicUrl
        | OperationKind::Probe => 0,
    }
}

/// Lets one fault happen to one call, with a seed, and looks at everything that can be seen of it.
async fn check(operation: OperationKind, fault: FaultKind, seed: u64) {
    let case = format!("{fault} in {operation}, seed {seed}");
    let world = World::new(FaultProfile::none().with_on(operation, fault, 1.0), seed).await;
    let start = Instant::now();
    let answer = tokio::time::timeout(LIMIT, world.call(operation)).await;
    let (took, effect) = (start.elapsed(), world.effect(operation).await);
    let is_well = matches!(&answer, Ok(Ok(count)) if *count == healthy(operation));
    match fault {
        FaultKind::ErrorBefore | FaultKind::Throttle | FaultKind::BreakUpload => {
            assert!(matches!(answer, Ok(Err(_))), "{case}: {answer:?}");
            assert_ne!(effect, Some(true), "{case}");
        }
        FaultKind::ErrorAfter => {
            assert!(matches!(answer, Ok(Err(_))), "{case}: {answer:?}");
            assert_ne!(effect, Some(false), "{case}");
        }
        FaultKind::Delay => {
            assert!(
                is_well && took <= Duration::from_secs(2),
                "{case}: {answer:?}, {took:?}"
            );
            assert_ne!(effect, Some(false), "{case}");
        }
        FaultKind::Stall => assert!(answer.is_err() && effect != Some(true), "{case}: {answer:?}"),
        FaultKind::StallAfter => assert!(answer.is_err() && effect != Some(false), "{case}: {answer:?}"),
        FaultKind::BreakStream => assert!(is_well || matches!(answer, Ok(Err(_))), "{case}: {answer:?}"),
        FaultKind::StallStream => assert!(is_well || answer.is_err(), "{case}: {answer:?}"),
        FaultKind::SomeKeys => assert!(is_well || matches!(answer, Ok(Err(_))), "{case}: {answer:?}"),
        // Of a listing nobody can tell; of a download its reader is told.
        FaultKind::Truncate if operation == OperationKind::List => {
            assert!(matches!(answer, Ok(Ok(0..=3))), "{case}: {answer:?}");
        }
        FaultKind::Truncate | FaultKind::WrongBytes => {
            assert!(matches!(answer, Ok(Err(_))), "{case}: {answer:?}");
        }
        FaultKind::WrongLength => assert!(!is_well && answer.is_ok(), "{case}: {answer:?}"),
        // Nothing was written through the faults: there is nothing that it could not know.
        FaultKind::LateListing => assert!(is_well, "{case}: {answer:?}"),
    }
    let injected = world.faults.injected();
    assert_eq!(injected.len(), 1, "{case}: {injected:?}");
    assert_eq!(
        (injected[0].operation, injected[0].fault),
        (operation, fault.name()),
        "{case}"
    );
    assert_eq!(world.faults.counts()[&(operation, fault.name())], 1, "{case}");
    assert_eq!(
        (world.faults.calls(), world.faults.spent_contents()),
        (1, 0),
        "{case}"
    );
}

#[tokio::test(start_paused = true)]
async fn every_fault_happens_to_every_operation_that_it_can_happen_to() {
    let mut cases = 0;
    for operation in OperationKind::ALL {
        for fault in FaultKind::ALL
            .into_iter()
            .filter(|fault| fault.applies_to(operation))
        {
            for seed in 0..8 {
                check(operation, fault, seed).await;
            }
            cases += 1;
        }
    }
    assert_eq!(
        cases,
        20 * 6 + 2 + 3 * 2 + 1 + 1 + 7 + 1,
        "kinds of faults by operations"
    );
}

#[tokio::test(start_paused = true)]
async fn without_faults_every_operation_passes() {
    for operation in OperationKind::ALL {
        let world = World::new(FaultProfile::none(), 1).await;
        assert_eq!(
            world.call(operation).await.expect("well"),
            healthy(operation),
            "{operation}"
        );
        assert_ne!(world.effect(operation).await, Some(false), "{operation}");
        assert!(world.faults.injected().is_empty() && world.faults.calls() == 1);
    }
}

//! Uploads in parts: the object that comes of them, and what is refused.

use std::sync::Arc;

use boards_storage_core::{
    CompleteUploadOptions, Content, CreateUploadOptions, Error, ErrorKind, Layer, Next, Operation,
    OperationKind, Outcome, PartPlace, PartRules, Result, Stack, StorageProvider, UploadOptions,
    UploadPartOptions, Uploader, UploaderSettings, async_trait,
};
use boards_storage_layers::{EncryptionLayer, RetryLayer};
use boards_storage_testkit::{MemoryProvider, Script, Step};
use bytes::Bytes;

use super::bench::{Bench, SEGMENT, context, key, sample};

fn small_parts() -> UploaderSettings {
    let mut settings = UploaderSettings::default();
    settings.single_bytes_max = 1000;
    settings.part_size_bytes = 100_000;
    settings
}

#[tokio::test]
async fn an_uploader_cuts_as_the_layer_wants() {
    let memory = MemoryProvider::builder()
        .without(&[boards_storage_core::Capability::StreamingUpload])
        .build();
    let bench = Bench::over(memory);
    let stack = Arc::new(Stack::new(
        "main",
        Arc::clone(&bench.memory) as _,
        vec![Arc::new(EncryptionLayer::new(bench.keys.clone())) as Arc<dyn Layer>],
    ));
    let uploader = Uploader::new(stack).with_settings(small_parts());
    let part = 2 * SEGMENT;
    for size in [
        1001,
        part - 40,
        part - 39,
        part,
        3 * part - 40,
        3 * part - 39,
        3 * part + 7,
    ] {
        let bytes = sample(size);
        let pieces: Vec<_> = bytes
            .chunks(7_777)
            .map(|piece| Ok(Bytes::copy_from_slice(piece)))
            .collect();
        let content = Content::from_stream(None, futures_util::stream::iter(pieces));
        let options = UploadOptions::default().with_context(context("acme", "a"));
        let stored = uploader
            .upload(&key("a"), content, &options)
            .await
            .expect("stored");
        assert_eq!(stored.size_bytes, size as u64);
        assert_eq!(bench.get("a").await.expect("read"), bytes, "{size}");
    }
    assert_eq!(bench.memory.pending_uploads(), 0);
}

#[tokio::test]
async fn parts_that_would_break_a_segment_are_refused_before_they_are_sent() {
    let bench = Bench::new();
    let create = CreateUploadOptions::default().with_context(context("acme", "a"));
    let upload = bench
        .stack
        .create_upload(&key("a"), &create)
        .await
        .expect("begun");
    let send = async |place: PartPlace, size: usize| {
        let options = UploadPartOptions::default();
        bench
            .stack
            .upload_part(&upload, place, sample(size).into(), &options)
            .await
    };
    let first = SEGMENT as u64 - 40;
    for (place, size) in [
        (PartPlace::new(1, 0), SEGMENT),
        (PartPlace::new(1, 0), 0),
        (PartPlace::new(1, 1).last(), 10),
        (PartPlace::new(2, 0).last(), 10),
        (PartPlace::new(2, first + 1).last(), 10),
        (PartPlace::new(2, first), SEGMENT - 40),
        (PartPlace::new(2, first).last(), 0),
    ] {
        let refused = send(place, size).await.expect_err("refused");
        assert_eq!(
            refused.kind(),
            ErrorKind::InvalidInput,
            "{place:?} {size}: {refused}"
        );
    }
    let one = send(PartPlace::new(1, 0), SEGMENT - 40).await.expect("sent");
    let three = send(PartPlace::new(3, first + SEGMENT as u64).last(), 10)
        .await
        .expect("sent");
    let options = CompleteUploadOptions::default();
    for parts in [
        vec![one.clone(), three.clone()],
        vec![one.clone()],
        vec![three.clone()],
    ] {
        let refused = bench
            .stack
            .complete_upload(&upload, &parts, &options)
            .await
            .expect_err("refused");
        assert_eq!(refused.kind(), ErrorKind::InvalidInput, "{refused}");
    }
    let two = send(PartPlace::new(2, first), SEGMENT).await.expect("sent");
    bench
        .stack
        .complete_upload(&upload, &[one, two, three], &options)
        .await
        .expect("completed");
    let bytes = [sample(SEGMENT - 40), sample(SEGMENT), sample(10)].concat();
    assert!(bench.get("a").await.expect("read") == bytes);
}

#[tokio::test]
async fn another_process_begins_anew_and_never_goes_on() {
    let bench = Bench::new();
    let create = CreateUploadOptions::default().with_context(context("acme", "a"));
    let upload = bench
        .stack
        .create_upload(&key("a"), &create)
        .await
        .expect("begun");
    let place = PartPlace::new(1, 0).last();
    let options = UploadPartOptions::default();
    let part = bench
        .stack
        .upload_part(&upload, place, "x".into(), &options)
        .await
        .expect("sent");
    let layer: Arc<dyn Layer> = Arc::new(EncryptionLayer::new(bench.keys.clone()));
    let other = Stack::new("main", Arc::clone(&bench.memory) as _, vec![layer]);
    let call = Default::default();
    let listed = other.list_parts(&upload, &call).await.expect_err("refused");
    assert_eq!(listed.kind(), ErrorKind::NotFound);
    assert!(
        listed.help().is_some_and(|help| help.contains("begin it anew")),
        "{listed}"
    );
    let sent = other
        .upload_part(&upload, place, "x".into(), &options)
        .await
        .expect_err("refused");
    assert_eq!(sent.kind(), ErrorKind::NotFound);
    let completed = other.complete_upload(&upload, &[part], &Default::default()).await;
    assert_eq!(completed.expect_err("refused").kind(), ErrorKind::NotFound);
    other.abort_upload(&upload, &call).await.expect("aborted");
    assert_eq!(bench.memory.pending_uploads(), 0);
}

#[test]
fn a_store_whose_parts_must_be_equal_or_multiples_has_no_encrypted_parts() {
    let equal = || {
        let mut rules = PartRules::any();
        rules.equal_size = true;
        rules
    };
    let multiples = || {
        let mut rules = PartRules::any();
        rules.multiple_of_bytes = 256 << 10;
        rules
    };
    for rules in [equal(), multiples()] {
        let bench = Bench::over(MemoryProvider::builder().part_rules(rules).build());
        let capabilities = bench.stack.capabilities();
        assert_eq!(capabilities.part_rules, None);
        let refused = capabilities
            .require(boards_storage_core::Capability::Multipart)
            .expect_err("refused");
        assert!(
            refused
                .help()
                .is_some_and(|help| help.contains("encrypted parts")),
            "{refused}"
        );
    }
}

/// Notes the bytes of everything that is sent.
#[derive(Debug, Default)]
struct Sent(parking_lot::Mutex<Vec<Bytes>>);

#[async_trait]
impl Layer for Sent {
    fn name(&self) -> &'static str {
        "sent"
    }

    async fn around(&self, operation: Operation, next: Next) -> Result<Outcome> {
        if let Some(content) = operation.content() {
            let bytes = content.collect(usize::MAX).await?;
            self.0.lock().push(bytes);
        }
        next.run(operation).await
    }
}

#[tokio::test(start_paused = true)]
async fn whatever_is_sent_again_is_the_same_ciphertext() {
    let bench = Bench::new();
    let (sent, script) = (Arc::new(Sent::default()), Script::new());
    let lost = || Step::FailAfter(Error::new(ErrorKind::Timeout, "no answer"));
    script.push_times(2, OperationKind::Upload, lost);
    script.push_times(2, OperationKind::UploadPart, lost);
    let layers: Vec<Arc<dyn Layer>> = vec![
        Arc::new(EncryptionLayer::new(bench.keys.clone())),
        Arc::new(RetryLayer::default()),
        Arc::clone(&sent) as _,
        script,
    ];
    let stack = Stack::new("main", Arc::clone(&bench.memory) as _, layers);
    let bytes = sample(300_000);
    let options = UploadOptions::default().with_context(context("acme", "a"));
    let content = super::bench::replayable(&bytes, 1234);
    stack.upload(&key("a"), content, &options).await.expect("stored");
    assert_eq!(bench.get("a").await.expect("read"), bytes);
    let create = CreateUploadOptions::default().with_context(context("acme", "a"));
    let upload = stack.create_upload(&key("a"), &create).await.expect("begun");
    let (place, options) = (PartPlace::new(1, 0).last(), UploadPartOptions::default());
    let part = stack
        .upload_part(&upload, place, bytes.clone().into(), &options)
        .await
        .expect("sent");
    let again = stack
        .upload_part(&upload, place, bytes.clone().into(), &options)
        .await
        .expect("sent");
    assert_eq!(part, again);
    let sent = std::mem::take(&mut *sent.0.lock());
    assert_eq!(sent.len(), 7, "three attempts each, and one once more");
    assert!(sent[..3].windows(2).all(|pair| pair[0] == pair[1]));
    assert!(sent[3..].windows(2).all(|pair| pair[0] == pair[1]));
    assert!(sent[0] != sent[3], "another upload has another salt");
}

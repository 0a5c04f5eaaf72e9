//! How fast one stream is encrypted and decrypted, beside AES-256-GCM alone and beside `openssl speed`.
//!
//! `cargo xtask bench encryption [--mib 256] [--rounds 5]`: how much goes through, and how often; the best round counts.
//! The store takes everything and keeps nothing but what is read again, so that nothing else is measured.

#![expect(clippy::print_stdout, reason = "a benchmark prints its table")]

use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use boards_storage_core::{
    CallContext, CallOptions, Capabilities, Capability, Content, DeleteOptions, DeleteOutcome, Download,
    DownloadOptions, DownloadOutcome, Error, Layer, ObjectIdentity, ObjectMetadata, ProviderInfo, Result,
    Stack, StorageKey, StorageProvider, TenantId, UploadOptions, async_trait,
};
use boards_storage_layers::{EncryptionLayer, Keyring, MemoryTenantKeyStore, SecretKey, TenantKeys};
use bytes::Bytes;
use futures_util::StreamExt;

/// The pieces in which content comes, such as a file's.
const PIECE_BYTES: usize = 256 << 10;

fn main() {
    let mib = argument("--mib").unwrap_or(256);
    let rounds = argument("--rounds").unwrap_or(5);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime
        .block_on(run(mib << 20, rounds))
        .expect("the benchmark runs");
}

fn argument(name: &str) -> Option<usize> {
    let mut arguments = std::env::args().skip_while(|argument| argument != name);
    arguments.nth(1)?.parse().ok()
}

async fn run(size: usize, rounds: usize) -> Result<()> {
    let alone = best(rounds, async || gcm(size)).await?;
    let store = Arc::new(Store::default());
    let keyring = Keyring::new("bench", SecretKey::random()?)?;
    let keys = TenantKeys::new(Arc::new(keyring), Arc::new(MemoryTenantKeyStore::default()));
    let layer: Arc<dyn Layer> = Arc::new(EncryptionLayer::new(keys));
    let stack = Stack::new("bench", Arc::clone(&store) as _, vec![layer]);
    let content = pieces(size);
    let write = best(rounds, async || upload(&stack, &content, size).await).await?;
    store.keep();
    upload(&stack, &content, size).await?;
    let read = best(rounds, async || download(&stack).await).await?;
    let openssl = openssl();
    println!("one stream of {} MiB, the best of {rounds} rounds", size >> 20);
    for (what, time) in [
        ("AES-256-GCM alone", alone),
        ("encrypt", write),
        ("decrypt", read),
    ] {
        let speed = size as f64 / time.as_secs_f64() / 1e6;
        match openssl {
            Some(reference) => {
                let share = speed / reference * 100.0;
                println!("{what:20} {speed:8.0} MB/s  {share:4.0} % of openssl");
            }
            None => println!("{what:20} {speed:8.0} MB/s"),
        }
    }
    match openssl {
        Some(reference) => println!("{:20} {reference:8.0} MB/s", "openssl speed"),
        None => println!("openssl is not there, so nothing is compared with it"),
    }
    Ok(())
}

async fn best(rounds: usize, once: impl AsyncFn() -> Result<Duration>) -> Result<Duration> {
    let mut best = Duration::MAX;
    for _ in 0..rounds.max(1) {
        best = best.min(once().await?);
    }
    Ok(best)
}

/// Seals segments in place, without anything around them.
fn gcm(size: usize) -> Result<Duration> {
    let key =
        UnboundKey::new(&AES_256_GCM, &[7; 32]).map_err(|_unspecified| Error::invalid_input("no key"))?;
    let key = LessSafeKey::new(key);
    let mut segment = vec![0; 65_520];
    let start = Instant::now();
    for number in 0..size / segment.len() {
        let mut nonce = [0; 12];
        nonce[..8].copy_from_slice(&(number as u64).to_be_bytes());
        let nonce = Nonce::assume_unique_for_key(nonce);
        let _tag = key
            .seal_in_place_separate_tag(nonce, Aad::empty(), &mut segment)
            .map_err(|_unspecified| Error::invalid_input("no segment"))?;
    }
    Ok(start.elapsed())
}

/// Returns what `openssl speed` says of AES-256-GCM in blocks of a segment's size, in MB/s.
fn openssl() -> Option<f64> {
    let arguments = ["speed", "-seconds", "2", "-bytes", "65536", "-evp", "aes-256-gcm"];
    let output = Command::new("openssl").args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let is_result = |line: &&str| line.to_lowercase().starts_with("aes-256-gcm");
    let last = text.lines().rev().find(is_result)?;
    let kilobytes: f64 = last.split_whitespace().last()?.strip_suffix('k')?.parse().ok()?;
    Some(kilobytes / 1000.0)
}

fn pieces(size: usize) -> Vec<Bytes> {
    let whole = Bytes::from(vec![0x5a; size]);
    (0..size)
        .step_by(PIECE_BYTES)
        .map(|at| whole.slice(at..size.min(at + PIECE_BYTES)))
        .collect()
}

fn context() -> Result<CallContext> {
    let identity = ObjectIdentity::new(TenantId::default(), "bench")?;
    Ok(CallContext::default().with_object(identity))
}

async fn upload(stack: &Stack, content: &[Bytes], size: usize) -> Result<Duration> {
    let pieces: Vec<_> = content.iter().cloned().map(Ok).collect();
    let content = Content::from_stream(Some(size as u64), futures_util::stream::iter(pieces));
    let options = UploadOptions::default().with_context(context()?);
    let start = Instant::now();
    stack.upload(&StorageKey::parse("a")?, content, &options).await?;
    Ok(start.elapsed())
}

async fn download(stack: &Stack) -> Result<Duration> {
    let options = DownloadOptions::default().with_context(context()?);
    let start = Instant::now();
    let download = stack.download(&StorageKey::parse("a")?, &options).await?;
    let mut stream = download.into_object()?.into_stream();
    while let Some(piece) = stream.next().await {
        drop(piece?);
    }
    Ok(start.elapsed())
}

/// A store that takes everything; what it keeps, it gives in pieces.
#[derive(Debug)]
struct Store {
    capabilities: Capabilities,
    kept: Mutex<Option<Vec<Bytes>>>,
}

impl Default for Store {
    fn default() -> Self {
        Self {
            capabilities: Capabilities::default().with(&[Capability::StreamingUpload]),
            kept: Mutex::default(),
        }
    }
}

impl Store {
    fn keep(&self) {
        *self.kept.lock().unwrap_or_else(PoisonError::into_inner) = Some(Vec::new());
    }
}

#[async_trait]
impl StorageProvider for Store {
    fn info(&self) -> ProviderInfo {
        ProviderInfo::new("bench", "nowhere")
    }

    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    async fn upload(
        &self,
        key: &StorageKey,
        content: Content,
        _options: &UploadOptions,
    ) -> Result<ObjectMetadata> {
        let mut stream = content.open().await?;
        let mut size = 0;
        while let Some(piece) = stream.next().await.transpose()? {
            size += piece.len() as u64;
            if let Some(kept) = &mut *self.kept.lock().unwrap_or_else(PoisonError::into_inner) {
                kept.push(piece);
            }
        }
        Ok(ObjectMetadata::new(key.clone(), size))
    }

    async fn download(&self, key: &StorageKey, _options: &DownloadOptions) -> Result<DownloadOutcome> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let kept = kept.ok_or_else(|| Error::not_found("nothing is kept"))?;
        let size = kept.iter().map(|piece| piece.len() as u64).sum();
        let stream = futures_util::stream::iter(kept.into_iter().map(Ok));
        let metadata = ObjectMetadata::new(key.clone(), size);
        let download = Download::from_stream(metadata, 0..size, Box::pin(stream));
        Ok(DownloadOutcome::Object(download))
    }

    async fn metadata(&self, _key: &StorageKey, _options: &CallOptions) -> Result<ObjectMetadata> {
        Err(Error::not_found("nothing is kept"))
    }

    async fn delete(&self, _key: &StorageKey, _options: &DeleteOptions) -> Result<DeleteOutcome> {
        Ok(DeleteOutcome::Unknown)
    }

    async fn probe(&self, _options: &CallOptions) -> Result<()> {
        Ok(())
    }
}

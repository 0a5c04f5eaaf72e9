//! Downloads: which stored bytes are asked for, and what is made of the answer.

use std::sync::Arc;

use boards_storage_core::{
    ByteRange, Capability, Download, DownloadOptions, DownloadOutcome, ETag, Error, ErrorKind, Next,
    NotModified, ObjectIdentity, ObjectMetadata, Operation, Outcome, Result, StorageKey,
};
use bytes::Bytes;

use super::format::{self, HEADERS_BYTES, damaged, plain_size};
use super::known::KnownHeaders;
use super::open::{Headers, Opener, Plan};
use super::tenant::TenantKeys;
use super::{attributes, crypto, described_as, no_size};

/// A stored object of up to this many bytes that is all here is opened at once.
const AT_ONCE_BYTES_MAX: usize = 256 << 10;

/// How often a read begins again because the object was replaced meanwhile.
const REPLACED_MAX: u32 = 5;

/// What is known before a range is fetched.
enum Head {
    /// The headers, the stored size, and of which state they are.
    Read(Box<Headers>, u64, Option<ETag>),
    /// The caller has this state already.
    NotModified(NotModified),
}

/// One read.
pub(super) struct Reading<'a> {
    pub(super) keys: &'a TenantKeys,
    pub(super) known: &'a KnownHeaders,
    pub(super) key: StorageKey,
    pub(super) identity: Arc<ObjectIdentity>,
    pub(super) options: Arc<DownloadOptions>,
    pub(super) next: Next,
}

impl Reading<'_> {
    async fn fetch(&self, options: Arc<DownloadOptions>) -> Result<DownloadOutcome> {
        let operation = Operation::Download {
            key: self.key.clone(),
            options,
        };
        match self.next.clone().run(operation).await? {
            Outcome::Download(outcome) => Ok(*outcome),
            other => Err(Error::new(
                ErrorKind::Storage,
                format!("a layer answered download with the outcome of {}", other.kind()),
            )),
        }
    }

    /// Reads everything.
    pub(super) async fn whole(&self) -> Result<DownloadOutcome> {
        match self.fetch(Arc::clone(&self.options)).await? {
            DownloadOutcome::Object(download) => {
                let stored = download.metadata().size_bytes;
                let plain = plain_size(stored).ok_or_else(no_size)?;
                self.open_from_start(download, Plan::whole(plain, stored)).await
            }
            not_modified => Ok(not_modified),
        }
    }

    /// Reads a range of the content.
    pub(super) async fn range(&self, range: ByteRange) -> Result<DownloadOutcome> {
        if let Some(from_start) = with_headers(range) {
            return self.range_from_start(range, from_start).await;
        }
        let may_begin_again = self.options.if_match.is_none() && self.options.version.is_none();
        for attempt in 1.. {
            match self.range_behind(range).await {
                Err(error)
                    if error.kind() == ErrorKind::PreconditionFailed
                        && may_begin_again
                        && attempt < REPLACED_MAX => {}
                outcome => return outcome,
            }
        }
        unreachable!("the loop returns")
    }

    /// Reads a range that begins in the first segment: the headers come with it.
    async fn range_from_start(&self, range: ByteRange, stored: ByteRange) -> Result<DownloadOutcome> {
        let mut options = Arc::clone(&self.options);
        Arc::make_mut(&mut options).range = Some(stored);
        match self.fetch(options).await.map_err(too_short)? {
            DownloadOutcome::Object(download) => {
                let stored = download.metadata().size_bytes;
                let plain = plain_size(stored).ok_or_else(no_size)?;
                let plan = Plan::new(range.resolve(plain)?, plain, stored);
                self.open_from_start(download, plan).await
            }
            not_modified => Ok(not_modified),
        }
    }

    /// Reads a range that begins later: first the headers, then its segments of the same state of the object.
    async fn range_behind(&self, range: ByteRange) -> Result<DownloadOutcome> {
        let (headers, stored, etag) = match self.headers().await? {
            Head::Read(headers, stored, etag) => (*headers, stored, etag),
            Head::NotModified(not_modified) => return Ok(DownloadOutcome::NotModified(not_modified)),
        };
        let plain = plain_size(stored).ok_or_else(no_size)?;
        let plan = Plan::new(range.resolve(plain)?, plain, stored);
        let opener = self.opener(headers, plan.clone()).await?;
        let mut options = Arc::clone(&self.options);
        let asked = Arc::make_mut(&mut options);
        asked.range = Some(ByteRange::from(plan.stored.clone()));
        asked.if_none_match = None;
        asked.if_modified_since = None;
        if asked.if_match.is_none() && self.next.capabilities().has(Capability::ConditionalDownload) {
            asked.if_match.clone_from(&etag);
        }
        let body = self.fetch(options).await?.into_object()?;
        let metadata = Arc::clone(body.metadata());
        if metadata.size_bytes != stored || metadata.etag != etag {
            return Err(Error::new(
                ErrorKind::PreconditionFailed,
                "the object was replaced while a range of it was read",
            ));
        }
        self.deliver(&metadata, opener, plan, Bytes::new(), body).await
    }

    /// Reads the headers, or finds those that were read of this very state.
    async fn headers(&self) -> Result<Head> {
        let is_plain = self.options.if_none_match.is_none() && self.options.if_modified_since.is_none();
        if let Some(etag) = self.options.if_match.as_ref().filter(|_| is_plain)
            && let Some((headers, stored)) = self.known.find(&self.key, etag)
        {
            return Ok(Head::Read(Box::new(headers), stored, Some(etag.clone())));
        }
        let mut options = Arc::clone(&self.options);
        Arc::make_mut(&mut options).range = Some(ByteRange::from(0..HEADERS_BYTES));
        let head = match self.fetch(options).await.map_err(too_short)? {
            DownloadOutcome::Object(head) => head,
            DownloadOutcome::NotModified(not_modified) => return Ok(Head::NotModified(not_modified)),
        };
        let metadata = Arc::clone(head.metadata());
        let (headers, _none) = Headers::read(&mut head.into_stream()).await?;
        self.known
            .note(&self.key, metadata.etag.as_ref(), &headers, metadata.size_bytes);
        Ok(Head::Read(
            Box::new(headers),
            metadata.size_bytes,
            metadata.etag.clone(),
        ))
    }

    async fn open_from_start(&self, download: Download, plan: Plan) -> Result<DownloadOutcome> {
        let metadata = Arc::clone(download.metadata());
        if let Some(bytes) = download.as_bytes() {
            let mut first = bytes.clone();
            let headers = Headers::parse(&first)?;
            let opener = self.opener(headers, plan.clone()).await?;
            let body = first.split_off(usize::try_from(HEADERS_BYTES).unwrap_or(usize::MAX));
            let size = body.len() as u64;
            let body = Download::from_bytes(Arc::clone(&metadata), 0..size, body);
            return self.deliver(&metadata, opener, plan, Bytes::new(), body).await;
        }
        let mut stream = download.into_stream();
        let (headers, first) = Headers::read(&mut stream).await?;
        let opener = self.opener(headers, plan.clone()).await?;
        let plain = self.described(&metadata, &plan).await?;
        let range = plan.plain.clone();
        Ok(DownloadOutcome::Object(Download::from_stream(
            plain,
            range,
            opener.open_stream(first, stream),
        )))
    }

    /// Opens the bytes that stand behind the headers.
    async fn deliver(
        &self,
        metadata: &ObjectMetadata,
        opener: Opener,
        plan: Plan,
        first: Bytes,
        body: Download,
    ) -> Result<DownloadOutcome> {
        let plain = self.described(metadata, &plan).await?;
        let range = plan.plain.clone();
        let download = match body.as_bytes() {
            Some(bytes) if bytes.len() <= AT_ONCE_BYTES_MAX => {
                Download::from_bytes(plain, range, opener.open_all(bytes)?)
            }
            _ => Download::from_stream(plain, range, opener.open_stream(first, body.into_stream())),
        };
        Ok(DownloadOutcome::Object(download))
    }

    async fn described(&self, stored: &ObjectMetadata, plan: &Plan) -> Result<ObjectMetadata> {
        let mut metadata = described_as(stored.clone(), plan.plain_size());
        attributes::open(self.keys, &mut metadata.attributes, Some(&self.identity)).await?;
        Ok(metadata)
    }

    async fn opener(&self, headers: Headers, plan: Plan) -> Result<Opener> {
        let generation = headers.ours.generation();
        let tenant_key = self.keys.generation(self.identity.tenant(), generation).await?;
        let data_key = headers.ours.unwrap(&tenant_key, &self.identity)?;
        let key = headers.tink.segment_key(&data_key, &self.identity);
        Ok(Opener::new(crypto::cipher(&key), headers.tink, plan))
    }
}

/// Returns the stored range from the object's start that covers a range which begins in the first segment.
fn with_headers(range: ByteRange) -> Option<ByteRange> {
    let is_first = |start: u64| start < format::segment_start(1);
    match range {
        ByteRange::Bounded { start, end } if is_first(start) && end > start => {
            let segments = 0..format::segment_of(end.min(format::PLAIN_BYTES_MAX) - 1) + 1;
            Some(ByteRange::from(0..format::stored_range(segments, u64::MAX).end))
        }
        ByteRange::From(start) if is_first(start) => Some(ByteRange::From(0)),
        ByteRange::Bounded { .. } | ByteRange::From(_) | ByteRange::Suffix(_) => None,
    }
}

/// A range of the headers that the store does not have means that it has no encrypted object.
fn too_short(error: Error) -> Error {
    if error.status() == Some(416) {
        return damaged("the object is shorter than its headers").with_source(error);
    }
    error
}

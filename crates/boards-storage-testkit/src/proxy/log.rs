//! What the proxy remembers of its requests. No secret: of a query only the names, of the headers those that say
//! which bytes are meant.

use parking_lot::Mutex;
use tokio::time::Instant;

use super::fault::Fault;
use super::head::RequestHead;

/// The headers that are remembered.
const KEPT_HEADERS: [&str; 7] = [
    "content-range",
    "if-match",
    "if-none-match",
    "range",
    "upload-length",
    "upload-offset",
    "x-goog-if-generation-match",
];

/// How an exchange ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// It goes on.
    Open,
    /// The client got a whole answer.
    Whole,
    /// A fault cut it.
    Cut,
    /// The client went away before the end of the answer.
    ClientLeft,
    /// The server could not be reached, or broke the connection.
    UpstreamFailed,
}

/// A request that came by.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ProxiedRequest {
    /// The method.
    pub method: String,
    /// The path as it was sent, without the query.
    pub path: String,
    /// The names in the query, in order.
    pub query_names: Vec<String>,
    /// When its head had come, by tokio's clock.
    pub at: Instant,
    /// The final status that the server, or the fault in its place, answered.
    pub status: Option<u16>,
    /// The bytes of its body that the server got.
    pub request_body_bytes: u64,
    /// The bytes of the answer's body that were sent to the client.
    pub response_body_bytes: u64,
    /// The fault that took effect.
    pub fault: Option<Fault>,
    /// How it ended.
    pub ending: Ending,
    headers: Vec<(&'static str, String)>,
}

impl ProxiedRequest {
    fn new(head: &RequestHead) -> Self {
        let (path, query) = head.target.split_once('?').unwrap_or((&head.target, ""));
        let names = query.split('&').filter_map(|pair| pair.split('=').next());
        Self {
            method: head.method.clone(),
            path: path.to_owned(),
            query_names: names.filter(|name| !name.is_empty()).map(str::to_owned).collect(),
            at: Instant::now(),
            status: None,
            request_body_bytes: 0,
            response_body_bytes: 0,
            fault: None,
            ending: Ending::Open,
            headers: KEPT_HEADERS
                .into_iter()
                .filter_map(|name| Some((name, head.header(name)?.to_owned())))
                .collect(),
        }
    }

    /// Returns one of the headers that say which bytes are meant, by its name in lower case: `range`,
    /// `content-range`, `if-match`, `if-none-match`, `x-goog-if-generation-match`, `upload-offset`, `upload-length`.
    /// No other is remembered.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(known, _)| *known == name);
        found.map(|(_, value)| value.as_str())
    }

    /// Returns whether the query has a name.
    #[must_use]
    pub fn has_query(&self, name: &str) -> bool {
        self.query_names.iter().any(|known| known == name)
    }
}

/// What went through a proxy since its start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Totals {
    /// The requests.
    pub requests: u64,
    /// The bytes of their bodies that the server got.
    pub request_body_bytes: u64,
    /// The bytes of the answers' bodies that were sent to clients.
    pub response_body_bytes: u64,
    /// The faults that took effect.
    pub faults: u64,
}

#[derive(Debug, Default)]
pub(super) struct Log {
    book: Mutex<Book>,
}

#[derive(Debug, Default)]
struct Book {
    /// Each with its number, which grows.
    requests: Vec<(u64, ProxiedRequest)>,
    totals: Totals,
}

impl Log {
    pub(super) fn requests(&self) -> Vec<ProxiedRequest> {
        let book = self.book.lock();
        book.requests.iter().map(|(_, request)| request.clone()).collect()
    }

    pub(super) fn take(&self) -> Vec<ProxiedRequest> {
        let mut book = self.book.lock();
        let (open, ended) = std::mem::take(&mut book.requests)
            .into_iter()
            .partition(|(_, request)| request.ending == Ending::Open);
        book.requests = open;
        ended.into_iter().map(|(_, request)| request).collect()
    }

    pub(super) fn totals(&self) -> Totals {
        self.book.lock().totals
    }

    pub(super) fn enter(&self, head: &RequestHead) -> Entry<'_> {
        let mut book = self.book.lock();
        book.totals.requests += 1;
        let number = book.totals.requests;
        book.requests.push((number, ProxiedRequest::new(head)));
        Entry { log: self, number }
    }
}

/// The line of one exchange; it is written while the exchange goes on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry<'a> {
    log: &'a Log,
    number: u64,
}

impl Entry<'_> {
    pub(super) fn sent(self, bytes: u64) {
        self.change(|request, totals| {
            request.request_body_bytes += bytes;
            totals.request_body_bytes += bytes;
        });
    }

    pub(super) fn answered(self, bytes: u64) {
        self.change(|request, totals| {
            request.response_body_bytes += bytes;
            totals.response_body_bytes += bytes;
        });
    }

    pub(super) fn status(self, status: u16) {
        self.change(|request, _| request.status = Some(status));
    }

    pub(super) fn fault(self, fault: &Fault) {
        self.change(|request, totals| {
            request.fault = Some(fault.clone());
            totals.faults += 1;
        });
    }

    pub(super) fn end(self, ending: Ending) {
        self.change(|request, _| request.ending = ending);
    }

    fn change(self, change: impl FnOnce(&mut ProxiedRequest, &mut Totals)) {
        let mut book = self.log.book.lock();
        let Book { requests, totals } = &mut *book;
        // An open request is never taken out; most often it is one of the last.
        if let Some((_, request)) = requests
            .iter_mut()
            .rev()
            .find(|(number, _)| *number == self.number)
        {
            change(request, totals);
        }
    }
}

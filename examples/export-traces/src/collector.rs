//! A collector that keeps what it gets: an HTTP server that reads OTLP's protobuf.

use std::error::Error;
use std::sync::{Arc, Mutex, PoisonError};

use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// The greatest request that it reads.
const BODY_BYTES_MAX: usize = 4 << 20;

type Spans = Arc<Mutex<Vec<Span>>>;

/// A collector on the loopback address. It ends when it is dropped.
pub struct Collector {
    endpoint: String,
    spans: Spans,
    task: JoinHandle<()>,
}

impl Collector {
    pub async fn start() -> Result<Self, Box<dyn Error>> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let endpoint = format!("http://{}/v1/traces", listener.local_addr()?);
        let spans = Spans::default();
        let task = tokio::spawn(serve(listener, Arc::clone(&spans)));
        Ok(Self {
            endpoint,
            spans,
            task,
        })
    }

    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// Returns what it got, by time.
    pub fn spans(&self) -> Vec<Span> {
        let mut spans = self.spans.lock().unwrap_or_else(PoisonError::into_inner).clone();
        spans.sort_by_key(|span| span.start_time_unix_nano);
        spans
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(listener: TcpListener, spans: Spans) {
    while let Ok((connection, _peer)) = listener.accept().await {
        // The exporter sends one batch after the other; it hears of a failure by the closed connection.
        if let Err(error) = answer(connection, &spans).await {
            eprintln!("the collector could not read a request: {error}");
        }
    }
}

/// Reads one request, keeps its spans, and closes.
async fn answer(connection: TcpStream, spans: &Spans) -> Result<(), Box<dyn Error>> {
    let mut connection = BufReader::new(connection);
    let mut length = 0;
    loop {
        let mut line = String::new();
        connection.read_line(&mut line).await?;
        let line = line.trim_end().to_ascii_lowercase();
        if line.is_empty() {
            break;
        }
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse()?;
        }
    }
    if length > BODY_BYTES_MAX {
        return Err(format!("{length} bytes are more than the {BODY_BYTES_MAX} that are read").into());
    }
    let mut body = vec![0; length];
    connection.read_exact(&mut body).await?;
    let request = ExportTraceServiceRequest::decode(&body[..])?;
    let found = request
        .resource_spans
        .into_iter()
        .flat_map(|resource| resource.scope_spans)
        .flat_map(|scope| scope.spans);
    spans.lock().unwrap_or_else(PoisonError::into_inner).extend(found);
    let body = ExportTraceServiceResponse::default().encode_to_vec();
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/x-protobuf\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        body.len()
    );
    connection.write_all(head.as_bytes()).await?;
    connection.write_all(&body).await?;
    connection.shutdown().await?;
    Ok(())
}

/// Prints the spans below their parents.
pub fn show(spans: &[Span]) {
    let is_root = |span: &&Span| !spans.iter().any(|other| other.span_id == span.parent_span_id);
    for root in spans.iter().filter(is_root) {
        show_below(spans, root, 0);
    }
}

fn show_below(spans: &[Span], span: &Span, depth: usize) {
    let attribute = |name| text(span, name).unwrap_or_default();
    println!(
        "{:indent$}{} [{} {} {} µs]",
        "",
        span.name,
        attribute("storage.outcome"),
        attribute("storage.key"),
        (span.end_time_unix_nano - span.start_time_unix_nano) / 1000,
        indent = depth * 2
    );
    for child in spans.iter().filter(|child| child.parent_span_id == span.span_id) {
        show_below(spans, child, depth + 1);
    }
}

/// Checks that all is within the caller's trace: each call a child of its span, each attempt a child of its call.
pub fn check(spans: &[Span], trace_parent: &str) -> Result<(), Box<dyn Error>> {
    let mut fields = trace_parent.split('-').skip(1);
    let (trace, caller) = (
        fields.next().unwrap_or_default(),
        fields.next().unwrap_or_default(),
    );
    let within: Vec<&Span> = spans.iter().filter(|span| hex(&span.trace_id) == trace).collect();
    let mut calls = Vec::new();
    for operation in ["upload", "download"] {
        let named = |has_attempt: bool| {
            within.iter().find(|span| {
                text(span, "storage.operation").as_deref() == Some(operation)
                    && has_attempt == has(span, "storage.attempt")
            })
        };
        let call = named(false).ok_or(format!("there is no call of {operation} in the caller's trace"))?;
        let attempt = named(true).ok_or(format!(
            "there is no attempt of {operation} in the caller's trace"
        ))?;
        if attempt.parent_span_id != call.span_id {
            return Err(format!("the attempt of {operation} is no child of its call").into());
        }
        if call.kind != 3 || text(call, "storage.outcome").as_deref() != Some("ok") {
            return Err(format!("the call of {operation} is {call:?}").into());
        }
        calls.push(call);
    }
    for call in &calls {
        let is_below = ancestors(spans, call).any(|parent| parent == caller);
        if !is_below {
            return Err(format!("the call {} is not below the caller's span", call.name).into());
        }
    }
    println!(
        "{} spans, {} of them in the caller's trace {trace}",
        spans.len(),
        within.len()
    );
    Ok(())
}

/// The ids of the spans above one, the nearest first.
fn ancestors<'a>(spans: &'a [Span], span: &'a Span) -> impl Iterator<Item = String> + 'a {
    let parent_of = |id: &[u8]| spans.iter().find(|span| span.span_id == id);
    let mut next = Some(&span.parent_span_id);
    std::iter::from_fn(move || {
        let id = next?;
        next = parent_of(id).map(|span| &span.parent_span_id);
        Some(hex(id))
    })
}

fn has(span: &Span, name: &str) -> bool {
    span.attributes.iter().any(|attribute| attribute.key == name)
}

fn text(span: &Span, name: &str) -> Option<String> {
    let attribute = span.attributes.iter().find(|attribute| attribute.key == name)?;
    match attribute.value.as_ref()?.value.as_ref()? {
        Value::StringValue(text) => Some(text.clone()),
        _ => None,
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

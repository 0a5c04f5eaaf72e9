//! Stores and reads an artifact within a caller's trace, and gives the spans to an OpenTelemetry collector by
//! OTLP over HTTP.
//!
//! ```sh
//! cargo run -- http://127.0.0.1:4318/v1/traces    # to a collector, such as Jaeger's or Grafana Tempo's
//! cargo run                                       # to one of its own, which shows what it got and checks it
//! ```

mod collector;

use std::error::Error;
use std::time::Duration;

use boards_storage::CallContext;
use boards_storage::prelude::*;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::{Layer as _, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

use crate::collector::Collector;

/// The `traceparent` that the caller's request came with.
const TRACE_PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    match std::env::args().nth(1) {
        Some(endpoint) => export_to(&endpoint).await,
        None => {
            let collector = Collector::start().await?;
            export_to(collector.endpoint()).await?;
            let spans = collector.spans();
            collector::show(&spans);
            collector::check(&spans, TRACE_PARENT)
        }
    }
}

/// Does the job with an exporter to that endpoint.
async fn export_to(endpoint: &str) -> Result<(), Box<dyn Error>> {
    let provider = tracer_provider(endpoint)?;
    // The exporter's own HTTP client has spans too, which would be exported in turn.
    let ours = Targets::new().with_target("boards_storage", LevelFilter::DEBUG);
    let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer("boards-storage"));
    tracing_subscriber::registry()
        .with(layer.with_filter(ours))
        .init();
    store_and_read().await?;
    // Spans leave in batches, from a thread of their own: the last ones leave now.
    tokio::task::spawn_blocking(move || provider.shutdown()).await??;
    Ok(())
}

fn tracer_provider(endpoint: &str) -> Result<SdkTracerProvider, Box<dyn Error>> {
    let exporter = SpanExporter::builder()
        .with_http()
        .with_protocol(Protocol::HttpBinary)
        .with_endpoint(endpoint)
        .with_timeout(Duration::from_secs(5))
        .build()?;
    let resource = Resource::builder().with_service_name("export-traces").build();
    Ok(SdkTracerProvider::builder()
        .with_batch_exporter(exporter)
        .with_resource(resource)
        .build())
}

/// What the application does: the job of one request.
async fn store_and_read() -> Result<(), Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let storage = Storage::builder().local(folder.path()).open().await?;
    let context = CallContext::default()
        .with_trace_parent(TRACE_PARENT)
        .with_request_id("req-1");
    let artifact = NewArtifact::new(ArtifactType::Text).with_context(context.clone());
    let stored = storage.store_artifact(artifact, "hello").await?;
    let options = OpenOptions::default().with_context(context);
    let bytes = storage.open_artifact(&stored, &options).await?.bytes(10).await?;
    assert_eq!(&bytes[..], b"hello");
    storage.close().await?;
    Ok(())
}

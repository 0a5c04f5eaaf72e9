//! Stores and reads a few artifacts, then gives the metrics of it to Prometheus.
//!
//! ```sh
//! cargo run -p boards-storage --features prometheus --example prometheus                        # prints them
//! cargo run -p boards-storage --features prometheus --example prometheus -- 127.0.0.1:9187      # serves them
//! ```

#![expect(clippy::print_stdout, reason = "it is an example: it shows what it does")]

use std::error::Error;

use boards_storage::PrometheusExporter;
use boards_storage::prelude::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let exporter = PrometheusExporter::install()?;
    let folder = tempfile::tempdir()?;
    let storage = Storage::builder().local(folder.path()).open().await?;
    for text in ["one", "two", "three"] {
        let stored = storage
            .store_artifact(NewArtifact::new(ArtifactType::Text), text)
            .await?;
        let read = storage.open_artifact(&stored, &OpenOptions::default()).await?;
        assert_eq!(read.bytes(10).await?, text);
    }
    match std::env::args().nth(1) {
        None => println!("{}", exporter.render_with(&storage).await?),
        Some(address) => {
            let listener = TcpListener::bind(&address).await?;
            println!("metrics are at http://{}/metrics", listener.local_addr()?);
            loop {
                let (connection, _peer) = listener.accept().await?;
                // A peer that went away is no reason to stop.
                let _ = answer(connection, &exporter, &storage).await;
            }
        }
    }
    storage.close().await?;
    Ok(())
}

/// Answers one request, whatever it asks for. A server of the application's own does this in a route.
async fn answer(
    mut connection: TcpStream,
    exporter: &PrometheusExporter,
    storage: &StorageManager,
) -> Result<(), Box<dyn Error>> {
    let mut request = [0; 4096];
    let _length = connection.read(&mut request).await?;
    let body = exporter.render_with(storage).await?;
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: {}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        PrometheusExporter::CONTENT_TYPE,
        body.len()
    );
    connection.write_all(head.as_bytes()).await?;
    connection.write_all(body.as_bytes()).await?;
    Ok(())
}

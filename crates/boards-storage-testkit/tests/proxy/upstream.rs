//! The server behind the proxy: gives bytes, and counts those that it is given.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::{Body as _, Bytes, Frame, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinHandle;

type Answer = Response<BoxBody<Bytes, Infallible>>;
type Stored = Arc<Mutex<HashMap<String, u64>>>;

#[derive(Debug)]
pub(crate) struct Upstream {
    pub(crate) address: String,
    stored: Stored,
    broken: tokio::sync::Mutex<UnboundedReceiver<String>>,
    server: JoinHandle<()>,
}

impl Upstream {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address").to_string();
        let stored = Stored::default();
        let (tell_broken, broken) = unbounded_channel();
        let shared = Arc::clone(&stored);
        let server = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (stored, broken) = (Arc::clone(&shared), tell_broken.clone());
                tokio::spawn(async move {
                    let service = service_fn(|request| answer(request, &stored, &broken));
                    // A connection that breaks is what these tests are about.
                    let _ = http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service)
                        .await;
                });
            }
        });
        Self {
            address,
            stored,
            broken: tokio::sync::Mutex::new(broken),
            server,
        }
    }

    /// The size of a body that came whole.
    pub(crate) fn stored(&self, path: &str) -> Option<u64> {
        self.stored.lock().expect("no holder panics").get(path).copied()
    }

    /// Waits for a request whose body breaks, and returns its path.
    pub(crate) async fn broken(&self) -> String {
        self.broken.lock().await.recv().await.expect("the server runs")
    }

    pub(crate) async fn stop(self) {
        self.server.abort();
        let _ = self.server.await;
    }
}

async fn answer(
    request: Request<Incoming>,
    stored: &Stored,
    broken: &UnboundedSender<String>,
) -> Result<Answer, Infallible> {
    let path = request.uri().path().to_owned();
    if request.method() == Method::PUT {
        return Ok(store(request.into_body(), path, stored, broken).await);
    }
    let size = |text: &str| text.parse().expect("a size");
    Ok(if let Some(text) = path.strip_prefix("/bytes/") {
        plain(StatusCode::OK, digits(size(text)))
    } else if let Some(text) = path.strip_prefix("/chunks/") {
        let piece = Ok(Frame::data(digits(size(text))));
        Response::new(StreamBody::new(futures_util::stream::iter([piece])).boxed())
    } else if path == "/host" {
        let host = request.headers()["host"].as_bytes().to_owned();
        plain(StatusCode::OK, host.into())
    } else {
        plain(StatusCode::NOT_FOUND, Bytes::new())
    })
}

async fn store(
    mut body: Incoming,
    path: String,
    stored: &Stored,
    broken: &UnboundedSender<String>,
) -> Answer {
    let mut size = 0;
    while !body.is_end_stream() {
        match body.frame().await {
            None => break,
            Some(Ok(frame)) => size += frame.data_ref().map_or(0, |piece| piece.len() as u64),
            Some(Err(_)) => {
                let _ = broken.send(path);
                return plain(StatusCode::BAD_REQUEST, Bytes::new());
            }
        }
    }
    stored.lock().expect("no holder panics").insert(path, size);
    plain(StatusCode::CREATED, format!("stored {size}").into())
}

fn plain(status: StatusCode, body: Bytes) -> Answer {
    let mut answer = Response::new(Full::new(body).boxed());
    *answer.status_mut() = status;
    answer
}

fn digits(size: usize) -> Bytes {
    b"0123456789".iter().copied().cycle().take(size).collect()
}

//! A client that sends exactly what it is given.

use std::collections::HashMap;
use std::net::SocketAddr;

use bytes::Bytes;
use futures_util::stream;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::Frame;
use hyper_util::rt::TokioIo;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

/// What the server answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

/// Sends one request on a connection of its own.
pub(crate) async fn send(
    address: SocketAddr,
    method: &str,
    path: &str,
    headers: &HashMap<String, String>,
    body: Vec<u8>,
) -> Result<Answer, String> {
    let stream = TcpStream::connect(address)
        .await
        .map_err(|error| error.to_string())?;
    let (mut sender, connection) = hyper::client::conn::http1::Builder::new()
        .handshake(TokioIo::new(stream))
        .await
        .map_err(|error| error.to_string())?;
    let connection = tokio::spawn(connection);
    let is_chunked = headers
        .keys()
        .any(|name| name.eq_ignore_ascii_case("transfer-encoding"));
    let body: UnsyncBoxBody<Bytes, std::io::Error> = if is_chunked {
        let pieces: Vec<_> = body
            .chunks(16 << 10)
            .map(|piece| Ok(Frame::data(Bytes::copy_from_slice(piece))))
            .collect();
        StreamBody::new(stream::iter(pieces)).boxed_unsync()
    } else {
        Full::new(Bytes::from(body))
            .map_err(|never| match never {})
            .boxed_unsync()
    };
    let mut request = http::Request::builder().method(method).uri(path);
    for (name, value) in headers {
        let is_framing = ["content-length", "transfer-encoding", "connection", "expect"]
            .iter()
            .any(|framing| name.eq_ignore_ascii_case(framing));
        if !is_framing {
            request = request.header(name, value.as_bytes());
        }
    }
    let request = request.body(body).map_err(|error| error.to_string())?;
    let response = sender
        .send_request(request)
        .await
        .map_err(|error| error.to_string())?;
    let (head, body) = response.into_parts();
    let body = body
        .collect()
        .await
        .map_err(|error| error.to_string())?
        .to_bytes();
    connection.abort();
    let text = |value: &http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    Ok(Answer {
        status: head.status.as_u16(),
        headers: head
            .headers
            .iter()
            .map(|(name, value)| (name.to_string(), text(value)))
            .collect(),
        body: body.to_vec(),
    })
}

/// Sends the beginning of a request, and keeps the connection.
pub(crate) async fn send_partly(address: SocketAddr, head: &str, length: usize, bytes: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.expect("the double listens");
    let head = format!("{head}host: double\r\ncontent-length: {length}\r\n\r\n");
    stream.write_all(head.as_bytes()).await.expect("sent");
    stream.write_all(bytes).await.expect("sent");
    stream.flush().await.expect("sent");
    // The double must have seen it.
    tokio::time::sleep(std::time::Duration::from_millis(150)).await;
    stream
}

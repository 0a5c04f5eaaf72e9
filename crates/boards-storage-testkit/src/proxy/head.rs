//! Heads of requests and answers: read to their end, checked, and written anew with `connection: close`.

use std::io;

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncReadExt as _};

use super::framing::Framing;

/// The longest head, in bytes.
const HEAD_BYTES_MAX: usize = 64 << 10;
const HEADERS_MAX: usize = 128;

/// The first line, and the headers without those that concern the connection alone.
#[derive(Debug)]
struct Lines {
    first: String,
    headers: Vec<(String, Vec<u8>)>,
}

impl Lines {
    fn new(first: String, headers: &[httparse::Header<'_>]) -> Self {
        let is_kept = |name: &str| {
            !["connection", "keep-alive", "proxy-connection"]
                .iter()
                .any(|own| name.eq_ignore_ascii_case(own))
        };
        let kept = headers.iter().filter(|header| is_kept(header.name));
        Self {
            first,
            headers: kept
                .map(|header| (header.name.to_owned(), header.value.to_owned()))
                .collect(),
        }
    }

    fn header(&self, name: &str) -> Option<&str> {
        let found = self
            .headers
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.and_then(|(_, value)| std::str::from_utf8(value).ok())
    }

    fn write(&self, connection: Option<&str>) -> Vec<u8> {
        let mut text = format!("{}\r\n", self.first).into_bytes();
        let mut line = |name: &str, value: &[u8]| {
            text.extend_from_slice(name.as_bytes());
            text.extend_from_slice(b": ");
            text.extend_from_slice(value);
            text.extend_from_slice(b"\r\n");
        };
        for (name, value) in &self.headers {
            line(name, value);
        }
        if let Some(connection) = connection {
            line("connection", connection.as_bytes());
        }
        text.extend_from_slice(b"\r\n");
        text
    }

    /// Where the body ends, if the head says so.
    fn framing(&self) -> io::Result<Option<Framing>> {
        let codings = self.header("transfer-encoding").unwrap_or_default();
        if codings.to_ascii_lowercase().ends_with("chunked") {
            return Ok(Some(Framing::chunked()));
        }
        let Some(length) = self.header("content-length") else {
            return Ok(None);
        };
        let length = length
            .trim()
            .parse()
            .map_err(|source| io::Error::new(io::ErrorKind::InvalidData, source))?;
        Ok(Some(Framing::length(length)))
    }
}

#[derive(Debug)]
pub(super) struct RequestHead {
    pub(super) method: String,
    /// Path and query, as they were sent.
    pub(super) target: String,
    lines: Lines,
}

impl RequestHead {
    /// Reads a head; what came after it stays in `buffer`. Nothing if the client goes away before.
    pub(super) async fn read(
        stream: &mut (impl AsyncRead + Unpin),
        buffer: &mut BytesMut,
    ) -> io::Result<Option<Self>> {
        read(stream, buffer, |bytes| {
            let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
            let mut request = httparse::Request::new(&mut headers);
            let length = request.parse(bytes).map_err(invalid)?;
            let httparse::Status::Complete(length) = length else {
                return Ok(None);
            };
            let (method, target) = (
                request.method.unwrap_or_default(),
                request.path.unwrap_or_default(),
            );
            let first = format!("{method} {target} HTTP/1.{}", request.version.unwrap_or(1));
            let head = Self {
                method: method.to_owned(),
                target: target.to_owned(),
                lines: Lines::new(first, request.headers),
            };
            Ok(Some((length, head)))
        })
        .await
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.lines.header(name)
    }

    pub(super) fn framing(&self) -> io::Result<Framing> {
        Ok(self.lines.framing()?.unwrap_or(Framing::length(0)))
    }

    pub(super) fn set_host(&mut self, host: &str) {
        for (name, value) in &mut self.lines.headers {
            if name.eq_ignore_ascii_case("host") {
                *value = host.as_bytes().to_owned();
            }
        }
    }

    pub(super) fn write(&self) -> Vec<u8> {
        self.lines.write(Some("close"))
    }
}

#[derive(Debug)]
pub(super) struct ResponseHead {
    pub(super) status: u16,
    lines: Lines,
}

impl ResponseHead {
    /// Reads a head; what came after it stays in `buffer`. Nothing if the server closes before.
    pub(super) async fn read(
        stream: &mut (impl AsyncRead + Unpin),
        buffer: &mut BytesMut,
    ) -> io::Result<Option<Self>> {
        read(stream, buffer, |bytes| {
            let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
            let mut response = httparse::Response::new(&mut headers);
            let length = response.parse(bytes).map_err(invalid)?;
            let httparse::Status::Complete(length) = length else {
                return Ok(None);
            };
            let status = response.code.unwrap_or_default();
            let reason = response.reason.unwrap_or_default();
            let first = format!("HTTP/1.{} {status} {reason}", response.version.unwrap_or(1));
            let lines = Lines::new(first, response.headers);
            Ok(Some((length, Self { status, lines })))
        })
        .await
    }

    /// Replaces one server's address by another at the beginning of `Location`.
    pub(super) fn move_location(&mut self, from: &str, to: &str) {
        for (name, value) in &mut self.lines.headers {
            if name.eq_ignore_ascii_case("location")
                && let Some(rest) = value.strip_prefix(from.as_bytes())
                && matches!(rest.first(), None | Some(b'/' | b'?'))
            {
                *value = [to.as_bytes(), rest].concat();
            }
        }
    }

    /// Whether another head follows.
    pub(super) fn is_interim(&self) -> bool {
        (100..200).contains(&self.status)
    }

    /// Where the body of the answer to a request of this method ends.
    pub(super) fn framing(&self, method: &str) -> io::Result<Framing> {
        if method == "HEAD" || self.is_interim() || matches!(self.status, 204 | 304) {
            return Ok(Framing::length(0));
        }
        Ok(self.lines.framing()?.unwrap_or(Framing::UntilClose))
    }

    pub(super) fn write(&self) -> Vec<u8> {
        self.lines.write((!self.is_interim()).then_some("close"))
    }
}

/// Reads until `parse` has a head, takes it out of the buffer, and leaves the rest there.
async fn read<T>(
    stream: &mut (impl AsyncRead + Unpin),
    buffer: &mut BytesMut,
    parse: impl Fn(&[u8]) -> io::Result<Option<(usize, T)>>,
) -> io::Result<Option<T>> {
    loop {
        if let Some((length, head)) = parse(buffer)? {
            let _ = buffer.split_to(length);
            return Ok(Some(head));
        }
        if buffer.len() > HEAD_BYTES_MAX {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                format!("a head has more than {HEAD_BYTES_MAX} bytes"),
            ));
        }
        if stream.read_buf(buffer).await? == 0 {
            return Ok(None);
        }
    }
}

fn invalid(source: httparse::Error) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, source)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_request_is_passed_on_for_one_exchange_and_under_another_host() {
        let mut sent =
            &b"PUT /a?b=c HTTP/1.1\r\nHost: here:1\r\nConnection: keep-alive\r\nX-A: b\r\n\r\nrest"[..];
        let mut buffer = BytesMut::new();
        let head = RequestHead::read(&mut sent, &mut buffer).await.expect("valid");
        let mut head = head.expect("complete");
        head.set_host("there:2");
        assert_eq!(
            String::from_utf8_lossy(&head.write()),
            "PUT /a?b=c HTTP/1.1\r\nHost: there:2\r\nX-A: b\r\nconnection: close\r\n\r\n"
        );
        assert_eq!(
            (head.method.as_str(), head.target.as_str(), &buffer[..]),
            ("PUT", "/a?b=c", &b"rest"[..])
        );
    }

    #[tokio::test]
    async fn an_interim_answer_keeps_the_connection() {
        let mut sent = &b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx"[..];
        let mut buffer = BytesMut::new();
        let mut heads = Vec::new();
        for _ in 0..2 {
            let head = ResponseHead::read(&mut sent, &mut buffer).await.expect("valid");
            heads.push(String::from_utf8_lossy(&head.expect("complete").write()).into_owned());
        }
        assert_eq!(
            heads,
            [
                "HTTP/1.1 100 Continue\r\n\r\n",
                "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nconnection: close\r\n\r\n"
            ]
        );
    }

    async fn check_moved(location: &str, expected: &str) {
        let sent = format!("HTTP/1.1 200 OK\r\nLocation: {location}\r\n\r\n");
        let read = ResponseHead::read(&mut sent.as_bytes(), &mut BytesMut::new()).await;
        let mut head = read.expect("valid").expect("complete");
        head.move_location("http://store:80", "http://proxy:81");
        assert_eq!(head.lines.header("location"), Some(expected));
    }

    #[tokio::test]
    async fn only_the_servers_own_address_is_replaced() {
        check_moved("http://store:80/a?b=c", "http://proxy:81/a?b=c").await;
        check_moved("http://store:80", "http://proxy:81").await;
        check_moved("http://store:8080/a", "http://store:8080/a").await;
        check_moved("http://elsewhere:80/a", "http://elsewhere:80/a").await;
        check_moved("/a?b=http://store:80/", "/a?b=http://store:80/").await;
    }

    async fn check_refused(head: Vec<u8>) {
        let mut buffer = BytesMut::new();
        let read = RequestHead::read(&mut head.as_slice(), &mut buffer).await;
        assert_eq!(
            read.err().map(|error| error.kind()),
            Some(io::ErrorKind::InvalidData)
        );
    }

    #[tokio::test]
    async fn what_is_no_head_is_refused() {
        check_refused(b"\x16\x03\x01 a TLS hello\r\n\r\n".to_vec()).await;
        check_refused([b"GET /".to_vec(), vec![b'a'; HEAD_BYTES_MAX]].concat()).await;
        let mut half = &b"GET / HTTP/1.1\r\n"[..];
        let read = RequestHead::read(&mut half, &mut BytesMut::new()).await;
        assert!(matches!(read, Ok(None)), "{read:?}");
    }
}

//! A server that gives the answers of a script, each to the first request that it is for, and keeps what it was asked.

use std::sync::{Arc, Mutex};

use boards_storage_core::StorageKey;
use boards_storage_gcs::{GcsProvider, GcsSettings, Preconditions};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// The generation of the objects in scripts.
pub(crate) const GENERATION: u64 = 1_700_000_000_000_007;

/// What the server does with one request.
#[derive(Clone, Debug)]
pub(crate) enum Answer {
    /// Status, headers and body; `{url}` in a header is the server's own.
    Full(u16, Vec<(&'static str, String)>, String),
    /// The head announces more than comes.
    Broken(&'static str, usize),
    /// It reads the request and closes the connection.
    Nothing,
    /// It reads the request and says nothing for a minute.
    Silence,
}

impl Answer {
    pub(crate) fn with(mut self, name: &'static str, value: impl ToString) -> Self {
        if let Self::Full(_, headers, _) = &mut self {
            headers.push((name, value.to_string()));
        }
        self
    }
}

/// An answer with a body.
pub(crate) fn answer(status: u16, body: impl Into<String>) -> Answer {
    Answer::Full(status, Vec::new(), body.into())
}

/// An error as the store writes it.
pub(crate) fn refusal(status: u16, reason: &str) -> Answer {
    let body = format!(
        r#"{{"error":{{"code":{status},"message":"Words of the store.","errors":[{{"reason":"{reason}"}}]}}}}"#
    );
    answer(status, body).with("x-guploader-uploadid", "request-7")
}

/// The object `a` with these bytes, as the store describes it.
pub(crate) fn object(bytes: &str) -> Answer {
    answer(200, resource(bytes, GENERATION))
}

/// The same in another state.
pub(crate) fn resource(bytes: &str, generation: u64) -> String {
    let sum = crc32c_text(bytes.as_bytes());
    format!(
        r#"{{"name":"a","size":"{}","generation":"{generation}","metageneration":"2","crc32c":"{sum}",
        "contentType":"text/plain","metadata":{{"a":"ü"}},"updated":"2026-03-04T05:06:07Z"}}"#,
        bytes.len()
    )
}

/// The CRC-32C of bytes, as the store writes it: bit by bit, by nothing that the provider uses.
pub(crate) fn crc32c_text(bytes: &[u8]) -> String {
    let mut sum = !0_u32;
    for byte in bytes {
        sum ^= u32::from(*byte);
        for _ in 0..8 {
            sum = if sum & 1 == 1 {
                (sum >> 1) ^ 0x82f6_3b78
            } else {
                sum >> 1
            };
        }
    }
    base64::Engine::encode(&base64::engine::general_purpose::STANDARD, (!sum).to_be_bytes())
}

/// The bytes of an object of that generation.
pub(crate) fn media(bytes: &str, generation: u64) -> Answer {
    answer(200, bytes).with("x-goog-generation", generation)
}

/// What the server was asked.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    /// Method and target.
    pub(crate) line: String,
    headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Asked {
    /// Returns a header; the name is in lower case.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut found = self.headers.iter().filter(|(known, _)| known == name);
        found.next().map(|(_, value)| value.as_str())
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).expect("a body of JSON")
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// Checks that the request has these parameters.
    #[track_caller]
    pub(crate) fn has(&self, parameters: &[&str]) {
        for parameter in parameters {
            let mut found = self.line.split(['?', '&', ' ']);
            assert!(
                found.any(|pair| pair == *parameter),
                "{parameter} in {}",
                self.line
            );
        }
    }
}

type Script = Arc<Mutex<Vec<(&'static str, Answer)>>>;

/// The server, which ends with the test.
#[derive(Clone, Debug)]
pub(crate) struct Server {
    pub(crate) url: String,
    asked: Arc<Mutex<Vec<Asked>>>,
    script: Script,
}

impl Server {
    /// Starts with answers, and what must be in the request that gets each.
    pub(crate) async fn start(script: impl IntoIterator<Item = (&'static str, Answer)>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let server = Self {
            url,
            asked: Arc::default(),
            script: Arc::new(Mutex::new(script.into_iter().collect())),
        };
        let serving = server.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serving.clone().serve(stream));
            }
        });
        server
    }

    /// What was asked so far; every answer must have been given.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        let script = self.script.lock().expect("no test panics with it");
        assert!(script.is_empty(), "nobody asked for {script:?}");
        self.asked.lock().expect("no test panics with it").clone()
    }

    /// Opens a provider of it that believes in all preconditions.
    pub(crate) async fn provider(&self, change: impl FnOnce(GcsSettings) -> GcsSettings) -> GcsProvider {
        let settings = GcsSettings::new("media")
            .with_endpoint(&self.url)
            .with_preconditions(Preconditions::All);
        GcsProvider::open("gcs", change(settings))
            .await
            .expect("it opens")
    }

    /// The same without changes.
    pub(crate) async fn plain(&self) -> GcsProvider {
        self.provider(|settings| settings).await
    }

    async fn serve(self, mut stream: TcpStream) {
        let Some(request) = read_request(&mut stream).await else {
            return;
        };
        let next = {
            let mut script = self.script.lock().expect("no test panics with it");
            let place = script.iter().position(|(text, _)| request.line.contains(text));
            place.map(|place| script.remove(place).1)
        };
        self.asked.lock().expect("no test panics with it").push(request);
        let text = match next {
            Some(Answer::Full(status, headers, body)) => {
                let mut head = format!("HTTP/1.1 {status} Scripted\r\nconnection: close\r\n");
                head.push_str(&format!("content-length: {}\r\n", body.len()));
                for (name, value) in headers {
                    head.push_str(&format!("{name}: {}\r\n", value.replace("{url}", &self.url)));
                }
                format!("{head}\r\n{body}")
            }
            Some(Answer::Broken(body, announced)) => format!(
                "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {announced}\r\n\
                 x-goog-generation: {GENERATION}\r\n\r\n{body}"
            ),
            Some(Answer::Nothing) => return,
            Some(Answer::Silence) => {
                tokio::time::sleep(std::time::Duration::from_secs(60)).await;
                return;
            }
            None => "HTTP/1.1 418 Nothing in the script\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
                .to_owned(),
        };
        // Whoever does not wait for the answer is a case of its own.
        let _ = stream.write_all(text.as_bytes()).await;
    }
}

async fn read_request(stream: &mut TcpStream) -> Option<Asked> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    let head = String::from_utf8(head).ok()?;
    let mut lines = head.lines();
    let line = lines.next()?.trim_end_matches(" HTTP/1.1").to_owned();
    let headers: Vec<_> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    let length = headers.iter().find(|(known, _)| known == "content-length");
    let length = length.and_then(|(_, text)| text.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.ok()?;
    Some(Asked { line, headers, body })
}

#[track_caller]
pub(crate) fn key(text: &str) -> StorageKey {
    StorageKey::parse(text).expect("a key")
}

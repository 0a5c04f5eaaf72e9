//! A server that gives the answers of a script, one by one, and keeps what it was asked.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use boards_storage_core::Secret;
use boards_storage_s3::{S3Provider, S3Settings};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// What the server does with one request.
#[derive(Clone, Debug)]
pub(crate) enum Answer {
    /// Status, headers and body.
    Full(u16, Vec<(&'static str, String)>, String),
    /// The head announces more than comes.
    Broken(&'static str, usize),
    /// It reads the request and closes the connection.
    Nothing,
    /// It reads the request and says nothing for a minute.
    Silence,
}

/// An answer with a body.
pub(crate) fn answer(status: u16, body: &str) -> Answer {
    Answer::Full(status, Vec::new(), body.to_owned())
}

/// An answer with headers.
pub(crate) fn headers(status: u16, headers: &[(&'static str, &str)]) -> Answer {
    let headers = headers.iter().map(|(name, value)| (*name, (*value).to_owned()));
    Answer::Full(status, headers.collect(), String::new())
}

/// An error as S3 writes it.
pub(crate) fn refusal(status: u16, code: &str) -> Answer {
    let body = format!("<Error><Code>{code}</Code><Message>Words of the store.</Message></Error>");
    let id = ("x-amz-request-id", "request-7".to_owned());
    Answer::Full(status, vec![id], body)
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

    pub(crate) fn header_names(&self) -> impl Iterator<Item = &str> {
        self.headers.iter().map(|(name, _)| name.as_str())
    }
}

/// The server, which ends with the test.
#[derive(Clone, Debug)]
pub(crate) struct Server {
    pub(crate) url: String,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Server {
    pub(crate) async fn start(script: impl IntoIterator<Item = Answer>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let asked = Arc::new(Mutex::new(Vec::new()));
        let script = Arc::new(Mutex::new(script.into_iter().collect::<VecDeque<_>>()));
        let kept = Arc::clone(&asked);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&script), Arc::clone(&kept)));
            }
        });
        Self { url, asked }
    }

    /// What was asked so far.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().expect("no test panics with it").clone()
    }

    /// Opens a provider of it.
    pub(crate) async fn provider(&self, change: impl FnOnce(S3Settings) -> S3Settings) -> S3Provider {
        let settings = S3Settings::new("media")
            .with_endpoint(&self.url)
            .with_keys(Secret::new("AKIDTEST"), Secret::new("secret-of-the-test"));
        S3Provider::open("s3", change(settings)).await.expect("it opens")
    }
}

async fn serve(mut stream: TcpStream, script: Arc<Mutex<VecDeque<Answer>>>, asked: Arc<Mutex<Vec<Asked>>>) {
    let Some(request) = read_request(&mut stream).await else {
        return;
    };
    asked.lock().expect("no test panics with it").push(request);
    let next = script.lock().expect("no test panics with it").pop_front();
    let text = match next {
        Some(Answer::Full(status, headers, body)) => {
            let mut head = format!("HTTP/1.1 {status} Scripted\r\nconnection: close\r\n");
            if !headers.iter().any(|(name, _)| *name == "content-length") {
                head.push_str(&format!("content-length: {}\r\n", body.len()));
            }
            for (name, value) in headers {
                head.push_str(&format!("{name}: {value}\r\n"));
            }
            format!("{head}\r\n{body}")
        }
        Some(Answer::Broken(body, announced)) => {
            format!("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {announced}\r\n\r\n{body}")
        }
        Some(Answer::Nothing) => return,
        Some(Answer::Silence) => {
            tokio::time::sleep(std::time::Duration::from_secs(60)).await;
            return;
        }
        None => "HTTP/1.1 418 Nothing left in the script\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
            .to_owned(),
    };
    // Whoever does not wait for the answer is a case of its own.
    let _ = stream.write_all(text.as_bytes()).await;
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
    let find = |name: &str| {
        headers
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value)
    };
    if find("expect").is_some() {
        stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await.ok()?;
    }
    let length = find("content-length")
        .and_then(|text| text.parse().ok())
        .unwrap_or(0);
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.ok()?;
    Some(Asked { line, headers, body })
}

//! `curl` as the client that has nothing but a signed request.

use std::process::Stdio;

use async_trait::async_trait;
use boards_storage_core::{Error, ErrorKind, Result, SignedMethod, SignedRequest};
use bytes::Bytes;
use tokio::process::Command;

use crate::executor::{SignedRequestExecutor, SignedResponse};

/// How long one request may take, in seconds.
const TIME_MAX: &str = "60";

/// Sends signed requests by the program `curl`, which must be installed.
///
/// Each request is a process of its own, without any setting of the user, so nothing but the request itself can make
/// it succeed.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct CurlExecutor;

impl CurlExecutor {
    /// Creates the client.
    #[must_use]
    pub fn new() -> Self {
        Self
    }
}

#[async_trait]
impl SignedRequestExecutor for CurlExecutor {
    async fn send(&self, request: &SignedRequest, body: Bytes) -> Result<SignedResponse> {
        let folder = tempfile::tempdir().map_err(|source| failed("no temporary folder", source))?;
        let path = |name: &str| folder.path().join(name);
        let (sent, headers, received) = (path("sent"), path("headers"), path("received"));
        tokio::fs::write(&sent, &body)
            .await
            .map_err(|source| failed("the body cannot be written", source))?;
        let mut curl = Command::new("curl");
        // The first: no settings of the user.
        curl.args([
            "--disable",
            "--silent",
            "--show-error",
            "--globoff",
            "--path-as-is",
        ])
        .args(["--max-time", TIME_MAX, "--write-out", "%{http_code}"])
        .arg("--dump-header")
        .arg(&headers)
        .arg("--output")
        .arg(&received);
        // What curl would add by itself is taken away, unless the request says it.
        let says = |name: &str| {
            let mut names = request.headers.iter().map(|(name, _)| name);
            names.any(|said| said.eq_ignore_ascii_case(name))
        };
        for name in ["Accept", "Content-Type", "Expect", "User-Agent"] {
            let is_form = name == "Content-Type" && request.method == SignedMethod::Post;
            if !says(name) && !is_form {
                curl.args(["--header", &format!("{name}:")]);
            }
        }
        for (name, value) in &request.headers {
            // A header without a value would be taken away.
            let header = if value.is_empty() {
                format!("{name};")
            } else {
                format!("{name}: {value}")
            };
            // curl counts the bytes itself, and says what it has counted.
            if !name.eq_ignore_ascii_case("content-length") && !name.eq_ignore_ascii_case("host") {
                curl.args(["--header", &header]);
            }
        }
        match request.method {
            SignedMethod::Get => {}
            SignedMethod::Put => {
                curl.args(["--request", "PUT", "--data-binary"]);
                curl.arg(format!("@{}", sent.display()));
            }
            SignedMethod::Post => {
                for (name, value) in &request.form_fields {
                    curl.args(["--form-string", &format!("{name}={value}")]);
                }
                curl.args(["--form", &format!("file=@{};filename=file", sent.display())]);
            }
        }
        let output = curl
            .arg(&request.url)
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output()
            .await
            .map_err(|source| failed("curl cannot be started", source).with_help("install curl"))?;
        let status: u16 = String::from_utf8_lossy(&output.stdout)
            .trim()
            .parse()
            .unwrap_or(0);
        if status == 0 {
            let words = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            return Err(Error::new(
                ErrorKind::ProviderUnavailable,
                format!("no answer came: {words}"),
            ));
        }
        let headers = tokio::fs::read_to_string(&headers).await.unwrap_or_default();
        // An answer without a body leaves no file.
        let received = tokio::fs::read(&received).await.unwrap_or_default();
        Ok(SignedResponse::new(status, parse_headers(&headers), received))
    }
}

/// Reads the headers of the last answer: an interim one, such as 100, may stand before it.
fn parse_headers(text: &str) -> Vec<(String, String)> {
    let answers = text.replace("\r\n", "\n");
    let last = answers.trim_end().rsplit("\n\n").next().unwrap_or_default();
    let pairs = last.lines().skip(1).filter_map(|line| line.split_once(':'));
    pairs
        .map(|(name, value)| (name.trim().to_ascii_lowercase(), value.trim().to_owned()))
        .collect()
}

fn failed(what: &'static str, source: std::io::Error) -> Error {
    Error::new(ErrorKind::Storage, what).with_source(source)
}

#[cfg(test)]
mod tests {
    use super::parse_headers;

    #[test]
    fn the_headers_of_the_last_answer_count() {
        let text = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nETag: \"a:b\"\r\nX-Empty:\r\n\r\n";
        let expected = [("etag", "\"a:b\""), ("x-empty", "")];
        assert_eq!(
            parse_headers(text),
            expected.map(|(name, value)| (name.to_owned(), value.to_owned()))
        );
    }
}

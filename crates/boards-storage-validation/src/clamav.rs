//! ClamAV's daemon, asked with `INSTREAM` over TCP or a Unix socket.
//!
//! The protocol is a dozen lines; the client crates write everything before they read, and so lose the answer of a daemon
//! that has heard enough and closes.

use std::fmt;
use std::io;
use std::time::Duration;

use boards_storage_core::{
    ByteStream, Error, ErrorKind, Result, Retry, ScanOutcome, ScanSettings, Scanner, ScannerSettings,
    SharedScanner,
};
use futures_util::StreamExt;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// The greatest chunk that is sent at once.
const CHUNK_BYTES_MAX: usize = 128 * 1024;

/// The longest answer that is read.
const ANSWER_BYTES_MAX: usize = 4 * 1024;

/// A scanner that asks the daemon of ClamAV.
///
/// Each scan has a connection of its own. Content that is larger than `size_max` is an error, never clean.
///
/// # Examples
///
/// ```no_run
/// use boards_storage_core::{Content, Result, ScanOutcome, Scanner};
/// use boards_storage_validation::ClamAv;
///
/// # async fn example() -> Result<()> {
/// let scanner = ClamAv::new("127.0.0.1:3310");
/// let outcome = scanner.scan(Content::from("hello").open().await?).await?;
/// assert_eq!(outcome, ScanOutcome::Clean);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct ClamAv {
    address: String,
    timeout: Duration,
    size_max: u64,
}

impl fmt::Debug for ClamAv {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClamAv")
            .field("address", &self.address)
            .field("timeout", &self.timeout)
            .field("size_max", &self.size_max)
            .finish()
    }
}

trait Connection: AsyncRead + AsyncWrite + Send + Unpin {}

impl<C: AsyncRead + AsyncWrite + Send + Unpin> Connection for C {}

impl ClamAv {
    /// Creates a scanner for a daemon at `host:port` or `unix:/path`, with a minute for each step and 100 MiB at most.
    pub fn new(address: impl Into<String>) -> Self {
        Self {
            address: address.into(),
            timeout: Duration::from_secs(60),
            size_max: 100 << 20,
        }
    }

    /// Creates the scanner of the settings; `None` if they name none.
    #[must_use]
    pub fn from_settings(settings: &ScanSettings) -> Option<SharedScanner> {
        match settings.scanner.as_ref()? {
            ScannerSettings::Clamav {
                address,
                timeout,
                size_max,
            } => Some(std::sync::Arc::new(
                Self::new(address.clone())
                    .with_timeout(timeout.get())
                    .with_size_max(size_max.bytes()),
            )),
            _ => None,
        }
    }

    /// Sets how long one step may take: to connect, to send a chunk, to answer at the end.
    #[must_use]
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Sets the greatest content in bytes. The daemon has a limit of its own, `StreamMaxLength`.
    #[must_use]
    pub fn with_size_max(mut self, size_max: u64) -> Self {
        self.size_max = size_max;
        self
    }

    async fn connect(&self) -> Result<Box<dyn Connection>> {
        let connected = timeout(self.timeout, async {
            match self.address.strip_prefix("unix:") {
                #[cfg(unix)]
                Some(path) => {
                    let stream = tokio::net::UnixStream::connect(path).await?;
                    Ok(Box::new(stream) as Box<dyn Connection>)
                }
                #[cfg(not(unix))]
                Some(_) => Err(io::Error::from(io::ErrorKind::Unsupported)),
                None => Ok(Box::new(TcpStream::connect(&self.address).await?) as Box<dyn Connection>),
            }
        });
        self.in_time(connected.await, "be reached")
    }

    /// Unwraps a step: an error of time, or one of the connection.
    fn in_time<T>(&self, step: Result<io::Result<T>, tokio::time::error::Elapsed>, what: &str) -> Result<T> {
        match step {
            Ok(Ok(done)) => Ok(done),
            Ok(Err(source)) => Err(self
                .error(ErrorKind::ProviderUnavailable, &format!("could not {what}"))
                .with_source(source)),
            Err(_) => Err(self.error(
                ErrorKind::Timeout,
                &format!("could not {what} within {:?}", self.timeout),
            )),
        }
    }

    fn error(&self, kind: ErrorKind, what: &str) -> Error {
        Error::new(kind, format!("the scanner ClamAV at {} {what}", self.address)).with_retry(Retry::No)
    }

    async fn send(&self, connection: &mut dyn Connection, bytes: &[u8]) -> Result<()> {
        let sent = timeout(self.timeout, connection.write_all(bytes)).await;
        self.in_time(sent, "take the content")
    }

    async fn answer(&self, connection: &mut dyn Connection) -> Result<String> {
        let mut answer = Vec::new();
        let read = async {
            let mut buffer = [0; 512];
            loop {
                let count = connection.read(&mut buffer).await?;
                answer.extend_from_slice(&buffer[..count]);
                if count == 0 || answer.contains(&0) || answer.len() >= ANSWER_BYTES_MAX {
                    return Ok(());
                }
            }
        };
        let read = timeout(self.timeout, read).await;
        self.in_time(read, "give its answer")?;
        let text = answer.split(|byte| *byte == 0).next().unwrap_or_default();
        Ok(String::from_utf8_lossy(text).trim().to_owned())
    }

    /// Sends the stream in chunks. A daemon that no longer listens has an answer, perhaps: that is read by the caller.
    async fn feed(&self, connection: &mut dyn Connection, stream: &mut ByteStream) -> Result<Option<Error>> {
        self.send(connection, b"zINSTREAM\0").await?;
        let mut total = 0_u64;
        while let Some(piece) = stream.next().await.transpose()? {
            total += piece.len() as u64;
            if total > self.size_max {
                let what = format!("takes no content of more than {} bytes", self.size_max);
                return Err(self.error(ErrorKind::InvalidInput, &what));
            }
            for chunk in piece.chunks(CHUNK_BYTES_MAX) {
                let length = u32::try_from(chunk.len()).unwrap_or(u32::MAX).to_be_bytes();
                let sent = match self.send(connection, &length).await {
                    Ok(()) => self.send(connection, chunk).await,
                    Err(error) => Err(error),
                };
                if let Err(error) = sent {
                    return Ok(Some(error));
                }
            }
        }
        Ok(self.send(connection, &[0; 4]).await.err())
    }

    fn verdict(&self, answer: &str) -> Result<ScanOutcome> {
        match answer.strip_prefix("stream: ") {
            Some("OK") => Ok(ScanOutcome::Clean),
            Some(found) if found.ends_with(" FOUND") => Ok(ScanOutcome::Infected {
                signature: found.trim_end_matches(" FOUND").to_owned(),
            }),
            _ if answer.is_empty() => Err(self.error(
                ErrorKind::ProviderUnavailable,
                "closed the connection without an answer",
            )),
            _ => {
                let shown: String = answer.chars().filter(|c| !c.is_control()).take(200).collect();
                Err(self.error(ErrorKind::Storage, &format!("answered {shown:?}")))
            }
        }
    }
}

#[boards_storage_core::async_trait]
impl Scanner for ClamAv {
    fn name(&self) -> &'static str {
        "clamav"
    }

    fn size_bytes_max(&self) -> Option<u64> {
        Some(self.size_max)
    }

    async fn scan(&self, mut stream: ByteStream) -> Result<ScanOutcome> {
        let mut connection = self.connect().await?;
        let broken = self.feed(&mut *connection, &mut stream).await?;
        match (self.answer(&mut *connection).await, broken) {
            (Ok(answer), None) => self.verdict(&answer),
            // It stopped listening: only an answer that says why counts, never one that says `OK`.
            (Ok(answer), Some(error)) => match self.verdict(&answer) {
                Ok(ScanOutcome::Clean) => Err(error),
                Err(_) if answer.is_empty() => Err(error),
                told => told,
            },
            (Err(_), Some(error)) | (Err(error), None) => Err(error),
        }
    }

    async fn probe(&self) -> Result<String> {
        let mut connection = self.connect().await?;
        self.send(&mut *connection, b"zVERSION\0").await?;
        let answer = self.answer(&mut *connection).await?;
        if answer.starts_with("ClamAV") {
            Ok(answer)
        } else {
            Err(self.error(ErrorKind::ProviderUnavailable, "does not answer as ClamAV does"))
        }
    }
}

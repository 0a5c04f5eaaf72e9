//! One connection's way: a request to the server, its answer back, and what a fault makes of them.
//!
//! The log says what the client sees next before the client sees it, so that a test that has its answer can look.

use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf as _, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::time::{sleep, timeout};

use super::Shared;
use super::fault::{Answer, Fault};
use super::framing::Framing;
use super::head::{RequestHead, ResponseHead};
use super::log::{Ending, Entry};

/// What is read in one go, in each direction.
const BUFFER_SIZE_BYTES: usize = 64 << 10;
/// A reset throws away what the kernel has not sent yet: so long it may.
const SETTLE_TIME: Duration = Duration::from_millis(10);
/// How long a client that was answered may go on sending. To close on it at once would be a reset, which can take
/// the answer from it.
const LINGER_TIME: Duration = Duration::from_secs(1);

/// How an exchange ends on the wire.
#[derive(Clone, Copy, Debug)]
struct End {
    ending: Ending,
    is_reset: bool,
}

impl End {
    const WHOLE: Self = Self::closed(Ending::Whole);
    const CLIENT_LEFT: Self = Self::reset(Ending::ClientLeft);
    const UPSTREAM_FAILED: Self = Self::reset(Ending::UpstreamFailed);

    const fn closed(ending: Ending) -> Self {
        Self {
            ending,
            is_reset: false,
        }
    }

    const fn reset(ending: Ending) -> Self {
        Self {
            ending,
            is_reset: true,
        }
    }
}

pub(super) async fn serve(shared: Arc<Shared>, mut client: TcpStream) {
    // Without it a small piece waits for an acknowledgement.
    let _ = client.set_nodelay(true);
    let mut early = BytesMut::with_capacity(BUFFER_SIZE_BYTES);
    let Ok(Some(mut head)) = RequestHead::read(&mut client, &mut early).await else {
        return reset(&client);
    };
    let entry = shared.log.enter(&head);
    let fault = shared.fault_for(&head);
    if let Some(host) = &shared.options.host {
        head.set_host(host);
    }
    let exchange = Exchange {
        shared: &shared,
        entry,
        head,
        fault,
    };
    let end = exchange.run(&mut client, early).await;
    entry.end(end.ending);
    if end.is_reset {
        return reset(&client);
    }
    let _ = client.shutdown().await;
    let mut rest = vec![0; BUFFER_SIZE_BYTES];
    let _ = timeout(LINGER_TIME, async {
        while client.read(&mut rest).await.is_ok_and(|count| count > 0) {}
    })
    .await;
}

/// Lets the connection's close be a reset.
fn reset(stream: &TcpStream) {
    let _ = stream.set_zero_linger();
}

struct Exchange<'a> {
    shared: &'a Shared,
    entry: Entry<'a>,
    head: RequestHead,
    fault: Option<Fault>,
}

impl Exchange<'_> {
    async fn run(&self, client: &mut TcpStream, early: BytesMut) -> End {
        match &self.fault {
            Some(fault @ Fault::Answer(answer)) => {
                self.entry.fault(fault);
                self.answer(answer, client, early).await
            }
            Some(fault @ Fault::Delay(delay)) => {
                self.entry.fault(fault);
                sleep(*delay).await;
                self.relay(client, early).await
            }
            _ => self.relay(client, early).await,
        }
    }

    /// Answers in the server's place.
    async fn answer(&self, answer: &Answer, client: &mut TcpStream, early: BytesMut) -> End {
        let Ok(framing) = self.head.framing() else {
            return End::CLIENT_LEFT;
        };
        let waits = self.head.header("expect").is_some();
        if !waits && drain(client, early, framing).await.is_none() {
            return End::CLIENT_LEFT;
        }
        let mut text = format!("HTTP/1.1 {} Injected\r\nconnection: close\r\n", answer.status);
        let has_length = |(name, _): &(String, String)| name.eq_ignore_ascii_case("content-length");
        if answer.status != 204 && !answer.headers.iter().any(has_length) {
            text += &format!("content-length: {}\r\n", answer.body.len());
        }
        for (name, value) in &answer.headers {
            text += &format!("{name}: {value}\r\n");
        }
        let mut wire = (text + "\r\n").into_bytes();
        self.entry.status(answer.status);
        if self.head.method != "HEAD" {
            self.entry.answered(answer.body.len() as u64);
            wire.extend_from_slice(&answer.body);
        }
        self.entry.end(Ending::Whole);
        match client.write_all(&wire).await {
            Ok(()) => End::WHOLE,
            Err(_) => End::CLIENT_LEFT,
        }
    }

    /// Passes the request on and its answer back.
    async fn relay(&self, client: &mut TcpStream, early: BytesMut) -> End {
        let Ok(mut upstream) = TcpStream::connect(&self.shared.upstream).await else {
            return End::UPSTREAM_FAILED;
        };
        let _ = upstream.set_nodelay(true);
        let end = {
            let (client_read, client_write) = client.split();
            let (upstream_read, upstream_write) = upstream.split();
            tokio::select! {
                biased;
                end = self.respond(upstream_read, client_write) => end,
                end = self.send(client_read, early, upstream_write) => end,
            }
        };
        if end.is_reset {
            sleep(SETTLE_TIME).await;
            reset(&upstream);
        }
        end
    }

    /// Passes the request on; ends only if a fault or the client's leaving ends the exchange.
    async fn send(&self, mut client: ReadHalf<'_>, mut buffer: BytesMut, mut upstream: WriteHalf<'_>) -> End {
        let Ok(mut framing) = self.head.framing() else {
            return End::CLIENT_LEFT;
        };
        if upstream.write_all(&self.head.write()).await.is_err() {
            return pending().await;
        }
        let mut left = match self.fault {
            Some(Fault::ResetRequest { after_bytes }) => after_bytes,
            _ => u64::MAX,
        };
        loop {
            if left == 0 {
                return self.cut();
            }
            if framing.is_ended() {
                break;
            }
            if !fill(&mut client, &mut buffer).await.is_ok_and(|count| count > 0) {
                return End::CLIENT_LEFT;
            }
            let Ok(step) = framing.advance(&buffer, left) else {
                return End::CLIENT_LEFT;
            };
            left -= step.body;
            self.entry.sent(step.body);
            if upstream.write_all(&buffer[..step.wire]).await.is_err() {
                // The server reads no more. It may have answered.
                return pending().await;
            }
            buffer.advance(step.wire);
        }
        if self.fault == Some(Fault::LoseAnswer) {
            return pending().await;
        }
        // There is no second request: what comes now only shows that the client is still there.
        loop {
            buffer.clear();
            if !fill(&mut client, &mut buffer).await.is_ok_and(|count| count > 0) {
                return End::CLIENT_LEFT;
            }
        }
    }

    /// Passes the answer back.
    async fn respond(&self, mut upstream: ReadHalf<'_>, mut client: WriteHalf<'_>) -> End {
        let mut buffer = BytesMut::with_capacity(BUFFER_SIZE_BYTES);
        let mut head = loop {
            let Ok(Some(head)) = ResponseHead::read(&mut upstream, &mut buffer).await else {
                return End::UPSTREAM_FAILED;
            };
            if !head.is_interim() {
                break head;
            }
            if client.write_all(&head.write()).await.is_err() {
                return End::CLIENT_LEFT;
            }
        };
        self.entry.status(head.status);
        head.move_location(&self.shared.upstream_url(), &self.shared.url());
        let Ok(mut framing) = head.framing(&self.head.method) else {
            return End::UPSTREAM_FAILED;
        };
        let mut left = match self.fault {
            Some(Fault::LoseAnswer) => {
                return match drain(&mut upstream, buffer, framing).await {
                    Some(()) => self.cut(),
                    None => End::UPSTREAM_FAILED,
                };
            }
            Some(
                Fault::ResetResponse { after_bytes }
                | Fault::TruncateResponse { after_bytes }
                | Fault::StallResponse { after_bytes, .. },
            ) => after_bytes,
            _ => u64::MAX,
        };
        let mut wire = head.write();
        loop {
            if framing.is_ended() && left > 0 {
                self.entry.end(Ending::Whole);
            }
            if client.write_all(&wire).await.is_err() {
                return End::CLIENT_LEFT;
            }
            if left == 0 {
                if let Some(end) = self.cut_response().await {
                    return end;
                }
                left = u64::MAX;
            }
            if framing.is_ended() {
                return End::WHOLE;
            }
            match fill(&mut upstream, &mut buffer).await {
                Ok(0) if matches!(framing, Framing::UntilClose) => return End::WHOLE,
                Ok(0) => return End::closed(Ending::UpstreamFailed),
                Ok(_) => {}
                Err(_) => return End::UPSTREAM_FAILED,
            }
            let Ok(step) = framing.advance(&buffer, left) else {
                return End::UPSTREAM_FAILED;
            };
            left -= step.body;
            self.entry.answered(step.body);
            wire.clear();
            wire.extend_from_slice(&buffer[..step.wire]);
            buffer.advance(step.wire);
        }
    }

    /// Does what the fault does at its place in the answer. Nothing is left to do after a stall that ended.
    async fn cut_response(&self) -> Option<End> {
        match &self.fault {
            Some(Fault::TruncateResponse { .. }) => {
                let End { ending, .. } = self.cut();
                Some(End::closed(ending))
            }
            Some(fault @ Fault::StallResponse { stall, .. }) => {
                self.entry.fault(fault);
                match stall {
                    Some(time) => sleep(*time).await,
                    None => pending().await,
                }
                None
            }
            _ => Some(self.cut()),
        }
    }

    fn cut(&self) -> End {
        if let Some(fault) = &self.fault {
            self.entry.fault(fault);
        }
        self.entry.end(Ending::Cut);
        End::reset(Ending::Cut)
    }
}

/// Reads a piece if there is none, and returns how much there is: nothing at the end.
async fn fill(stream: &mut (impl AsyncRead + Unpin), buffer: &mut BytesMut) -> std::io::Result<usize> {
    if buffer.is_empty() {
        buffer.reserve(BUFFER_SIZE_BYTES);
        stream.read_buf(buffer).await?;
    }
    Ok(buffer.len())
}

/// Reads a body to its end and drops it. Nothing if it breaks before.
async fn drain(
    stream: &mut (impl AsyncRead + Unpin),
    mut buffer: BytesMut,
    mut framing: Framing,
) -> Option<()> {
    while !framing.is_ended() {
        if fill(stream, &mut buffer).await.ok()? == 0 {
            return matches!(framing, Framing::UntilClose).then_some(());
        }
        let step = framing.advance(&buffer, u64::MAX).ok()?;
        buffer.advance(step.wire);
    }
    Some(())
}

//! A proxy that loses an answer: the store has done its work, and nobody hears of it.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// Passes bytes on, until a request is to lose its answer.
#[derive(Clone, Debug)]
pub(crate) struct LossyProxy {
    pub(crate) url: String,
    /// The beginning of the request whose answer is lost next.
    next: Arc<Mutex<Option<&'static str>>>,
    lost: Arc<AtomicUsize>,
}

impl LossyProxy {
    pub(crate) async fn start(endpoint: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let proxy = Self {
            url: format!("http://{}", listener.local_addr().expect("an address")),
            next: Arc::default(),
            lost: Arc::default(),
        };
        let target = endpoint
            .trim_start_matches("http://")
            .trim_end_matches('/')
            .to_owned();
        let own = proxy.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (own, target) = (own.clone(), target.clone());
                tokio::spawn(async move { own.pass(client, &target).await });
            }
        });
        proxy
    }

    /// Loses the answer to the next request that begins so.
    pub(crate) fn lose_next(&self, beginning: &'static str) {
        *self.next.lock().expect("no holder panics") = Some(beginning);
    }

    /// How many answers were lost.
    pub(crate) fn lost(&self) -> usize {
        self.lost.load(Ordering::SeqCst)
    }

    /// Passes one connection on, piece by piece in both directions.
    async fn pass(&self, mut client: TcpStream, target: &str) -> std::io::Result<()> {
        let mut store = TcpStream::connect(target).await?;
        let (mut asked, mut answered) = (vec![0; 1 << 16], vec![0; 1 << 16]);
        let mut loses = false;
        loop {
            tokio::select! {
                count = client.read(&mut asked) => {
                    let piece = &asked[..count?];
                    if piece.is_empty() {
                        return Ok(());
                    }
                    loses |= self.is_to_lose(piece);
                    store.write_all(piece).await?;
                }
                count = store.read(&mut answered) => {
                    let piece = &answered[..count?];
                    // An interim answer asks for the body; the real one comes when the work is done.
                    if loses && !piece.starts_with(b"HTTP/1.1 100") {
                        self.lost.fetch_add(1, Ordering::SeqCst);
                        return Ok(());
                    }
                    if piece.is_empty() {
                        return Ok(());
                    }
                    client.write_all(piece).await?;
                }
            }
        }
    }

    fn is_to_lose(&self, piece: &[u8]) -> bool {
        let mut next = self.next.lock().expect("no holder panics");
        match *next {
            Some(beginning) if piece.starts_with(beginning.as_bytes()) => {
                *next = None;
                true
            }
            Some(_) | None => false,
        }
    }
}

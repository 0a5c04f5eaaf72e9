//! A relay between a client and a server on this machine, which counts the bytes that travel.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context as _, Result};

/// The relay; its threads end with the process.
#[derive(Debug)]
pub(super) struct Relay {
    address: SocketAddr,
    counts: Arc<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    up: AtomicU64,
    down: AtomicU64,
}

impl Relay {
    pub(super) fn start(server: SocketAddr) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").context("no free port")?;
        let address = listener.local_addr()?;
        let counts = Arc::new(Counts::default());
        let counted = Arc::clone(&counts);
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                if let Ok(server) = TcpStream::connect(server) {
                    join(client, server, &counted);
                }
            }
        });
        Ok(Self { address, counts })
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns the bytes that went to the server and those that came from it since the last call of `begin`.
    pub(super) fn bytes(&self) -> (u64, u64) {
        let Counts { up, down } = &*self.counts;
        (up.load(Ordering::Relaxed), down.load(Ordering::Relaxed))
    }

    pub(super) fn begin(&self) {
        self.counts.up.store(0, Ordering::Relaxed);
        self.counts.down.store(0, Ordering::Relaxed);
    }
}

/// Two threads carry what each side says to the other.
fn join(client: TcpStream, server: TcpStream, counts: &Arc<Counts>) {
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    if let (Ok(from_client), Ok(from_server)) = (client.try_clone(), server.try_clone()) {
        let (up, down) = (Arc::clone(counts), Arc::clone(counts));
        std::thread::spawn(move || carry(from_client, server, &up.up));
        std::thread::spawn(move || carry(from_server, client, &down.down));
    }
}

fn carry(mut from: TcpStream, mut to: TcpStream, count: &AtomicU64) {
    let mut buffer = vec![0; 256 << 10];
    while let Ok(length @ 1..) = from.read(&mut buffer) {
        count.fetch_add(length as u64, Ordering::Relaxed);
        if to.write_all(&buffer[..length]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Write);
    let _ = from.shutdown(Shutdown::Read);
}

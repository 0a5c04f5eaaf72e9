//! A proxy that breaks connections on purpose, in front of a server over plain HTTP/1.1.
//!
//! One request per connection: what passes says `connection: close`, so that a fault meets one exchange and no other.
//! Bodies flow through small buffers, whatever their size. A client signs its requests for the proxy's address;
//! [`ProxyOptions::with_host`] is for servers that must see another `Host`. A `Location` with the server's own address
//! comes back with the proxy's, so that a client that follows it does not go past the proxy.
//!
//! Here: the proxy, its rules' queue and its log. What can be done to an exchange is in `fault`, how a request is
//! remembered in `log`, heads in `head`, where bodies end in `framing`, one connection's way in `exchange`.
//!
//! # Examples
//!
//! ```
//! use boards_storage_testkit::proxy::{Answer, FaultProxy, Rule};
//! use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
//! use tokio::net::{TcpListener, TcpStream};
//!
//! # #[tokio::main]
//! # async fn main() -> std::io::Result<()> {
//! let store = TcpListener::bind("127.0.0.1:0").await?;
//! let proxy = FaultProxy::start(&store.local_addr()?.to_string()).await?;
//! let busy = Answer::new(503).with_header("retry-after", "1");
//! proxy.inject(Rule::new(busy).with_method("PUT").with_target_part("/media/a"));
//!
//! let mut client = TcpStream::connect(proxy.address()).await?;
//! client.write_all(b"PUT /media/a HTTP/1.1\r\nhost: store\r\ncontent-length: 0\r\n\r\n").await?;
//! let mut answer = String::new();
//! client.read_to_string(&mut answer).await?;
//! assert!(answer.starts_with("HTTP/1.1 503 ") && answer.contains("retry-after: 1\r\n"));
//! assert_eq!(proxy.requests()[0].status, Some(503));
//! # Ok(())
//! # }
//! ```

mod exchange;
mod fault;
mod framing;
mod head;
mod log;

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

pub use self::fault::{Answer, Fault, Rule};
pub use self::log::{Ending, ProxiedRequest, Totals};

use self::head::RequestHead;
use self::log::Log;

/// What a [`FaultProxy`] changes in what it passes on.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct ProxyOptions {
    /// The `Host` that the server sees; by default the one that the client sent.
    pub host: Option<String>,
}

impl ProxyOptions {
    /// Sets the `Host` that the server sees.
    #[must_use]
    pub fn with_host(mut self, host: impl Into<String>) -> Self {
        self.host = Some(host.into());
        self
    }
}

/// A running proxy. Dropping it ends it and all its connections.
#[derive(Debug)]
pub struct FaultProxy {
    shared: Arc<Shared>,
    server: JoinHandle<()>,
}

impl FaultProxy {
    /// Starts a proxy on a free port of 127.0.0.1 in front of `upstream`, `host:port` or `http://host:port`.
    ///
    /// The server need not run yet: while it does not, connections are reset.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if `upstream` has a path or another scheme; what the system says if there is no port.
    pub async fn start(upstream: &str) -> io::Result<Self> {
        Self::start_with(upstream, ProxyOptions::default()).await
    }

    /// Starts a proxy that changes what it passes on.
    ///
    /// # Errors
    ///
    /// As [`FaultProxy::start`].
    pub async fn start_with(upstream: &str, options: ProxyOptions) -> io::Result<Self> {
        let upstream = authority(upstream)?;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let shared = Arc::new(Shared {
            upstream,
            address: listener.local_addr()?,
            options,
            rules: Mutex::default(),
            log: Log::default(),
            reach: watch::Sender::new(Reach::Up),
        });
        let server = tokio::spawn(accept(listener, Arc::clone(&shared)));
        Ok(Self { shared, server })
    }

    /// Returns the URL that stands for the server's, without a slash at its end.
    #[must_use]
    pub fn endpoint(&self) -> String {
        self.shared.url()
    }

    /// Returns where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.shared.address
    }

    /// Adds a rule, after those that are there. A request meets the first rule that fits it.
    pub fn inject(&self, rule: impl Into<Rule>) {
        self.shared.rules.lock().push(rule.into());
    }

    /// Forgets all rules: everything goes through from now on.
    pub fn clear(&self) {
        self.shared.rules.lock().clear();
    }

    /// Takes the server away, as if it had been killed: open connections end, and further ones are reset, until
    /// [`FaultProxy::up`].
    pub fn down(&self) {
        self.shared.reach.send_replace(Reach::Down);
    }

    /// Gives the server back.
    pub fn up(&self) {
        self.shared.reach.send_replace(Reach::Up);
    }

    /// Returns how many rules still wait for a request, those for all requests included.
    #[must_use]
    pub fn rules_left(&self) -> usize {
        let rules = self.shared.rules.lock();
        rules.iter().filter(|rule| !rule.is_spent()).count()
    }

    /// Returns the requests so far, in the order in which their heads came.
    #[must_use]
    pub fn requests(&self) -> Vec<ProxiedRequest> {
        self.shared.log.requests()
    }

    /// Returns the requests so far and forgets them; those that are still on their way stay.
    #[must_use]
    pub fn take_requests(&self) -> Vec<ProxiedRequest> {
        self.shared.log.take()
    }

    /// Returns what went through since the start.
    #[must_use]
    pub fn totals(&self) -> Totals {
        self.shared.log.totals()
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// What every connection sees.
#[derive(Debug)]
struct Shared {
    /// `host:port`.
    upstream: String,
    address: SocketAddr,
    options: ProxyOptions,
    rules: Mutex<Vec<Rule>>,
    log: Log,
    reach: watch::Sender<Reach>,
}

/// Whether the server can be reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reach {
    Up,
    Down,
}

impl Shared {
    fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    fn upstream_url(&self) -> String {
        format!("http://{}", self.upstream)
    }

    /// Takes the fault that the first fitting rule has for a request.
    fn fault_for(&self, head: &RequestHead) -> Option<Fault> {
        let mut rules = self.rules.lock();
        rules
            .iter_mut()
            .filter(|rule| rule.fits(&head.method, &head.target))
            .find_map(Rule::take)
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    // Ends its connections with itself.
    let mut connections = JoinSet::new();
    let mut reach = shared.reach.subscribe();
    loop {
        tokio::select! {
            Ok((client, _)) = listener.accept() => {
                let is_up = *reach.borrow() == Reach::Up;
                if is_up {
                    connections.spawn(exchange::serve(Arc::clone(&shared), client));
                } else {
                    // Its close is a reset.
                    let _ = client.set_zero_linger();
                }
            }
            Some(_) = connections.join_next() => {}
            Ok(()) = reach.changed() => {
                if *reach.borrow_and_update() == Reach::Down {
                    connections.abort_all();
                }
            }
        }
    }
}

/// Takes `host:port` out of what may be a URL.
fn authority(upstream: &str) -> io::Result<String> {
    let authority = upstream.strip_prefix("http://").unwrap_or(upstream);
    let authority = authority.strip_suffix('/').unwrap_or(authority);
    let is_authority = authority
        .rsplit_once(':')
        .is_some_and(|(host, port)| !host.is_empty() && !host.contains('/') && port.parse::<u16>().is_ok());
    if is_authority {
        return Ok(authority.to_owned());
    }
    Err(io::Error::new(
        io::ErrorKind::InvalidInput,
        format!("the proxy's server '{upstream}' is not host:port or http://host:port"),
    ))
}

#[cfg(test)]
mod tests {
    use super::authority;

    #[track_caller]
    fn check_authority(upstream: &str, expected: Option<&str>) {
        assert_eq!(authority(upstream).ok().as_deref(), expected, "{upstream}");
    }

    #[test]
    fn a_server_is_a_host_and_a_port() {
        check_authority("127.0.0.1:80", Some("127.0.0.1:80"));
        check_authority("http://store.test:8080/", Some("store.test:8080"));
        check_authority("[::1]:80", Some("[::1]:80"));
        check_authority("https://store.test:443", None);
        check_authority("http://store.test:80/path", None);
        check_authority("store.test", None);
        check_authority(":80", None);
    }
}

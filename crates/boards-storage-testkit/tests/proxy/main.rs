//! The fault proxy, between a client that writes HTTP by hand and a server of hyper's.

mod upstream;

use std::io::ErrorKind;
use std::time::Duration;

use boards_storage_testkit::proxy::{Answer, Ending, Fault, FaultProxy, ProxyOptions, Rule};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

use self::upstream::Upstream;

/// How a connection ended for the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Seen {
    Closed,
    Reset,
    /// It was still open after half a second.
    Open,
}

async fn start() -> (Upstream, FaultProxy) {
    let upstream = Upstream::start().await;
    let proxy = FaultProxy::start(&upstream.address).await.expect("a port");
    (upstream, proxy)
}

/// Sends a request as it is, and returns all that came back.
async fn send(proxy: &FaultProxy, request: &[u8]) -> (String, Seen) {
    let mut client = TcpStream::connect(proxy.address()).await.expect("it listens");
    // A reset may meet the request on its way.
    let _ = client.write_all(request).await;
    let mut got = Vec::new();
    let seen = match timeout(Duration::from_millis(500), client.read_to_end(&mut got)).await {
        Ok(Ok(_)) => Seen::Closed,
        Ok(Err(error)) if error.kind() == ErrorKind::ConnectionReset => Seen::Reset,
        Ok(Err(error)) => panic!("{error}"),
        Err(_) => Seen::Open,
    };
    (String::from_utf8(got).expect("text"), seen)
}

fn get(target: &str) -> Vec<u8> {
    format!("GET {target} HTTP/1.1\r\nhost: store\r\n\r\n").into_bytes()
}

fn put(target: &str, body: &[u8]) -> Vec<u8> {
    let head = format!(
        "PUT {target} HTTP/1.1\r\nhost: store\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

/// Splits an answer into its status and its body.
fn parse(answer: &str) -> (u16, &str) {
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    assert!(head.contains("connection: close"), "{head}");
    (head[9..12].parse().expect("a status"), body)
}

/// What passes unharmed: the request, its body's bytes at the server, the answer's status and body.
async fn check_passes(request: &[u8], sent: u64, status: u16, body: &str, body_bytes: u64) {
    let (_upstream, proxy) = start().await;
    let (answer, seen) = send(&proxy, request).await;
    assert_eq!((parse(&answer), seen), ((status, body), Seen::Closed));
    let requests = proxy.requests();
    let [request] = requests.as_slice() else {
        panic!("{requests:?}")
    };
    assert_eq!((request.status, request.ending), (Some(status), Ending::Whole));
    assert_eq!(
        (request.request_body_bytes, request.response_body_bytes),
        (sent, body_bytes)
    );
    let totals = proxy.totals();
    assert_eq!(
        (
            totals.requests,
            totals.request_body_bytes,
            totals.response_body_bytes
        ),
        (1, sent, body_bytes)
    );
    assert_eq!((request.fault.as_ref(), totals.faults), (None, 0));
}

#[tokio::test]
async fn without_a_fault_everything_passes() {
    check_passes(&get("/bytes/5"), 0, 200, "01234", 5).await;
    check_passes(&get("/bytes/0"), 0, 200, "", 0).await;
    check_passes(&get("/chunks/12"), 0, 200, "C\r\n012345678901\r\n0\r\n\r\n", 12).await;
    check_passes(&get("/missing"), 0, 404, "", 0).await;
    check_passes(b"HEAD /bytes/5 HTTP/1.1\r\nhost: store\r\n\r\n", 0, 200, "", 0).await;
    check_passes(&put("/a", b"hello"), 5, 201, "stored 5", 8).await;
    check_passes(
        b"PUT /a HTTP/1.1\r\nhost: s\r\ntransfer-encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n",
        3,
        201,
        "stored 3",
        8,
    )
    .await;
}

#[tokio::test]
async fn large_bodies_flow_both_ways() {
    let (upstream, proxy) = start().await;
    let size: u32 = 48 << 20;
    let (answer, _) = send(&proxy, &put("/a", &vec![b'x'; size as usize])).await;
    assert_eq!(parse(&answer), (201, format!("stored {size}").as_str()));
    assert_eq!(upstream.stored("/a"), Some(u64::from(size)));
    let mut client = TcpStream::connect(proxy.address()).await.expect("it listens");
    client
        .write_all(&get(&format!("/bytes/{size}")))
        .await
        .expect("sent");
    let mut got = Vec::new();
    client.read_to_end(&mut got).await.expect("closed in good order");
    let start = got
        .windows(4)
        .position(|four| four == b"\r\n\r\n")
        .expect("a head")
        + 4;
    assert_eq!(got.len() - start, size as usize);
    let expected = b"0123456789";
    assert!(
        (0..)
            .zip(&got[start..])
            .all(|(at, byte)| *byte == expected[at % 10])
    );
}

#[tokio::test]
async fn a_client_that_waits_for_leave_to_send_gets_it() {
    let (upstream, proxy) = start().await;
    let mut client = TcpStream::connect(proxy.address()).await.expect("it listens");
    let head = "PUT /a HTTP/1.1\r\nhost: store\r\nexpect: 100-continue\r\ncontent-length: 2\r\n\r\n";
    client.write_all(head.as_bytes()).await.expect("sent");
    let mut leave = [0; 25];
    client.read_exact(&mut leave).await.expect("an interim answer");
    assert_eq!(&leave, b"HTTP/1.1 100 Continue\r\n\r\n");
    client.write_all(b"ab").await.expect("sent");
    let mut rest = String::new();
    client.read_to_string(&mut rest).await.expect("answered");
    assert_eq!((parse(&rest).0, upstream.stored("/a")), (201, Some(2)));
}

/// What the client gets of an answer that a fault cuts, and how the connection ends.
async fn check_cut(target: &str, fault: Fault, body: &str, expected: Seen) {
    let (_upstream, proxy) = start().await;
    proxy.inject(fault.clone());
    let (answer, seen) = send(&proxy, &get(target)).await;
    assert_eq!(
        (parse(&answer), seen),
        ((200, body), expected),
        "{target} {fault:?}"
    );
    let request = proxy.requests().remove(0);
    let took_effect = (seen != Seen::Closed || body != "0123456789").then_some(fault);
    assert_eq!(
        (&request.fault, proxy.totals().faults),
        (&took_effect, took_effect.is_some().into())
    );
    if !target.starts_with("/chunks") {
        assert_eq!(request.response_body_bytes, body.len() as u64);
    }
    assert_eq!(proxy.rules_left(), 0);
    let (answer, seen) = send(&proxy, &get(target)).await;
    assert_eq!((parse(&answer).0, seen), (200, Seen::Closed), "only the first");
}

#[tokio::test]
async fn an_answer_is_cut_where_the_fault_says() {
    let reset = |after_bytes| Fault::ResetResponse { after_bytes };
    check_cut("/bytes/10", reset(0), "", Seen::Reset).await;
    check_cut("/bytes/10", reset(4), "0123", Seen::Reset).await;
    check_cut("/bytes/10", reset(10), "0123456789", Seen::Reset).await;
    check_cut("/bytes/10", reset(11), "0123456789", Seen::Closed).await;
    check_cut("/chunks/10", reset(4), "A\r\n0123", Seen::Reset).await;
    let truncate = |after_bytes| Fault::TruncateResponse { after_bytes };
    check_cut("/bytes/10", truncate(0), "", Seen::Closed).await;
    check_cut("/bytes/10", truncate(4), "0123", Seen::Closed).await;
    check_cut("/chunks/10", truncate(4), "A\r\n0123", Seen::Closed).await;
    let stall = |after_bytes| Fault::StallResponse {
        after_bytes,
        stall: None,
    };
    check_cut("/bytes/10", stall(4), "0123", Seen::Open).await;
    check_cut("/bytes/10", stall(0), "", Seen::Open).await;
}

/// What takes time, and at least how much of it.
async fn check_slow(fault: Fault, at_least: Duration) {
    let (_upstream, proxy) = start().await;
    proxy.inject(fault);
    let begun = Instant::now();
    let (answer, seen) = send(&proxy, &get("/bytes/10")).await;
    assert_eq!((parse(&answer), seen), ((200, "0123456789"), Seen::Closed));
    assert!(begun.elapsed() >= at_least, "{:?}", begun.elapsed());
    assert_eq!(proxy.totals().faults, 1);
}

#[tokio::test]
async fn a_stall_and_a_delay_end() {
    let time = Duration::from_millis(100);
    check_slow(Fault::Delay(time), time).await;
    let stall = Some(time);
    check_slow(
        Fault::StallResponse {
            after_bytes: 4,
            stall,
        },
        time,
    )
    .await;
}

/// What the server has of a request that is reset.
async fn check_reset_request(request: &[u8], after_bytes: u64, sent: u64, expected: Seen) {
    let (upstream, proxy) = start().await;
    proxy.inject(Fault::ResetRequest { after_bytes });
    let (_, seen) = send(&proxy, request).await;
    let is_cut = expected == Seen::Reset;
    assert_eq!((seen, proxy.totals().faults), (expected, is_cut.into()));
    assert_eq!(proxy.requests()[0].request_body_bytes, sent);
    assert_eq!(upstream.stored("/a"), (!is_cut).then_some(sent), "never a part");
    if is_cut {
        assert_eq!(upstream.broken().await, "/a");
    }
}

#[tokio::test]
async fn a_request_is_reset_where_the_fault_says() {
    check_reset_request(&put("/a", b"hello"), 0, 0, Seen::Reset).await;
    check_reset_request(&put("/a", b"hello"), 3, 3, Seen::Reset).await;
    check_reset_request(&put("/a", b"hello"), 6, 5, Seen::Closed).await;
    let chunked = b"PUT /a HTTP/1.1\r\nhost: s\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n";
    check_reset_request(chunked, 3, 3, Seen::Reset).await;
    check_reset_request(&put("/a", &vec![0; 3 << 20]), 1 << 20, 1 << 20, Seen::Reset).await;
}

#[tokio::test]
async fn a_lost_answer_leaves_the_work_done() {
    let (upstream, proxy) = start().await;
    proxy.inject(Fault::LoseAnswer);
    let (answer, seen) = send(&proxy, &put("/a", b"hello")).await;
    assert_eq!((answer.as_str(), seen), ("", Seen::Reset));
    assert_eq!(upstream.stored("/a"), Some(5));
    let request = proxy.requests().remove(0);
    assert_eq!((request.status, request.ending), (Some(201), Ending::Cut));
    assert_eq!(request.fault, Some(Fault::LoseAnswer));
}

/// An answer in the server's place.
async fn check_answer(request: &[u8], answer: Answer, expected: &str) {
    let (upstream, proxy) = start().await;
    proxy.inject(answer.clone());
    let (got, seen) = send(&proxy, request).await;
    assert_eq!((got.as_str(), seen), (expected, Seen::Closed));
    assert_eq!(upstream.stored("/a"), None, "the server was not asked");
    let logged = proxy.requests().remove(0);
    assert_eq!(
        (logged.status, logged.ending),
        (Some(answer.status), Ending::Whole)
    );
    assert_eq!(logged.request_body_bytes, 0);
}

#[tokio::test]
async fn an_answer_stands_in_for_the_servers() {
    let busy = Answer::new(503).with_header("retry-after", "2");
    let busy_text =
        "HTTP/1.1 503 Injected\r\nconnection: close\r\ncontent-length: 0\r\nretry-after: 2\r\n\r\n";
    check_answer(&put("/a", b"hello"), busy.clone(), busy_text).await;
    check_answer(&put("/a", &vec![0; 3 << 20]), busy.clone(), busy_text).await;
    check_answer(&get("/bytes/1"), busy.clone(), busy_text).await;
    // It waits for leave to send, and is refused instead.
    check_answer(
        b"PUT /a HTTP/1.1\r\nhost: s\r\nexpect: 100-continue\r\ncontent-length: 9\r\n\r\n",
        busy,
        busy_text,
    )
    .await;
    let failed = Answer::new(200).with_body("<Error/>");
    let head = "HTTP/1.1 200 Injected\r\nconnection: close\r\ncontent-length: 8\r\n\r\n";
    check_answer(&get("/bytes/1"), failed.clone(), &format!("{head}<Error/>")).await;
    check_answer(b"HEAD /bytes/1 HTTP/1.1\r\nhost: s\r\n\r\n", failed, head).await;
}

#[tokio::test]
async fn a_request_meets_the_first_rule_that_fits() {
    let (_upstream, proxy) = start().await;
    let rule = |status| Rule::new(Answer::new(status));
    proxy.inject(rule(501).with_method("PUT").with_target_part("/b"));
    proxy.inject(rule(502).with_target_part("part=2").with_skipped(1));
    proxy.inject(rule(503).with_method("PUT").always());
    let mut statuses = Vec::new();
    for target in ["/a", "/b", "/b?part=2", "/b?part=2"] {
        statuses.push(parse(&send(&proxy, &put(target, b"x")).await.0).0);
    }
    statuses.push(parse(&send(&proxy, &get("/bytes/1")).await.0).0);
    assert_eq!(statuses, [503, 501, 503, 502, 200]);
    assert_eq!(proxy.rules_left(), 1);
    proxy.clear();
    assert_eq!(parse(&send(&proxy, &put("/a", b"x")).await.0).0, 201);
}

#[tokio::test]
async fn the_log_tells_which_bytes_were_meant_and_no_secret() {
    let (_upstream, proxy) = start().await;
    let request = "GET /bytes/1?part=7&signature=s3cr3t HTTP/1.1\r\nhost: s\r\nauthorization: s3cr3t\r\n\
                   Range: bytes=3-\r\nIf-Match: \"e\"\r\n\r\n";
    send(&proxy, request.as_bytes()).await;
    let logged = proxy.take_requests().remove(0);
    assert_eq!(
        (logged.path.as_str(), logged.header("range")),
        ("/bytes/1", Some("bytes=3-"))
    );
    assert_eq!(
        (logged.header("if-match"), logged.has_query("part")),
        (Some("\"e\""), true)
    );
    assert!(!format!("{logged:?}").contains("s3cr3t"), "{logged:?}");
    assert!(proxy.requests().is_empty());
    assert_eq!(proxy.totals().requests, 1);
}

#[tokio::test]
async fn the_server_sees_the_host_that_it_must() {
    let upstream = Upstream::start().await;
    let options = ProxyOptions::default().with_host("store.test");
    let proxy = FaultProxy::start_with(&upstream.address, options)
        .await
        .expect("a port");
    assert_eq!(parse(&send(&proxy, &get("/host")).await.0).1, "store.test");
    let (_upstream, proxy) = start().await;
    assert_eq!(parse(&send(&proxy, &get("/host")).await.0).1, "store");
}

#[tokio::test]
async fn a_client_that_leaves_takes_its_request_with_it() {
    let (upstream, proxy) = start().await;
    let mut client = TcpStream::connect(proxy.address()).await.expect("it listens");
    let request = put("/a", b"hello");
    client
        .write_all(&request[..request.len() - 1])
        .await
        .expect("sent");
    drop(client);
    assert_eq!(upstream.broken().await, "/a");
    assert_eq!(upstream.stored("/a"), None);
    assert_eq!(proxy.requests()[0].ending, Ending::ClientLeft);
}

#[tokio::test]
async fn without_a_server_the_connection_is_reset() {
    let (upstream, proxy) = start().await;
    upstream.stop().await;
    assert_eq!(send(&proxy, &get("/bytes/1")).await.1, Seen::Reset);
    assert_eq!(proxy.requests()[0].ending, Ending::UpstreamFailed);
}

#[tokio::test]
async fn a_dropped_proxy_ends_its_connections() {
    let (_upstream, proxy) = start().await;
    let address = proxy.address();
    proxy.inject(Fault::StallResponse {
        after_bytes: 0,
        stall: None,
    });
    let mut client = TcpStream::connect(address).await.expect("it listens");
    client.write_all(&get("/bytes/5")).await.expect("sent");
    let mut first = [0; 1];
    client.read_exact(&mut first).await.expect("the head");
    drop(proxy);
    let mut rest = Vec::new();
    let ended = timeout(Duration::from_secs(5), client.read_to_end(&mut rest)).await;
    assert!(ended.is_ok(), "the connection ends");
    assert!(TcpStream::connect(address).await.is_err(), "nobody listens");
}

#[tokio::test]
async fn a_server_that_is_taken_away_ends_every_connection_until_it_is_back() {
    let (_upstream, proxy) = start().await;
    let mut open = TcpStream::connect(proxy.address()).await.expect("it listens");
    open.write_all(b"GET /a HTTP/1.1\r\n").await.expect("sent");
    proxy.down();
    let mut rest = Vec::new();
    // Whichever way it ends, it ends.
    let ended = timeout(Duration::from_secs(5), open.read_to_end(&mut rest)).await;
    assert!(ended.is_ok() && rest.is_empty());
    for _ in 0..3 {
        let mut client = TcpStream::connect(proxy.address()).await.expect("it listens");
        let _ = client.write_all(&get("/a")).await;
        let ended = timeout(Duration::from_secs(5), client.read_to_end(&mut rest)).await;
        assert!(ended.expect("at once").is_err() && rest.is_empty());
    }
    let requests = proxy.totals().requests;
    proxy.up();
    // The server itself answers: it has no such object.
    let (answer, seen) = send(&proxy, &get("/a")).await;
    assert_eq!((parse(&answer).0, seen), (404, Seen::Closed));
    assert_eq!(proxy.totals().requests, requests + 1);
}

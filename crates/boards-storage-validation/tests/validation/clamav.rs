//! Malware: a real daemon of ClamAV, and ones that misbehave.

use std::sync::Arc;
use std::time::Duration;

use boards_storage_core::{
    ArtifactType, Content, ContentVerdict, ErrorKind, Inspector, ReasonKind, RefusedContent, ScanFailure,
    ScanMode, ScanOutcome, ScanPolicy, ScanSettings, Scanner, ScannerSettings,
};
use boards_storage_testkit::TestServer;
use boards_storage_testkit::samples::eicar;
use boards_storage_validation::ClamAv;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::support::{in_pieces, known};

/// The address of the real daemon; `None` if it is left out on purpose.
fn address() -> Option<String> {
    match TestServer::find("clamd", "CLAMD").expect("the daemon of ClamAV is there") {
        TestServer::Settings(settings) => Some(settings["address"].as_str().expect("an address").to_owned()),
        TestServer::LeftOut => None,
    }
}

async fn scan(scanner: &ClamAv, bytes: &[u8]) -> boards_storage_core::Result<ScanOutcome> {
    scanner.scan(in_pieces(bytes, 50_000)).await
}

#[tokio::test]
async fn the_daemon_finds_eicar_in_a_stream_and_passes_clean_bytes() {
    let Some(address) = address() else { return };
    let scanner = ClamAv::new(address);
    assert!(scanner.probe().await.expect("it works").starts_with("ClamAV"));
    for clean in [&b""[..], b"hello", &vec![b'a'; 1 << 20]] {
        assert_eq!(
            scan(&scanner, clean).await.expect("it answers"),
            ScanOutcome::Clean
        );
    }
    let hidden = [vec![b'a'; 300_000], eicar(), vec![b'b'; 300_000]].concat();
    for infected in [eicar(), hidden] {
        match scan(&scanner, &infected).await.expect("it answers") {
            ScanOutcome::Infected { signature } => assert!(signature.contains("Eicar"), "{signature}"),
            ScanOutcome::Clean => panic!("EICAR's file was not found"),
        }
    }
}

#[tokio::test]
async fn content_that_is_infected_is_refused_while_it_flows() {
    let Some(address) = address() else { return };
    let settings = ScanSettings::default().with_scanner(ScannerSettings::clamav(address));
    let scanner = ClamAv::from_settings(&settings).expect("it is configured");
    let known = known(ArtifactType::Text, "text/plain", "a.txt");
    let inspector = Inspector::default().with_scanner(Arc::clone(&scanner), settings.policy());
    let infected = [vec![b'a'; 200_000], eicar()].concat();
    let content = Content::from_stream(None, in_pieces(&infected, 9_000));
    let inspected = inspector
        .inspect_content(&known, content)
        .await
        .expect("readable");
    let error = inspected
        .content()
        .collect(infected.len())
        .await
        .expect_err("it is infected");
    assert_eq!(
        (error.kind(), error.code()),
        (ErrorKind::Rejected, Some("malware"))
    );
    let whole = inspector
        .inspect_content(&known, Content::from(infected.clone()))
        .await
        .expect("readable");
    assert_eq!(
        whole.head().verdict.reason().map(|reason| reason.kind),
        Some(ReasonKind::Malware)
    );
    let policy = settings.policy().with_on_infected(RefusedContent::Quarantine);
    let keeping = Inspector::default().with_scanner(scanner, policy);
    let whole = keeping
        .inspect_content(&known, Content::from(infected))
        .await
        .expect("readable");
    assert!(matches!(whole.head().verdict, ContentVerdict::Quarantined { .. }));
    let clean = keeping
        .inspect_content(&known, Content::from("hello"))
        .await
        .expect("readable");
    assert_eq!(clean.head().verdict, ContentVerdict::Accepted);
}

/// A daemon that reads so many bytes, answers and closes.
async fn daemon(reads: usize, answer: &'static [u8]) -> ClamAv {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address").to_string();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut buffer = vec![0; reads];
            let _ = stream.read_exact(&mut buffer).await;
            let _ = stream.write_all(answer).await;
            let _ = stream.shutdown().await;
            // What was not read must not reset the connection before the answer is read.
            let _ = tokio::time::timeout(
                Duration::from_millis(200),
                tokio::io::copy(&mut stream, &mut tokio::io::sink()),
            )
            .await;
        }
    });
    ClamAv::new(address).with_timeout(Duration::from_secs(2))
}

#[tokio::test]
async fn a_daemon_that_does_not_say_clean_never_means_clean() {
    for (reads, answer) in [
        (10, &b""[..]),
        (10, b"INSTREAM size limit exceeded. ERROR\0"),
        (100_000, b"INSTREAM size limit exceeded. ERROR\0"),
        (10, b"UNKNOWN COMMAND\0"),
        (10, b"HTTP/1.1 400 Bad Request\r\n\r\n"),
        (0, b""),
    ] {
        let scanner = daemon(reads, answer).await;
        let outcome = scan(&scanner, &vec![b'a'; 1 << 20]).await;
        assert!(outcome.is_err(), "{answer:?}: {outcome:?}");
    }
}

#[tokio::test]
async fn it_fails_closed_when_the_daemon_is_gone() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address").to_string();
    drop(listener);
    let scanner = Arc::new(ClamAv::new(address));
    assert_eq!(
        scanner.probe().await.expect_err("nobody is there").kind(),
        ErrorKind::ProviderUnavailable
    );
    let known = known(ArtifactType::Text, "text/plain", "a.txt");
    for (on_failure, expected) in [
        (ScanFailure::Closed, Some(ReasonKind::ScanFailed)),
        (ScanFailure::Quarantine, Some(ReasonKind::ScanFailed)),
        (ScanFailure::Open, None),
    ] {
        let policy = ScanPolicy::default().with_on_failure(on_failure);
        let inspector = Inspector::default().with_scanner(scanner.clone(), policy);
        for content in [
            Content::from("hello"),
            Content::from_stream(None, in_pieces(b"hello", 2)),
        ] {
            let inspected = inspector
                .inspect_content(&known, content)
                .await
                .expect("readable");
            let read = inspected.content().collect(10).await;
            let verdict = inspected.verdict().expect("it was read");
            assert_eq!(
                verdict.reason().map(|reason| reason.kind),
                expected,
                "{on_failure:?}"
            );
            if !inspected.is_judged() {
                assert_eq!(read.is_err(), on_failure == ScanFailure::Closed);
            }
        }
    }
}

#[tokio::test]
async fn content_beyond_the_size_limit_is_not_clean() {
    let scanner = daemon(1 << 20, b"stream: OK\0").await.with_size_max(1_000);
    let error = scan(&scanner, &[b'a'; 1_001]).await.expect_err("it is too large");
    assert!(error.to_string().contains("1000"), "{error}");
}

#[tokio::test]
async fn content_that_is_known_to_be_too_large_is_told_before_it_flows() {
    let scanner = Arc::new(ClamAv::new("127.0.0.1:1").with_size_max(4));
    let known = known(ArtifactType::Text, "text/plain", "a.txt");
    for (on_failure, expected) in [
        (ScanFailure::Closed, Some(ReasonKind::ScanFailed)),
        (ScanFailure::Quarantine, Some(ReasonKind::ScanFailed)),
        (ScanFailure::Open, None),
    ] {
        let policy = ScanPolicy::default().with_on_failure(on_failure);
        let inspector = Inspector::default().with_scanner(scanner.clone(), policy);
        for content in [
            Content::from("hello"),
            Content::from_stream(Some(5), in_pieces(b"hello", 2)),
        ] {
            let inspected = inspector
                .inspect_content(&known, content)
                .await
                .expect("readable");
            let reason = inspected.head().verdict.reason().map(|reason| reason.kind);
            assert_eq!(reason, expected, "{on_failure:?}");
            if on_failure != ScanFailure::Closed {
                assert_eq!(
                    &inspected.content().collect(10).await.expect("it flows")[..],
                    b"hello"
                );
            }
        }
    }
}

#[tokio::test]
async fn a_daemon_that_hangs_is_given_up() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let scanner = ClamAv::new(listener.local_addr().expect("an address").to_string());
    let scanner = scanner.with_timeout(Duration::from_millis(100));
    let error = scan(&scanner, b"hello").await.expect_err("nobody answers");
    assert_eq!(error.kind(), ErrorKind::Timeout);
}

#[tokio::test]
async fn a_later_scan_keeps_the_content_aside() {
    let scanner = Arc::new(ClamAv::new("127.0.0.1:1"));
    let policy = ScanPolicy::default().with_mode(ScanMode::Later);
    let inspector = Inspector::default().with_scanner(scanner, policy);
    let known = known(ArtifactType::Text, "text/plain", "a.txt");
    for content in [
        Content::from("hello"),
        Content::from_stream(None, in_pieces(b"hello", 2)),
    ] {
        let inspected = inspector
            .inspect_content(&known, content)
            .await
            .expect("readable");
        let reason = inspected.head().verdict.reason().map(|reason| reason.kind);
        assert_eq!(reason, Some(ReasonKind::ScanPending));
        assert_eq!(
            &inspected.content().collect(10).await.expect("it flows")[..],
            b"hello"
        );
        assert!(matches!(
            inspected.verdict(),
            Some(ContentVerdict::Quarantined { .. })
        ));
    }
}

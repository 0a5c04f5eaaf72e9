//! Both ways against Tink for Python: what follows our header is its stream, byte for byte.
//!
//! `cargo xtask test` installs Tink under `target/services/tink`; without it these tests fail.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use boards_storage_core::ObjectIdentity;
use boards_storage_layers::{EncryptionHeader, SecretKey};
use bytes::Bytes;

use super::bench::{Bench, SEGMENT, sample, tenant};

/// The Python that has Tink.
fn python() -> PathBuf {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR"))
        .parent()
        .expect("the target directory");
    let path = target.join("services/tink/bin/python");
    assert!(
        path.exists(),
        "{} is missing: run `cargo xtask test`, which installs Tink (it needs python3 with venv: `apt-get install \
         python3-venv`)",
        path.display()
    );
    path
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Runs Tink; `None` if it refuses.
fn tink(way: &str, key: &SecretKey, identity: &ObjectIdentity, input: &[u8]) -> Option<Vec<u8>> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/encryption/with_tink.py");
    let mut child = Command::new(python())
        .arg(script)
        .args([
            way,
            &hex(key.expose()),
            &hex(&EncryptionHeader::associated_data(identity)),
        ])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("python starts");
    let mut pipe = child.stdin.take().expect("piped");
    let input = input.to_vec();
    // It reads everything before it writes anything.
    pipe.write_all(&input).expect("python reads");
    drop(pipe);
    let output = child.wait_with_output().expect("python ends");
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(
        !told.contains("ModuleNotFoundError") && !told.contains("ImportError"),
        "{told}"
    );
    output.status.success().then_some(output.stdout)
}

fn identity(object: &str) -> ObjectIdentity {
    ObjectIdentity::new(tenant("acme"), object).expect("an id")
}

const SIZES: [usize; 6] = [0, 1, SEGMENT - 40, SEGMENT - 39, 3 * SEGMENT - 40, 300_000];

#[tokio::test(flavor = "multi_thread")]
async fn tink_reads_what_we_write() {
    let bench = Bench::new();
    for size in SIZES {
        bench.put("a", &sample(size)).await;
        let held = bench.stored("a").await;
        let header = EncryptionHeader::parse(&held).expect("a header");
        let key = bench
            .keys
            .data_key(&header, &identity("a"))
            .await
            .expect("unwrapped");
        let stream = &held[EncryptionHeader::SIZE_BYTES..];
        let plain = tink("decrypt", &key, &identity("a"), stream).expect("tink reads it");
        assert!(plain == sample(size), "other bytes of {size}");
        assert_eq!(
            tink("decrypt", &key, &identity("b"), stream).filter(|plain| !plain.is_empty()),
            None
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn we_read_what_tink_writes() {
    let bench = Bench::new();
    for size in SIZES {
        let key = SecretKey::random().expect("random");
        let stream = tink("encrypt", &key, &identity("a"), &sample(size)).expect("tink writes it");
        let header = bench.keys.header(&key, &identity("a")).await.expect("wrapped");
        let object = [&header.to_bytes()[..], &stream].concat();
        bench.replace("a", Bytes::from(object)).await;
        assert!(
            bench.get("a").await.expect("read") == sample(size),
            "other bytes of {size}"
        );
    }
}

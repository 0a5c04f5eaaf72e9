//! Whatever is done to the stored bytes: an error, and never a byte that was not written.

use boards_storage_core::{ByteRange, DownloadOptions, ErrorKind, Result, StorageProvider};
use boards_storage_layers::EncryptionHeader;
use bytes::Bytes;
use futures_util::StreamExt;
use proptest::prelude::*;

use super::bench::{Bench, SEGMENT, context, key, sample};

const SIZE: usize = 3 * SEGMENT + 500;

/// Reads whole and piece by piece; returns the error, and that every byte before it was right.
async fn damage_is_found(bench: &Bench, name: &str, what: &str) {
    let error = bench.get(name).await.expect_err(what);
    assert_eq!(error.kind(), ErrorKind::Corruption, "{what}: {error}");
    let bytes = sample(SIZE);
    let options = DownloadOptions::default().with_context(context("acme", name));
    let Ok(download) = bench.stack.download(&key(name), &options).await else {
        return;
    };
    let mut seen = 0;
    let mut stream = download.into_object().expect("an object").into_stream();
    while let Some(piece) = stream.next().await {
        let Ok(piece) = piece else { return };
        assert!(
            piece == bytes[seen..seen + piece.len()],
            "{what}: other bytes were given out"
        );
        seen += piece.len();
    }
    panic!("{what}: it ended without an error");
}

async fn with_object() -> (Bench, Vec<u8>) {
    let bench = Bench::new();
    bench.put("a", &sample(SIZE)).await;
    let held = bench.stored("a").await.to_vec();
    (bench, held)
}

/// The stored segments of an object, the first with both headers.
fn segments(held: &[u8]) -> Vec<Vec<u8>> {
    let (head, rest) = held.split_at(128 + 65_536);
    let mut segments = vec![head.to_vec()];
    segments.extend(rest.chunks(65_536).map(<[u8]>::to_vec));
    segments
}

#[tokio::test]
async fn truncation_is_corruption() {
    let (bench, held) = with_object().await;
    let edges = [
        0,
        8,
        128,
        168,
        128 + 65_536,
        128 + 2 * 65_536,
        128 + 3 * 65_536,
        held.len(),
    ];
    for edge in edges {
        for end in edge.saturating_sub(17)..(edge + 18).min(held.len()) {
            bench.replace("a", held[..end].to_vec()).await;
            damage_is_found(&bench, "a", &format!("cut to {end} of {}", held.len())).await;
        }
    }
}

#[tokio::test]
async fn what_is_put_behind_is_corruption() {
    let (bench, held) = with_object().await;
    for more in [1, 15, 16, 17, 65_536] {
        let mut longer = held.clone();
        longer.resize(held.len() + more, 0);
        bench.replace("a", longer).await;
        damage_is_found(&bench, "a", &format!("{more} bytes more")).await;
    }
}

#[tokio::test]
async fn dropped_reordered_and_doubled_segments_are_corruption() {
    let (bench, held) = with_object().await;
    let whole = segments(&held);
    for index in 0..whole.len() {
        let mut fewer = whole.clone();
        fewer.remove(index);
        bench.replace("a", fewer.concat()).await;
        damage_is_found(&bench, "a", &format!("without segment {index}")).await;
        let mut doubled = whole.clone();
        doubled.insert(index, whole[index].clone());
        bench.replace("a", doubled.concat()).await;
        damage_is_found(&bench, "a", &format!("segment {index} twice")).await;
        for other in 1..whole.len() {
            if other != index {
                let mut swapped = whole.clone();
                swapped.swap(index, other);
                bench.replace("a", swapped.concat()).await;
                damage_is_found(&bench, "a", &format!("segments {index} and {other} swapped")).await;
            }
        }
    }
}

#[tokio::test]
async fn every_bit_of_the_headers_counts() {
    let bench = Bench::new();
    bench.put("a", &sample(100)).await;
    let held = bench.stored("a").await.to_vec();
    for bit in 0..168 * 8 {
        let mut flipped = held.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        bench.replace("a", flipped).await;
        let error = bench.get("a").await.expect_err("refused");
        assert_eq!(error.kind(), ErrorKind::Corruption, "bit {bit}: {error}");
    }
    bench.replace("a", held).await;
    assert_eq!(bench.get("a").await.expect("whole again"), sample(100));
}

#[tokio::test]
async fn bits_of_the_body_count() {
    let (bench, held) = with_object().await;
    for byte in (168..held.len())
        .step_by(6_553)
        .chain([168, held.len() - 16, held.len() - 1])
    {
        let mut flipped = held.clone();
        flipped[byte] ^= 0x10;
        bench.replace("a", flipped).await;
        damage_is_found(&bench, "a", &format!("byte {byte} changed")).await;
    }
}

#[tokio::test]
async fn another_objects_bytes_are_corruption() {
    let bench = Bench::new();
    bench.put("a", &sample(SIZE)).await;
    bench.put("b", &sample(SIZE)).await;
    let (one, two) = (bench.stored("a").await, bench.stored("b").await);
    bench.replace("a", two.clone()).await;
    damage_is_found(&bench, "a", "another object").await;
    // Another object's stream behind its own header, and the other way round.
    for at in [128, 168, 128 + 65_536] {
        bench.replace("a", [&one[..at], &two[at..]].concat()).await;
        damage_is_found(&bench, "a", &format!("another object from byte {at} on")).await;
        bench.replace("a", [&two[..at], &one[at..]].concat()).await;
        damage_is_found(&bench, "a", &format!("another object up to byte {at}")).await;
    }
}

#[tokio::test]
async fn an_older_state_of_an_object_under_a_new_identity_is_corruption() {
    let bench = Bench::new();
    bench.put("a", &sample(100)).await;
    let error = bench
        .get_as("a", context("acme", "a2"))
        .await
        .expect_err("refused");
    assert_eq!(error.kind(), ErrorKind::Corruption);
}

#[tokio::test]
async fn another_tenant_reads_nothing() {
    let bench = Bench::new();
    bench.put("a", &sample(100)).await;
    let unknown = bench
        .get_as("a", context("globex", "a"))
        .await
        .expect_err("refused");
    assert_eq!(unknown.kind(), ErrorKind::Configuration, "{unknown}");
    bench
        .keys
        .rotate(&super::bench::tenant("globex"))
        .await
        .expect("made");
    let known = bench
        .get_as("a", context("globex", "a"))
        .await
        .expect_err("refused");
    assert_eq!(known.kind(), ErrorKind::Corruption, "{known}");
}

#[tokio::test]
async fn a_plain_object_is_corruption_by_every_way_of_reading() {
    let bench = Bench::new();
    for size in [0, 100, 184, 70_000] {
        bench.replace("a", sample(size)).await;
        let mut outcomes: Vec<Result<Bytes>> = vec![bench.get("a").await];
        for range in [
            ByteRange::from(0..1),
            ByteRange::from(66_000..66_001),
            ByteRange::suffix(1),
        ] {
            outcomes.push(bench.get_range("a", range).await.map(|_read| Bytes::new()));
        }
        for outcome in outcomes {
            let error = outcome.expect_err("refused");
            let is_beyond = error.status() == Some(416) && error.kind() == ErrorKind::InvalidInput;
            assert!(
                error.kind() == ErrorKind::Corruption || is_beyond,
                "{size}: {error}"
            );
        }
    }
}

proptest! {
    #[test]
    fn a_header_is_parsed_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        if let Ok(header) = EncryptionHeader::parse(&bytes) {
            prop_assert_eq!(&header.to_bytes()[..], &bytes[..128]);
        }
    }

    #[test]
    fn a_header_that_nearly_is_one_is_parsed_or_refused(at in 0usize..128, value: u8) {
        let mut bytes = [0; 128];
        bytes[..16].copy_from_slice(b"bstorenc\x01\x01\x00\x80\x00\x01\x00\x00");
        bytes[at] = value;
        if let Ok(header) = EncryptionHeader::parse(&bytes) {
            prop_assert_eq!(&header.to_bytes()[..], &bytes[..]);
        }
    }
}

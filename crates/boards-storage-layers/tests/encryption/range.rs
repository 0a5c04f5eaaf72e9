//! Ranges: the right bytes, and no more fetched than the segments that hold them.

use boards_storage_core::{ByteRange, DownloadOptions, ErrorKind, StorageProvider};
use proptest::prelude::*;

use super::bench::{Bench, SEGMENT, context, key, sample};

const SIZE: usize = 5 * SEGMENT + 1000;

/// Reads a range and checks it against the content and against what may be fetched for it.
async fn check(bench: &Bench, range: ByteRange) {
    let bytes = sample(SIZE);
    let expected = range.resolve(SIZE as u64).expect("not empty");
    bench.asked.take();
    let download = bench.get_range("a", range).await.expect("read");
    assert_eq!(download.range(), expected, "{range}");
    assert_eq!(download.metadata().size_bytes, SIZE as u64);
    let got = download.bytes(usize::MAX).await.expect("read");
    let index = |at: u64| usize::try_from(at).expect("fits in memory");
    let (start, end) = (index(expected.start), index(expected.end));
    assert!(got == bytes[start..end], "other bytes for {range}");
    let fetched: u64 = bench
        .asked
        .take()
        .iter()
        .map(|asked| asked.end - asked.start)
        .sum();
    let segments = ((end - 1 + 40) / SEGMENT - (start + 40) / SEGMENT + 1) as u64;
    assert!(fetched <= 168 + segments * 65_536, "{fetched} bytes for {range}");
}

#[tokio::test]
async fn every_form_of_range_fetches_its_segments_alone() {
    let bench = Bench::new();
    bench.put("a", &sample(SIZE)).await;
    let (first, size) = (SEGMENT as u64 - 40, SIZE as u64);
    for edge in [0, first, first + SEGMENT as u64, size - 1] {
        for start in edge.saturating_sub(1)..(edge + 2).min(size) {
            for length in [1, 2, 100, SEGMENT as u64, size] {
                check(&bench, ByteRange::from(start..start + length)).await;
            }
            check(&bench, ByteRange::from(start..)).await;
            check(&bench, ByteRange::suffix(size - start)).await;
        }
    }
    check(&bench, ByteRange::from(0..u64::MAX)).await;
    check(&bench, ByteRange::suffix(u64::MAX)).await;
}

#[tokio::test]
async fn a_range_in_the_first_segment_is_one_request() {
    let bench = Bench::new();
    bench.put("a", &sample(SIZE)).await;
    check(&bench, ByteRange::from(5..10)).await;
    bench.get_range("a", ByteRange::from(5..10)).await.expect("read");
    let asked = bench.asked.take();
    assert_eq!((asked.len(), &asked[0]), (1, &(0..128 + 65_536)));
    bench
        .get_range("a", ByteRange::from(200_000..200_001))
        .await
        .expect("read");
    assert_eq!(bench.asked.take(), [0..168, 128 + 3 * 65_536..128 + 4 * 65_536]);
}

#[tokio::test]
async fn the_ranges_of_one_state_fetch_its_headers_once() {
    let bench = Bench::new();
    let stored = bench.put("a", &sample(SIZE)).await;
    let read = async |etag: boards_storage_core::ETag| {
        let options = DownloadOptions::default()
            .with_context(context("acme", "a"))
            .with_range(ByteRange::from(200_000..200_100))
            .with_if_match(etag);
        let download = bench.stack.download(&key("a"), &options).await?.into_object()?;
        download.bytes(100).await
    };
    let etag = stored.etag.expect("the store has tags");
    for requests in [2, 1, 1] {
        bench.asked.take();
        assert!(read(etag.clone()).await.expect("read") == sample(SIZE)[200_000..200_100]);
        assert_eq!(bench.asked.take().len(), requests);
    }
    // What was destroyed is not read by what is known, and another state is not taken for this one.
    let young = bench.put("a", &sample(SIZE - 1)).await;
    assert_eq!(
        read(etag).await.expect_err("refused").kind(),
        ErrorKind::PreconditionFailed
    );
    let etag = young.etag.expect("the store has tags");
    read(etag.clone()).await.expect("read");
    bench
        .keys
        .shred(&super::bench::tenant("acme"))
        .await
        .expect("shredded");
    assert_eq!(
        read(etag).await.expect_err("refused").kind(),
        ErrorKind::AccessDenied
    );
}

#[tokio::test]
async fn a_range_beyond_the_content_is_refused_as_of_any_object() {
    let bench = Bench::new();
    for size in [0, 10, SIZE] {
        bench.put("a", &sample(size)).await;
        // Within the ciphertext, but beyond the content.
        for range in [size as u64..size as u64 + 1, size as u64 + 100..size as u64 + 101] {
            let refused = bench
                .get_range("a", ByteRange::from(range))
                .await
                .expect_err("refused");
            assert_eq!(
                (refused.kind(), refused.status()),
                (ErrorKind::InvalidInput, Some(416))
            );
        }
    }
}

#[tokio::test]
async fn a_damaged_segment_spoils_the_ranges_that_need_it_and_no_other() {
    let bench = Bench::new();
    bench.put("a", &sample(SIZE)).await;
    let mut held = bench.stored("a").await.to_vec();
    held[128 + 2 * 65_536 + 77] ^= 1;
    bench.replace("a", held).await;
    let second = 2 * SEGMENT as u64;
    let damaged = bench
        .get_range("a", ByteRange::from(second + 1000..second + 1001))
        .await;
    let damaged = match damaged {
        Ok(download) => download.bytes(10).await.expect_err("refused"),
        Err(error) => error,
    };
    assert_eq!(damaged.kind(), ErrorKind::Corruption);
    check(&bench, ByteRange::from(0..SEGMENT as u64)).await;
    check(&bench, ByteRange::from(3 * SEGMENT as u64..)).await;
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn any_range_gives_its_bytes(start in 0..SIZE as u64, length in 1..SIZE as u64, form in 0..3) {
        let range = match form {
            0 => ByteRange::from(start..start + length),
            1 => ByteRange::from(start..),
            _ => ByteRange::suffix(length),
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let bench = Bench::new();
            bench.put("a", &sample(SIZE)).await;
            check(&bench, range).await;
        });
    }
}

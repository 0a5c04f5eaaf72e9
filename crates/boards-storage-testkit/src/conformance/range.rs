//! Ranges, at all their edges.

use boards_storage_core::{ByteRange, Capability, DownloadOptions, ErrorKind, Result};

use super::case::{Case, pattern, refused, same_bytes};
use super::conformance_tests;
use super::need::Need::{Damage, Has, Lacks};

conformance_tests! {
    "range" needs [Has(Capability::Range)] {
        the_first_and_the_last_byte []
        inner_ranges []
        open_ranges []
        suffixes []
        an_end_beyond_the_object_is_cut []
        the_whole_object_as_a_range []
        ranges_beyond_the_end_are_refused []
        empty_ranges_are_refused []
        every_range_of_an_empty_object_is_refused []
        a_range_answers_the_whole_metadata []
        ranges_of_a_big_object []
        ranges_put_together_are_the_object []
        a_range_of_a_missing_object_is_not_found []
        a_range_of_a_damaged_object_is_no_full_read [Lacks(Capability::VerifiedRange), Damage]
        a_damaged_range_is_corruption [Has(Capability::VerifiedRange), Damage]
    }
}

const SIZE: u64 = 10;

async fn check(case: &Case, range: ByteRange, expected: std::ops::Range<u64>) -> Result<()> {
    let options = DownloadOptions::default().with_range(range);
    let download = case
        .provider
        .download(&case.key("a"), &options)
        .await?
        .into_object()?;
    assert_eq!(download.range(), expected, "what {range} means");
    assert_eq!(
        download.metadata().size_bytes,
        SIZE,
        "the size of the whole with {range}"
    );
    let text: Vec<u8> = (expected.start..expected.end)
        .map(|byte| b'0' + u8::try_from(byte).unwrap_or_default())
        .collect();
    same_bytes(&download.bytes(100).await?, &text, "the range");
    Ok(())
}

async fn with_ten(case: &Case) -> Result<()> {
    case.put("a", "0123456789").await.map(drop)
}

async fn the_first_and_the_last_byte(case: Case) -> Result<()> {
    with_ten(&case).await?;
    check(&case, ByteRange::from(0..1), 0..1).await?;
    check(&case, ByteRange::from(9..10), 9..10).await?;
    check(&case, ByteRange::from(9..), 9..10).await?;
    check(&case, ByteRange::suffix(1), 9..10).await
}

async fn inner_ranges(case: Case) -> Result<()> {
    with_ten(&case).await?;
    check(&case, ByteRange::from(1..9), 1..9).await?;
    check(&case, ByteRange::from(4..5), 4..5).await
}

async fn open_ranges(case: Case) -> Result<()> {
    with_ten(&case).await?;
    check(&case, ByteRange::from(0..), 0..10).await?;
    check(&case, ByteRange::from(5..), 5..10).await
}

async fn suffixes(case: Case) -> Result<()> {
    with_ten(&case).await?;
    check(&case, ByteRange::suffix(3), 7..10).await?;
    check(&case, ByteRange::suffix(10), 0..10).await?;
    check(&case, ByteRange::suffix(11), 0..10).await?;
    check(&case, ByteRange::suffix(u64::MAX), 0..10).await
}

async fn an_end_beyond_the_object_is_cut(case: Case) -> Result<()> {
    with_ten(&case).await?;
    check(&case, ByteRange::from(8..11), 8..10).await?;
    check(&case, ByteRange::from(0..1_000_000), 0..10).await?;
    check(&case, ByteRange::from(9..u64::MAX), 9..10).await
}

async fn the_whole_object_as_a_range(case: Case) -> Result<()> {
    with_ten(&case).await?;
    check(&case, ByteRange::from(0..10), 0..10).await
}

async fn refuses(case: &Case, range: ByteRange) {
    let options = DownloadOptions::default().with_range(range);
    refused(
        case.provider.download(&case.key("a"), &options).await,
        ErrorKind::InvalidInput,
    );
}

async fn ranges_beyond_the_end_are_refused(case: Case) -> Result<()> {
    with_ten(&case).await?;
    for range in [
        ByteRange::from(10..11),
        ByteRange::from(10..),
        ByteRange::from(11..),
        ByteRange::from(u64::MAX - 1..u64::MAX),
    ] {
        let options = DownloadOptions::default().with_range(range);
        let error = refused(
            case.provider.download(&case.key("a"), &options).await,
            ErrorKind::InvalidInput,
        );
        assert_eq!(error.status(), Some(416), "{range}");
    }
    Ok(())
}

async fn empty_ranges_are_refused(case: Case) -> Result<()> {
    with_ten(&case).await?;
    refuses(&case, ByteRange::from(3..3)).await;
    refuses(&case, ByteRange::Bounded { start: 5, end: 2 }).await;
    refuses(&case, ByteRange::suffix(0)).await;
    Ok(())
}

async fn every_range_of_an_empty_object_is_refused(case: Case) -> Result<()> {
    case.put("a", "").await?;
    for range in [
        ByteRange::from(0..1),
        ByteRange::from(0..),
        ByteRange::suffix(1),
        ByteRange::from(5..9),
    ] {
        refuses(&case, range).await;
    }
    Ok(())
}

async fn a_range_answers_the_whole_metadata(case: Case) -> Result<()> {
    case.put_with("a", "0123456789", &case.options_of("one")).await?;
    let options = DownloadOptions::default().with_range(ByteRange::from(2..4));
    let download = case
        .provider
        .download(&case.key("a"), &options)
        .await?
        .into_object()?;
    let head = case.head("a").await?;
    assert!(!download.is_whole());
    assert_eq!(download.length(), 2);
    assert_eq!(download.metadata().attributes, head.attributes);
    assert_eq!(download.metadata().etag, head.etag);
    Ok(())
}

async fn ranges_of_a_big_object(case: Case) -> Result<()> {
    let bytes = pattern(5 << 20, 30);
    case.put("a", bytes.clone()).await?;
    let size = bytes.len();
    for (start, end) in [
        (0, 1),
        (65_535, 65_537),
        (1 << 20, (1 << 20) + 1),
        (262_143, 600_001),
        (size - 3, size),
        (1, size),
    ] {
        let options = DownloadOptions::default().with_range(ByteRange::from(start as u64..end as u64));
        same_bytes(
            &case.read_with("a", &options).await?,
            &bytes[start..end],
            &format!("{start}..{end}"),
        );
    }
    Ok(())
}

async fn ranges_put_together_are_the_object(case: Case) -> Result<()> {
    let bytes = pattern(100_003, 31);
    case.put("a", bytes.clone()).await?;
    let mut together = Vec::new();
    while together.len() < bytes.len() {
        let start = together.len() as u64;
        let options = DownloadOptions::default().with_range(ByteRange::from(start..start + 9_973));
        together.extend_from_slice(&case.read_with("a", &options).await?);
    }
    same_bytes(&together, &bytes, "the ranges together");
    Ok(())
}

async fn a_range_of_a_missing_object_is_not_found(case: Case) -> Result<()> {
    let options = DownloadOptions::default().with_range(ByteRange::from(0..1));
    refused(case.read_with("a", &options).await, ErrorKind::NotFound);
    Ok(())
}

async fn a_damaged_range_is_corruption(case: Case) -> Result<()> {
    with_ten(&case).await?;
    let damage = case.fixture.damage.clone().expect("the test needs it");
    damage(case.key("a")).await?;
    for range in [ByteRange::from(0..2), ByteRange::from(3..), ByteRange::suffix(1)] {
        let options = DownloadOptions::default().with_range(range);
        refused(case.read_with("a", &options).await, ErrorKind::Corruption);
    }
    Ok(())
}

/// A checksum of the whole says nothing of a part: the range is answered, not refused.
async fn a_range_of_a_damaged_object_is_no_full_read(case: Case) -> Result<()> {
    with_ten(&case).await?;
    let damage = case.fixture.damage.clone().expect("the test needs it");
    damage(case.key("a")).await?;
    let options = DownloadOptions::default().with_range(ByteRange::from(0..2));
    assert_eq!(case.read_with("a", &options).await?.len(), 2);
    Ok(())
}

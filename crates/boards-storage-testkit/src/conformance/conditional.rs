//! Conditional downloads.

use std::time::Duration;

use boards_storage_core::{
    ByteRange, Capability, DownloadOptions, DownloadOutcome, ETag, ErrorKind, NotModified, Result,
};
use jiff::Timestamp;

use super::case::{Case, refused};
use super::conformance_tests;
use super::need::Need::Has;

conformance_tests! {
    "conditional" needs [Has(Capability::ConditionalDownload)] {
        if_match_gives_the_state_that_was_asked_for []
        if_match_refuses_another_state []
        if_match_and_a_range [Has(Capability::Range)]
        if_none_match_is_not_modified []
        if_none_match_gives_another_state []
        if_modified_since_is_not_modified []
        if_modified_since_gives_a_later_state []
        if_none_match_counts_before_if_modified_since []
        if_match_counts_before_if_none_match []
        conditions_on_a_missing_object_are_not_found []
    }
}

fn options() -> DownloadOptions {
    DownloadOptions::default()
}

async fn not_modified(case: &Case, options: &DownloadOptions) -> Result<NotModified> {
    match case.provider.download(&case.key("a"), options).await? {
        DownloadOutcome::NotModified(answer) => Ok(answer),
        DownloadOutcome::Object(object) => panic!("expected not modified, got {object:?}"),
    }
}

async fn if_match_gives_the_state_that_was_asked_for(case: Case) -> Result<()> {
    case.put("a", "x").await?;
    let etag = case.etag("a").await?;
    assert_eq!(
        &case.read_with("a", &options().with_if_match(etag)).await?[..],
        b"x"
    );
    Ok(())
}

async fn if_match_refuses_another_state(case: Case) -> Result<()> {
    case.put("a", "one").await?;
    let old = case.etag("a").await?;
    case.put("a", "two").await?;
    for etag in [old, ETag::new("nonsense")] {
        refused(
            case.read_with("a", &options().with_if_match(etag)).await,
            ErrorKind::PreconditionFailed,
        );
    }
    Ok(())
}

async fn if_match_and_a_range(case: Case) -> Result<()> {
    case.put("a", "0123").await?;
    let etag = case.etag("a").await?;
    let pinned = options().with_range(ByteRange::from(1..3)).with_if_match(etag);
    assert_eq!(&case.read_with("a", &pinned).await?[..], b"12");
    case.put("a", "4567").await?;
    refused(case.read_with("a", &pinned).await, ErrorKind::PreconditionFailed);
    Ok(())
}

async fn if_none_match_is_not_modified(case: Case) -> Result<()> {
    case.put("a", "x").await?;
    let etag = case.etag("a").await?;
    let answer = not_modified(&case, &options().with_if_none_match(etag.clone())).await?;
    assert!(answer.etag.is_none_or(|answered| answered == etag));
    Ok(())
}

async fn if_none_match_gives_another_state(case: Case) -> Result<()> {
    case.put("a", "one").await?;
    let old = case.etag("a").await?;
    case.put("a", "two").await?;
    assert_eq!(
        &case.read_with("a", &options().with_if_none_match(old)).await?[..],
        b"two"
    );
    assert_eq!(
        &case
            .read_with("a", &options().with_if_none_match(ETag::new("nonsense")))
            .await?[..],
        b"two"
    );
    Ok(())
}

/// Returns the store's own time of the object, so that no clock but the store's matters.
async fn modified(case: &Case) -> Result<Timestamp> {
    case.put("a", "x").await?;
    Ok(case
        .head("a")
        .await?
        .modified
        .expect("a store that compares times answers them"))
}

async fn if_modified_since_is_not_modified(case: Case) -> Result<()> {
    let modified = modified(&case).await?;
    for later in [Duration::ZERO, Duration::from_secs(1), Duration::from_hours(1)] {
        // Some stores take no time in the future for an answer; the object's own time always counts.
        let since = modified + later;
        if later.is_zero() {
            not_modified(&case, &options().with_if_modified_since(since)).await?;
        } else {
            case.provider
                .download(&case.key("a"), &options().with_if_modified_since(since))
                .await?;
        }
    }
    Ok(())
}

async fn if_modified_since_gives_a_later_state(case: Case) -> Result<()> {
    let modified = modified(&case).await?;
    for earlier in [2, 3600] {
        let since = modified - Duration::from_secs(earlier);
        assert_eq!(
            &case
                .read_with("a", &options().with_if_modified_since(since))
                .await?[..],
            b"x"
        );
    }
    Ok(())
}

async fn if_none_match_counts_before_if_modified_since(case: Case) -> Result<()> {
    let modified = modified(&case).await?;
    let etag = case.etag("a").await?;
    let past = modified - Duration::from_hours(1);
    not_modified(
        &case,
        &options().with_if_none_match(etag).with_if_modified_since(past),
    )
    .await?;
    let other = options()
        .with_if_none_match(ETag::new("nonsense"))
        .with_if_modified_since(modified);
    assert_eq!(&case.read_with("a", &other).await?[..], b"x");
    Ok(())
}

async fn if_match_counts_before_if_none_match(case: Case) -> Result<()> {
    case.put("a", "x").await?;
    let etag = case.etag("a").await?;
    let contradiction = options()
        .with_if_match(ETag::new("nonsense"))
        .with_if_none_match(etag.clone());
    refused(
        case.read_with("a", &contradiction).await,
        ErrorKind::PreconditionFailed,
    );
    not_modified(
        &case,
        &options().with_if_match(etag.clone()).with_if_none_match(etag),
    )
    .await?;
    Ok(())
}

async fn conditions_on_a_missing_object_are_not_found(case: Case) -> Result<()> {
    let etag = ETag::new("nonsense");
    let present = Timestamp::constant(1_600_000_000, 0);
    for options in [
        options().with_if_match(etag.clone()),
        options().with_if_none_match(etag),
        options().with_if_modified_since(present),
    ] {
        refused(case.read_with("a", &options).await, ErrorKind::NotFound);
    }
    Ok(())
}

//! What a provider says of itself, and its whole life.

use boards_storage_core::{CallOptions, Capability, ErrorKind, PartOrder, Result};

use super::case::{Case, refused};
use super::conformance_tests;
use super::need::Need::{Has, Second};

conformance_tests! {
    "info" needs [] {
        it_names_its_kind_and_place []
        capabilities_never_change []
        capabilities_fit_together []
        a_probe_succeeds_and_changes_nothing []
        debug_and_info_show_no_signature [Has(Capability::PresignedDownload)]
        close_succeeds []
        a_second_handle_says_the_same [Second]
    }
}

async fn it_names_its_kind_and_place(case: Case) -> Result<()> {
    let info = case.provider.info();
    let is_kind = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_';
    assert!(
        !info.kind.is_empty() && info.kind.chars().all(is_kind),
        "'{}' can stand in settings",
        info.kind
    );
    assert!(!info.location.is_empty(), "the location is told");
    assert!(!format!("{:?}", case.provider).is_empty());
    Ok(())
}

async fn capabilities_never_change(case: Case) -> Result<()> {
    let before = case.provider.capabilities().clone();
    case.put("a", "x").await?;
    case.read("a").await?;
    assert_eq!(*case.provider.capabilities(), before);
    Ok(())
}

async fn capabilities_fit_together(case: Case) -> Result<()> {
    let capabilities = case.provider.capabilities();
    let implied = [
        (Capability::ListDelimiter, Capability::List),
        (Capability::ListStartAfter, Capability::List),
        (Capability::CopyAttributes, Capability::Copy),
        (Capability::PresignedPart, Capability::Multipart),
    ];
    for (capability, base) in implied {
        assert!(
            !capabilities.has(capability) || capabilities.has(base),
            "{capability} needs {base}"
        );
    }
    assert_eq!(
        capabilities.has(Capability::Multipart),
        capabilities.part_rules.is_some(),
        "parts have rules"
    );
    if let Some(rules) = capabilities.part_rules {
        assert!(
            rules.size_bytes_min <= rules.size_bytes_max
                && rules.multiple_of_bytes > 0
                && rules.count_max > 0
        );
        assert!(matches!(rules.order, PartOrder::Any | PartOrder::Sequential));
    }
    assert!(
        capabilities.delete_many_max != Some(0),
        "a limit of 0 is no delete_many"
    );
    Ok(())
}

async fn a_probe_succeeds_and_changes_nothing(case: Case) -> Result<()> {
    case.put("a", "x").await?;
    case.provider.probe(&CallOptions::default()).await?;
    case.assert_holds("a", b"x").await
}

async fn debug_and_info_show_no_signature(case: Case) -> Result<()> {
    // Some stores sign only what is there.
    case.put("a", "x").await?;
    let options = boards_storage_core::PresignDownloadOptions::default();
    let request = case
        .provider
        .presigned_download_url(&case.key("a"), &options)
        .await?;
    let query = request
        .url
        .split_once('?')
        .map(|(_, query)| query.to_owned())
        .unwrap_or_default();
    let shown = format!("{request:?} {:?} {:?}", case.provider, case.provider.info());
    assert!(
        query.is_empty() || !shown.contains(&query),
        "a signed query is shown"
    );
    Ok(())
}

async fn close_succeeds(case: Case) -> Result<()> {
    case.put("a", "x").await?;
    case.provider.close().await
}

async fn a_second_handle_says_the_same(case: Case) -> Result<()> {
    let second = case.second().await?;
    assert_eq!(second.info(), case.provider.info());
    assert_eq!(second.capabilities(), case.provider.capabilities());
    refused(
        second.metadata(&case.key("a"), &CallOptions::default()).await,
        ErrorKind::NotFound,
    );
    Ok(())
}

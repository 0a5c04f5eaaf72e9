//! Older versions.

use boards_storage_core::{Capability, DownloadOptions, ErrorKind, Result};

use super::case::{Case, refused};
use super::conformance_tests;
use super::need::Need::Has;

conformance_tests! {
    "versions" needs [Has(Capability::ReadVersion)] {
        every_state_has_its_own_version []
        an_old_version_can_be_read_with_its_metadata []
        an_unknown_version_is_not_found []
    }
}

async fn every_state_has_its_own_version(case: Case) -> Result<()> {
    let mut versions = std::collections::BTreeSet::new();
    for text in ["one", "two", "two"] {
        let answer = case.put("a", text).await?;
        assert_eq!(answer.version, case.head("a").await?.version);
        versions.insert(answer.version.expect("a store that keeps versions names them"));
    }
    assert_eq!(versions.len(), 3);
    Ok(())
}

async fn an_old_version_can_be_read_with_its_metadata(case: Case) -> Result<()> {
    let mut written = Vec::new();
    for text in ["one", "second", "3"] {
        written.push((text, case.put_with("a", text, &case.options_of(text)).await?));
    }
    for (text, answer) in written {
        let options = DownloadOptions::default().with_version(answer.version.expect("named"));
        let download = case
            .provider
            .download(&case.key("a"), &options)
            .await?
            .into_object()?;
        assert_eq!(download.metadata().attributes, case.attributes(text));
        assert_eq!(download.metadata().etag, answer.etag);
        assert_eq!(download.bytes(100).await?, text);
    }
    Ok(())
}

async fn an_unknown_version_is_not_found(case: Case) -> Result<()> {
    let other = case.put("b", "other").await?.version.expect("named");
    case.put("a", "x").await?;
    refused(
        case.read_with("a", &DownloadOptions::default().with_version(other))
            .await,
        ErrorKind::NotFound,
    );
    Ok(())
}

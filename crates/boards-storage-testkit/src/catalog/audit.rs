//! The head of an audit log moves forward and never back.

use boards_storage_core::{AuditHead, ErrorKind, Result};

use super::case::{Case, refused};

super::catalog_tests! { "audit" {
    a_log_that_was_never_written_has_no_head
    a_head_is_kept_as_it_was_given
    a_head_never_goes_back
    two_histories_are_told
    each_log_has_a_head_of_its_own
    heads_that_race_end_at_the_furthest
} }

fn head(sequence: u64) -> AuditHead {
    AuditHead {
        sequence,
        mac: format!("{sequence:064x}"),
    }
}

async fn a_log_that_was_never_written_has_no_head(case: Case) -> Result<()> {
    assert_eq!(case.catalog.audit_head("audit").await?, None);
    Ok(())
}

async fn a_head_is_kept_as_it_was_given(case: Case) -> Result<()> {
    assert_eq!(case.catalog.advance_audit_head("audit", &head(1)).await?, head(1));
    assert_eq!(case.catalog.advance_audit_head("audit", &head(7)).await?, head(7));
    assert_eq!(case.second.audit_head("audit").await?, Some(head(7)));
    Ok(())
}

async fn a_head_never_goes_back(case: Case) -> Result<()> {
    case.catalog.advance_audit_head("audit", &head(7)).await?;
    assert_eq!(case.second.advance_audit_head("audit", &head(6)).await?, head(7));
    assert_eq!(case.catalog.advance_audit_head("audit", &head(7)).await?, head(7));
    assert_eq!(case.catalog.audit_head("audit").await?, Some(head(7)));
    Ok(())
}

async fn two_histories_are_told(case: Case) -> Result<()> {
    case.catalog.advance_audit_head("audit", &head(7)).await?;
    let other = AuditHead {
        mac: "f".repeat(64),
        ..head(7)
    };
    refused(
        case.catalog.advance_audit_head("audit", &other).await,
        ErrorKind::PreconditionFailed,
    );
    assert_eq!(case.catalog.audit_head("audit").await?, Some(head(7)));
    Ok(())
}

async fn each_log_has_a_head_of_its_own(case: Case) -> Result<()> {
    case.catalog.advance_audit_head("a", &head(7)).await?;
    case.catalog.advance_audit_head("b", &head(1)).await?;
    assert_eq!(case.catalog.audit_head("a").await?, Some(head(7)));
    assert_eq!(case.catalog.audit_head("b").await?, Some(head(1)));
    Ok(())
}

async fn heads_that_race_end_at_the_furthest(case: Case) -> Result<()> {
    let mut tasks = tokio::task::JoinSet::new();
    for sequence in 1..=32 {
        let catalog = case.handle(usize::try_from(sequence).unwrap_or_default());
        tasks.spawn(async move { catalog.advance_audit_head("audit", &head(sequence)).await });
    }
    while let Some(advanced) = tasks.join_next().await {
        advanced.expect("it does not panic")?;
    }
    assert_eq!(case.catalog.audit_head("audit").await?, Some(head(32)));
    Ok(())
}

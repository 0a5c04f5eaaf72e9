//! Deletes: one and many.

use boards_storage_core::{
    Capability, DeleteOptions, DeleteOutcome, ETag, ErrorKind, OperationKind, Precondition, PreconditionKind,
    Result, StorageKey,
};

use super::case::{Case, refused};
use super::conformance_tests;
use super::need::Need::{Decides, DeleteManyMax, Has, Lacks};

conformance_tests! {
    "delete" needs [] {
        an_object_is_gone []
        there_is_no_error_where_there_is_nothing []
        truth_is_told [Has(Capability::TruthfulDelete)]
        unknown_is_told_where_truth_is_not [Lacks(Capability::TruthfulDelete)]
        a_key_can_be_written_again []
        neighbours_stay []
        many_at_once_tell_the_truth_together [Has(Capability::TruthfulDelete)]
        if_match_deletes_the_right_state [Decides(OperationKind::Delete, PreconditionKind::IfMatch)]
        if_match_leaves_another_state [Decides(OperationKind::Delete, PreconditionKind::IfMatch)]
        if_match_on_nothing_is_refused [Decides(OperationKind::Delete, PreconditionKind::IfMatch)]
        if_absent_makes_no_sense []
        many_keys_are_gone [Has(Capability::DeleteMany)]
        many_keys_answer_in_their_order [Has(Capability::DeleteMany)]
        no_keys_are_no_work [Has(Capability::DeleteMany)]
        as_many_keys_as_allowed [Has(Capability::DeleteMany), DeleteManyMax]
        more_keys_than_allowed_are_refused [Has(Capability::DeleteMany), DeleteManyMax]
    }
}

async fn delete(case: &Case, name: &str) -> Result<DeleteOutcome> {
    case.provider
        .delete(&case.key(name), &DeleteOptions::default())
        .await
}

async fn an_object_is_gone(case: Case) -> Result<()> {
    case.put("a", "x").await?;
    assert_ne!(delete(&case, "a").await?, DeleteOutcome::Absent);
    case.assert_absent("a").await
}

async fn there_is_no_error_where_there_is_nothing(case: Case) -> Result<()> {
    for name in ["a", "deep/down/a", "a"] {
        assert_ne!(delete(&case, name).await?, DeleteOutcome::Existed);
    }
    Ok(())
}

async fn truth_is_told(case: Case) -> Result<()> {
    assert_eq!(delete(&case, "a").await?, DeleteOutcome::Absent);
    for text in ["x", ""] {
        case.put("a", text).await?;
        assert_eq!(delete(&case, "a").await?, DeleteOutcome::Existed);
        assert_eq!(delete(&case, "a").await?, DeleteOutcome::Absent);
    }
    Ok(())
}

async fn unknown_is_told_where_truth_is_not(case: Case) -> Result<()> {
    case.put("a", "x").await?;
    for _ in 0..2 {
        assert_eq!(delete(&case, "a").await?, DeleteOutcome::Unknown);
    }
    Ok(())
}

async fn a_key_can_be_written_again(case: Case) -> Result<()> {
    for text in ["one", "two"] {
        case.put_with("a", text, &case.options_of(text)).await?;
        case.assert_holds("a", text.as_bytes()).await?;
        assert_eq!(case.head("a").await?.attributes, case.attributes(text));
        delete(&case, "a").await?;
    }
    case.put("a", "bare").await?;
    assert!(
        case.head("a").await?.attributes.user_metadata.is_empty(),
        "nothing of the deleted one comes back"
    );
    Ok(())
}

async fn neighbours_stay(case: Case) -> Result<()> {
    let neighbours = ["folder/a", "folder/ab", "folder/b", "folder2/a"];
    for name in neighbours {
        case.put(name, name).await?;
    }
    delete(&case, "folder/a").await?;
    case.assert_absent("folder/a").await?;
    for name in &neighbours[1..] {
        case.assert_holds(name, name.as_bytes()).await?;
    }
    Ok(())
}

async fn many_at_once_tell_the_truth_together(case: Case) -> Result<()> {
    for _ in 0..20 {
        case.put("a", "x").await?;
        let outcomes = futures_util::future::try_join_all((0..8).map(|_| delete(&case, "a"))).await?;
        let existed = outcomes
            .iter()
            .filter(|outcome| **outcome == DeleteOutcome::Existed)
            .count();
        assert_eq!(existed, 1, "one of all deletes found the object: {outcomes:?}");
    }
    Ok(())
}

fn if_match(etag: ETag) -> DeleteOptions {
    DeleteOptions::default().with_precondition(Precondition::IfMatch(etag))
}

async fn if_match_deletes_the_right_state(case: Case) -> Result<()> {
    case.put("a", "x").await?;
    let etag = case.etag("a").await?;
    case.provider.delete(&case.key("a"), &if_match(etag)).await?;
    case.assert_absent("a").await
}

async fn if_match_leaves_another_state(case: Case) -> Result<()> {
    case.put("a", "one").await?;
    let old = case.etag("a").await?;
    case.put("a", "two").await?;
    for etag in [old, ETag::new("nonsense")] {
        refused(
            case.provider.delete(&case.key("a"), &if_match(etag)).await,
            ErrorKind::PreconditionFailed,
        );
        case.assert_holds("a", b"two").await?;
    }
    Ok(())
}

async fn if_match_on_nothing_is_refused(case: Case) -> Result<()> {
    let options = if_match(ETag::new("nonsense"));
    refused(
        case.provider.delete(&case.key("a"), &options).await,
        ErrorKind::PreconditionFailed,
    );
    Ok(())
}

async fn if_absent_makes_no_sense(case: Case) -> Result<()> {
    case.put("a", "x").await?;
    let options = DeleteOptions::default().with_precondition(Precondition::IfAbsent);
    refused(
        case.provider.delete(&case.key("a"), &options).await,
        ErrorKind::InvalidInput,
    );
    case.assert_holds("a", b"x").await
}

async fn many_keys_are_gone(case: Case) -> Result<()> {
    let names = ["a", "b c", "folder/d", "missing"];
    for name in &names[..3] {
        case.put(name, "x").await?;
    }
    case.put("stays", "x").await?;
    let keys = names.map(|name| case.key(name));
    for deleted in case
        .provider
        .delete_many(&keys, &DeleteOptions::default())
        .await?
    {
        deleted.outcome?;
    }
    for name in names {
        case.assert_absent(name).await?;
    }
    case.assert_holds("stays", b"x").await
}

async fn many_keys_answer_in_their_order(case: Case) -> Result<()> {
    case.put("a", "x").await?;
    case.put("z", "x").await?;
    let keys = ["z", "missing", "a", "missing2"].map(|name| case.key(name));
    let deleted = case
        .provider
        .delete_many(&keys, &DeleteOptions::default())
        .await?;
    assert_eq!(
        deleted.iter().map(|deleted| &deleted.key).collect::<Vec<_>>(),
        keys.iter().collect::<Vec<_>>()
    );
    for (deleted, existed) in deleted.into_iter().zip([true, false, true, false]) {
        let expected = if existed {
            DeleteOutcome::Existed
        } else {
            DeleteOutcome::Absent
        };
        let outcome = deleted.outcome?;
        assert!(
            outcome == expected || outcome == DeleteOutcome::Unknown,
            "{outcome:?} of {}",
            deleted.key
        );
    }
    Ok(())
}

async fn no_keys_are_no_work(case: Case) -> Result<()> {
    assert!(
        case.provider
            .delete_many(&[], &DeleteOptions::default())
            .await?
            .is_empty()
    );
    Ok(())
}

fn keys(case: &Case, count: usize) -> Vec<StorageKey> {
    (0..count).map(|number| case.key(&format!("n{number}"))).collect()
}

async fn as_many_keys_as_allowed(case: Case) -> Result<()> {
    let max = case
        .provider
        .capabilities()
        .delete_many_max
        .expect("the test needs a limit")
        .min(10_000);
    case.put("n0", "x").await?;
    let deleted = case
        .provider
        .delete_many(&keys(&case, max), &DeleteOptions::default())
        .await?;
    assert_eq!(deleted.len(), max);
    case.assert_absent("n0").await
}

async fn more_keys_than_allowed_are_refused(case: Case) -> Result<()> {
    let max = case
        .provider
        .capabilities()
        .delete_many_max
        .expect("the test needs a limit");
    case.put("n0", "x").await?;
    let outcome = case
        .provider
        .delete_many(&keys(&case, max + 1), &DeleteOptions::default())
        .await;
    refused(outcome, ErrorKind::InvalidInput);
    case.assert_holds("n0", b"x").await
}

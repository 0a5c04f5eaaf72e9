//! Copies within the store.

use boards_storage_core::{
    Capability, CopyOptions, DeleteOptions, Digest, DigestAlgorithm, ETag, ErrorKind, ObjectMetadata,
    OperationKind, Precondition, PreconditionKind, Result, UploadOptions, WriteId,
};

use super::case::{Case, pattern, refused};
use super::conformance_tests;
use super::need::Need::{Decides, Has};

conformance_tests! {
    "copy" needs [Has(Capability::Copy)] {
        bytes_and_attributes_are_copied []
        an_empty_object_is_copied []
        a_big_object_is_copied []
        a_copy_replaces_what_was_there []
        the_answer_describes_the_copy []
        a_digest_is_copied [Has(Capability::Digest)]
        a_copy_has_its_own_write_id [Has(Capability::WriteId)]
        attributes_can_be_replaced [Has(Capability::CopyAttributes)]
        attributes_can_be_taken_away [Has(Capability::CopyAttributes)]
        a_copy_is_independent_of_its_source []
        a_missing_source_is_not_found_and_changes_nothing []
        a_copy_onto_itself_is_refused []
        a_source_tag_that_fits_is_copied [Has(Capability::ConditionalDownload)]
        another_source_tag_is_refused [Has(Capability::ConditionalDownload)]
        if_absent_copies_to_nothing [Decides(OperationKind::Copy, PreconditionKind::IfAbsent)]
        if_absent_leaves_what_is_there [Decides(OperationKind::Copy, PreconditionKind::IfAbsent)]
        if_match_replaces_the_right_state [Decides(OperationKind::Copy, PreconditionKind::IfMatch)]
        if_match_leaves_another_state [Decides(OperationKind::Copy, PreconditionKind::IfMatch)]
    }
}

async fn copy(case: &Case, options: &CopyOptions) -> Result<ObjectMetadata> {
    case.provider
        .copy(&case.key("from"), &case.key("to"), options)
        .await
}

async fn bytes_and_attributes_are_copied(case: Case) -> Result<()> {
    case.put_with("from", "hello", &case.options_of("one")).await?;
    copy(&case, &CopyOptions::default()).await?;
    for name in ["from", "to"] {
        case.assert_holds(name, b"hello").await?;
        assert_eq!(
            case.head(name).await?.attributes,
            case.attributes("one"),
            "attributes of {name}"
        );
    }
    Ok(())
}

async fn an_empty_object_is_copied(case: Case) -> Result<()> {
    case.put_with("from", "", &case.options_of("one")).await?;
    copy(&case, &CopyOptions::default()).await?;
    case.assert_holds("to", b"").await
}

async fn a_big_object_is_copied(case: Case) -> Result<()> {
    let bytes = pattern(12 << 20, 50);
    case.put("from", bytes.clone()).await?;
    copy(&case, &CopyOptions::default()).await?;
    case.assert_holds("to", &bytes).await
}

async fn a_copy_replaces_what_was_there(case: Case) -> Result<()> {
    case.put_with("to", "an older and longer text", &case.options_of("other2"))
        .await?;
    case.put_with("from", "new", &case.options_of("one")).await?;
    copy(&case, &CopyOptions::default()).await?;
    case.assert_holds("to", b"new").await?;
    assert_eq!(case.head("to").await?.attributes, case.attributes("one"));
    Ok(())
}

async fn the_answer_describes_the_copy(case: Case) -> Result<()> {
    case.put_with("from", "hello", &case.options_of("one")).await?;
    let answer = copy(&case, &CopyOptions::default()).await?;
    let head = case.head("to").await?;
    assert_eq!((&answer.key, answer.size_bytes), (&case.key("to"), 5));
    assert_eq!(
        (answer.etag, answer.attributes, answer.version),
        (head.etag, head.attributes, head.version)
    );
    Ok(())
}

async fn a_digest_is_copied(case: Case) -> Result<()> {
    let digest = Digest::of(DigestAlgorithm::Blake3, b"x");
    case.put_with("from", "x", &UploadOptions::default().with_digest(digest))
        .await?;
    copy(&case, &CopyOptions::default()).await?;
    assert_eq!(case.head("to").await?.digest, Some(digest));
    Ok(())
}

async fn a_copy_has_its_own_write_id(case: Case) -> Result<()> {
    case.put_with(
        "from",
        "x",
        &UploadOptions::default().with_write_id(WriteId::fresh()),
    )
    .await?;
    let own = WriteId::fresh();
    copy(&case, &CopyOptions::default().with_write_id(own)).await?;
    assert_eq!(case.head("to").await?.write_id, Some(own));
    Ok(())
}

async fn attributes_can_be_replaced(case: Case) -> Result<()> {
    case.put_with("from", "x", &case.options_of("one")).await?;
    copy(
        &case,
        &CopyOptions::default().with_attributes(case.attributes("other2")),
    )
    .await?;
    assert_eq!(case.head("to").await?.attributes, case.attributes("other2"));
    assert_eq!(case.head("from").await?.attributes, case.attributes("one"));
    case.assert_holds("to", b"x").await
}

async fn attributes_can_be_taken_away(case: Case) -> Result<()> {
    case.put_with("from", "x", &case.options_of("one")).await?;
    copy(&case, &CopyOptions::default().with_attributes(Default::default())).await?;
    let attributes = case.head("to").await?.attributes;
    assert!(
        attributes.user_metadata.is_empty() && attributes.cache_control.is_none(),
        "{attributes:?}"
    );
    Ok(())
}

async fn a_copy_is_independent_of_its_source(case: Case) -> Result<()> {
    case.put("from", "one").await?;
    copy(&case, &CopyOptions::default()).await?;
    case.put("from", "two").await?;
    case.assert_holds("to", b"one").await?;
    case.put("to", "three").await?;
    case.assert_holds("from", b"two").await?;
    copy(&case, &CopyOptions::default()).await?;
    case.provider
        .delete(&case.key("from"), &DeleteOptions::default())
        .await?;
    case.assert_holds("to", b"two").await
}

async fn a_missing_source_is_not_found_and_changes_nothing(case: Case) -> Result<()> {
    refused(copy(&case, &CopyOptions::default()).await, ErrorKind::NotFound);
    case.assert_absent("to").await?;
    case.put("to", "old").await?;
    refused(copy(&case, &CopyOptions::default()).await, ErrorKind::NotFound);
    case.assert_holds("to", b"old").await
}

async fn a_copy_onto_itself_is_refused(case: Case) -> Result<()> {
    case.put("from", "x").await?;
    let key = case.key("from");
    refused(
        case.provider.copy(&key, &key, &CopyOptions::default()).await,
        ErrorKind::InvalidInput,
    );
    case.assert_holds("from", b"x").await
}

async fn a_source_tag_that_fits_is_copied(case: Case) -> Result<()> {
    case.put("from", "x").await?;
    let etag = case.etag("from").await?;
    match copy(&case, &CopyOptions::default().with_source_if_match(etag)).await {
        // A store that cannot decide it says so.
        Err(error) if error.kind() == ErrorKind::Unsupported => case.assert_absent("to").await,
        outcome => {
            outcome?;
            case.assert_holds("to", b"x").await
        }
    }
}

async fn another_source_tag_is_refused(case: Case) -> Result<()> {
    case.put("from", "one").await?;
    let old = case.etag("from").await?;
    case.put("from", "two").await?;
    for etag in [old, ETag::new("nonsense")] {
        let options = CopyOptions::default().with_source_if_match(etag);
        let error = copy(&case, &options).await.expect_err("another state");
        let is_refused = matches!(
            error.kind(),
            ErrorKind::PreconditionFailed | ErrorKind::Unsupported
        );
        assert!(is_refused, "{error}");
        case.assert_absent("to").await?;
    }
    Ok(())
}

async fn if_absent_copies_to_nothing(case: Case) -> Result<()> {
    case.put("from", "x").await?;
    copy(
        &case,
        &CopyOptions::default().with_precondition(Precondition::IfAbsent),
    )
    .await?;
    case.assert_holds("to", b"x").await
}

async fn if_absent_leaves_what_is_there(case: Case) -> Result<()> {
    case.put("from", "x").await?;
    case.put("to", "old").await?;
    let options = CopyOptions::default().with_precondition(Precondition::IfAbsent);
    refused(copy(&case, &options).await, ErrorKind::AlreadyExists);
    case.assert_holds("to", b"old").await
}

async fn if_match_replaces_the_right_state(case: Case) -> Result<()> {
    case.put("from", "x").await?;
    case.put("to", "old").await?;
    let etag = case.etag("to").await?;
    copy(
        &case,
        &CopyOptions::default().with_precondition(Precondition::IfMatch(etag)),
    )
    .await?;
    case.assert_holds("to", b"x").await
}

async fn if_match_leaves_another_state(case: Case) -> Result<()> {
    case.put("from", "x").await?;
    let options = CopyOptions::default().with_precondition(Precondition::IfMatch(ETag::new("nonsense")));
    refused(copy(&case, &options).await, ErrorKind::PreconditionFailed);
    case.assert_absent("to").await?;
    case.put("to", "old").await?;
    refused(copy(&case, &options).await, ErrorKind::PreconditionFailed);
    case.assert_holds("to", b"old").await
}

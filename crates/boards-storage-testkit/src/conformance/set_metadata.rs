//! Changes of attributes without the bytes.

use boards_storage_core::{
    Capability, Digest, DigestAlgorithm, ETag, ErrorKind, ObjectAttributes, ObjectMetadata, OperationKind,
    Precondition, PreconditionKind, Result, SetMetadataOptions, UploadOptions,
};

use super::case::{Case, pattern, refused};
use super::conformance_tests;
use super::need::Need::{Decides, Has};

conformance_tests! {
    "set_metadata" needs [Has(Capability::SetMetadata)] {
        attributes_change_and_bytes_stay []
        all_attributes_are_replaced []
        the_answer_describes_the_new_state []
        a_digest_stays [Has(Capability::Digest)]
        a_missing_object_is_not_found []
        invalid_attributes_are_refused_and_change_nothing [Has(Capability::UserMetadata)]
        if_match_changes_the_right_state [Decides(OperationKind::SetMetadata, PreconditionKind::IfMatch)]
        if_match_leaves_another_state [Decides(OperationKind::SetMetadata, PreconditionKind::IfMatch)]
        if_absent_makes_no_sense []
    }
}

async fn set(case: &Case, attributes: ObjectAttributes) -> Result<ObjectMetadata> {
    set_with(case, attributes, Precondition::None).await
}

async fn set_with(
    case: &Case,
    attributes: ObjectAttributes,
    precondition: Precondition,
) -> Result<ObjectMetadata> {
    let options = SetMetadataOptions::default().with_precondition(precondition);
    case.provider
        .set_metadata(&case.key("a"), &attributes, &options)
        .await
}

async fn attributes_change_and_bytes_stay(case: Case) -> Result<()> {
    let bytes = pattern(300_000, 60);
    case.put_with("a", bytes.clone(), &case.options_of("one")).await?;
    for tag in ["other2", "one"] {
        set(&case, case.attributes(tag)).await?;
        case.assert_holds("a", &bytes).await?;
        assert_eq!(case.head("a").await?.attributes, case.attributes(tag));
    }
    Ok(())
}

async fn all_attributes_are_replaced(case: Case) -> Result<()> {
    case.put_with("a", "x", &case.options_of("one")).await?;
    set(&case, ObjectAttributes::default()).await?;
    let attributes = case.head("a").await?.attributes;
    assert!(
        attributes.user_metadata.is_empty() && attributes.cache_control.is_none(),
        "{attributes:?}"
    );
    Ok(())
}

/// Whether the tag changes is the store's affair; that all answers agree is not.
async fn the_answer_describes_the_new_state(case: Case) -> Result<()> {
    case.put_with("a", "x", &case.options_of("one")).await?;
    let answer = set(&case, case.attributes("other2")).await?;
    let head = case.head("a").await?;
    assert_eq!((&answer.key, answer.size_bytes), (&case.key("a"), 1));
    assert_eq!((&answer.etag, &answer.attributes), (&head.etag, &head.attributes));
    let download = case
        .provider
        .download(&case.key("a"), &Default::default())
        .await?
        .into_object()?;
    assert_eq!(
        (&download.metadata().etag, &download.metadata().attributes),
        (&head.etag, &head.attributes)
    );
    Ok(())
}

async fn a_digest_stays(case: Case) -> Result<()> {
    let digest = Digest::of(DigestAlgorithm::Blake3, b"x");
    case.put_with("a", "x", &UploadOptions::default().with_digest(digest))
        .await?;
    set(&case, case.attributes("other2")).await?;
    assert_eq!(case.head("a").await?.digest, Some(digest));
    Ok(())
}

async fn a_missing_object_is_not_found(case: Case) -> Result<()> {
    refused(set(&case, case.attributes("one")).await, ErrorKind::NotFound);
    case.assert_absent("a").await
}

async fn invalid_attributes_are_refused_and_change_nothing(case: Case) -> Result<()> {
    case.put_with("a", "x", &case.options_of("one")).await?;
    let invalid = ObjectAttributes::default().with_user_metadata("Upper", "x");
    refused(set(&case, invalid).await, ErrorKind::InvalidInput);
    assert_eq!(case.head("a").await?.attributes, case.attributes("one"));
    Ok(())
}

async fn if_match_changes_the_right_state(case: Case) -> Result<()> {
    case.put_with("a", "x", &case.options_of("one")).await?;
    let etag = case.etag("a").await?;
    set_with(&case, case.attributes("other2"), Precondition::IfMatch(etag)).await?;
    assert_eq!(case.head("a").await?.attributes, case.attributes("other2"));
    Ok(())
}

async fn if_match_leaves_another_state(case: Case) -> Result<()> {
    let nonsense = Precondition::IfMatch(ETag::new("nonsense"));
    // A store may look at the object first.
    let error = set_with(&case, case.attributes("other2"), nonsense.clone())
        .await
        .expect_err("nothing to match");
    assert!(
        matches!(error.kind(), ErrorKind::PreconditionFailed | ErrorKind::NotFound),
        "{error}"
    );
    case.put_with("a", "x", &case.options_of("one")).await?;
    refused(
        set_with(&case, case.attributes("other2"), nonsense).await,
        ErrorKind::PreconditionFailed,
    );
    assert_eq!(case.head("a").await?.attributes, case.attributes("one"));
    Ok(())
}

async fn if_absent_makes_no_sense(case: Case) -> Result<()> {
    case.put("a", "x").await?;
    refused(
        set_with(&case, case.attributes("one"), Precondition::IfAbsent).await,
        ErrorKind::InvalidInput,
    );
    Ok(())
}

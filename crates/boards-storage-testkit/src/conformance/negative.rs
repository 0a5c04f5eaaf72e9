//! What is not declared is refused with `Unsupported`, and changes nothing.

use boards_storage_core::{
    AccessClass, ByteRange, CallOptions, Capability, CompleteUploadOptions, CopyOptions, CreateUploadOptions,
    DeleteOptions, Digest, DigestAlgorithm, DownloadOptions, ETag, ErrorKind, ListOptions, MultipartUpload,
    ObjectAttributes, OperationKind, Part, PartPlace, PartRules, Precondition, PreconditionKind,
    PresignDownloadOptions, PresignPartOptions, PresignUploadOptions, Result, SetMetadataOptions,
    SignedUploadForm, UploadOptions, UploadPartOptions, WriteId,
};
use jiff::Timestamp;

use super::case::{Case, refused, with_attribute};
use super::conformance_tests;
use super::need::Need::{CannotDecide, Has, Lacks};

conformance_tests! {
    "negative" needs [] {
        range [Lacks(Capability::Range)]
        conditional_download [Lacks(Capability::ConditionalDownload)]
        read_version [Lacks(Capability::ReadVersion)]
        list [Lacks(Capability::List)]
        list_delimiter [Has(Capability::List), Lacks(Capability::ListDelimiter)]
        list_start_after [Has(Capability::List), Lacks(Capability::ListStartAfter)]
        delete_many [Lacks(Capability::DeleteMany)]
        copy [Lacks(Capability::Copy)]
        copy_attributes [Has(Capability::Copy), Lacks(Capability::CopyAttributes)]
        set_metadata [Lacks(Capability::SetMetadata)]
        set_access [Lacks(Capability::SetAccess)]
        multipart [Lacks(Capability::Multipart)]
        presigned_upload [Lacks(Capability::PresignedUpload)]
        presigned_post [Lacks(Capability::PresignedPost)]
        presigned_length_max [Has(Capability::PresignedUpload), Lacks(Capability::PresignedLengthMax)]
        presigned_download [Lacks(Capability::PresignedDownload)]
        presigned_part [Lacks(Capability::PresignedPart)]
        public_url [Lacks(Capability::PublicUrl)]
        content_type [Lacks(Capability::ContentType)]
        content_disposition [Lacks(Capability::ContentDisposition)]
        content_encoding [Lacks(Capability::ContentEncoding)]
        content_language [Lacks(Capability::ContentLanguage)]
        cache_control [Lacks(Capability::CacheControl)]
        user_metadata [Lacks(Capability::UserMetadata)]
        write_id [Lacks(Capability::WriteId)]
        a_digest_is_checked_though_not_kept [Lacks(Capability::Digest)]
        no_checksum_is_answered [Lacks(Capability::Checksum)]
        upload_if_absent [CannotDecide(OperationKind::Upload, PreconditionKind::IfAbsent)]
        upload_if_match [CannotDecide(OperationKind::Upload, PreconditionKind::IfMatch)]
        delete_if_match [CannotDecide(OperationKind::Delete, PreconditionKind::IfMatch)]
        delete_many_if_match [Has(Capability::DeleteMany), CannotDecide(OperationKind::DeleteMany, PreconditionKind::IfMatch)]
        copy_if_absent [Has(Capability::Copy), CannotDecide(OperationKind::Copy, PreconditionKind::IfAbsent)]
        copy_if_match [Has(Capability::Copy), CannotDecide(OperationKind::Copy, PreconditionKind::IfMatch)]
        set_metadata_if_match [Has(Capability::SetMetadata), CannotDecide(OperationKind::SetMetadata, PreconditionKind::IfMatch)]
        complete_upload_if_absent [Has(Capability::Multipart), CannotDecide(OperationKind::CompleteUpload, PreconditionKind::IfAbsent)]
        complete_upload_if_match [Has(Capability::Multipart), CannotDecide(OperationKind::CompleteUpload, PreconditionKind::IfMatch)]
        presigned_upload_if_absent [Has(Capability::PresignedUpload), CannotDecide(OperationKind::PresignedUploadUrl, PreconditionKind::IfAbsent)]
        presigned_upload_if_match [Has(Capability::PresignedUpload), CannotDecide(OperationKind::PresignedUploadUrl, PreconditionKind::IfMatch)]
    }
}

const UNSUPPORTED: ErrorKind = ErrorKind::Unsupported;

fn nonsense() -> ETag {
    ETag::new("nonsense")
}

/// Puts `old` at `a`; what follows must leave it.
async fn with_old(case: &Case) -> Result<()> {
    case.put("a", "old").await.map(drop)
}

async fn still_old(case: &Case) -> Result<()> {
    case.assert_holds("a", b"old").await
}

async fn download_is_refused(case: &Case, options: DownloadOptions) -> Result<()> {
    with_old(case).await?;
    refused(
        case.provider.download(&case.key("a"), &options).await,
        UNSUPPORTED,
    );
    Ok(())
}

async fn range(case: Case) -> Result<()> {
    download_is_refused(
        &case,
        DownloadOptions::default().with_range(ByteRange::from(0..1)),
    )
    .await
}

async fn conditional_download(case: Case) -> Result<()> {
    let options = DownloadOptions::default;
    download_is_refused(&case, options().with_if_match(nonsense())).await?;
    download_is_refused(&case, options().with_if_none_match(nonsense())).await?;
    download_is_refused(&case, options().with_if_modified_since(Timestamp::UNIX_EPOCH)).await
}

async fn read_version(case: Case) -> Result<()> {
    download_is_refused(&case, DownloadOptions::default().with_version("1".to_owned())).await
}

async fn list_is_refused(case: &Case, options: ListOptions) -> Result<()> {
    with_old(case).await?;
    refused(case.provider.list(&options).await.map(drop), UNSUPPORTED);
    Ok(())
}

async fn list(case: Case) -> Result<()> {
    list_is_refused(&case, case.listing("")).await
}

async fn list_delimiter(case: Case) -> Result<()> {
    list_is_refused(&case, case.listing("").with_delimiter("/")).await
}

async fn list_start_after(case: Case) -> Result<()> {
    list_is_refused(&case, case.listing("").with_start_after("a")).await
}

async fn delete_many_is_refused(case: &Case, options: DeleteOptions) -> Result<()> {
    with_old(case).await?;
    refused(
        case.provider.delete_many(&[case.key("a")], &options).await,
        UNSUPPORTED,
    );
    still_old(case).await
}

async fn delete_many(case: Case) -> Result<()> {
    delete_many_is_refused(&case, DeleteOptions::default()).await
}

async fn delete_many_if_match(case: Case) -> Result<()> {
    let options = DeleteOptions::default().with_precondition(Precondition::IfMatch(nonsense()));
    delete_many_is_refused(&case, options).await
}

async fn copy_is_refused(case: &Case, options: CopyOptions) -> Result<()> {
    with_old(case).await?;
    refused(
        case.provider.copy(&case.key("a"), &case.key("b"), &options).await,
        UNSUPPORTED,
    );
    case.assert_absent("b").await?;
    still_old(case).await
}

async fn copy(case: Case) -> Result<()> {
    copy_is_refused(&case, CopyOptions::default()).await
}

async fn copy_attributes(case: Case) -> Result<()> {
    copy_is_refused(
        &case,
        CopyOptions::default().with_attributes(ObjectAttributes::default()),
    )
    .await
}

async fn copy_if_absent(case: Case) -> Result<()> {
    copy_is_refused(
        &case,
        CopyOptions::default().with_precondition(Precondition::IfAbsent),
    )
    .await
}

async fn copy_if_match(case: Case) -> Result<()> {
    copy_is_refused(
        &case,
        CopyOptions::default().with_precondition(Precondition::IfMatch(nonsense())),
    )
    .await
}

async fn set_metadata_is_refused(case: &Case, options: SetMetadataOptions) -> Result<()> {
    with_old(case).await?;
    let before = case.head("a").await?;
    let outcome = case
        .provider
        .set_metadata(&case.key("a"), &case.attributes("one"), &options)
        .await;
    refused(outcome, UNSUPPORTED);
    assert_eq!(case.head("a").await?, before);
    Ok(())
}

async fn set_metadata(case: Case) -> Result<()> {
    set_metadata_is_refused(&case, SetMetadataOptions::default()).await
}

async fn set_metadata_if_match(case: Case) -> Result<()> {
    let options = SetMetadataOptions::default().with_precondition(Precondition::IfMatch(nonsense()));
    set_metadata_is_refused(&case, options).await
}

async fn set_access(case: Case) -> Result<()> {
    with_old(&case).await?;
    let outcome = case
        .provider
        .set_access(&case.key("a"), AccessClass::Public, &CallOptions::default())
        .await;
    refused(outcome, UNSUPPORTED);
    upload_is_refused(&case, UploadOptions::default().with_access(AccessClass::Public)).await
}

async fn multipart(case: Case) -> Result<()> {
    let upload = MultipartUpload::new(case.key("a"), "nonsense", PartRules::any());
    let provider = &case.provider;
    let call = CallOptions::default();
    refused(
        provider
            .create_upload(&case.key("a"), &CreateUploadOptions::default())
            .await,
        UNSUPPORTED,
    );
    let part = provider
        .upload_part(
            &upload,
            PartPlace::new(1, 0),
            "x".into(),
            &UploadPartOptions::default(),
        )
        .await;
    refused(part, UNSUPPORTED);
    refused(provider.list_parts(&upload, &call).await, UNSUPPORTED);
    let parts = [Part::new(1, 1)];
    refused(
        provider
            .complete_upload(&upload, &parts, &CompleteUploadOptions::default())
            .await,
        UNSUPPORTED,
    );
    refused(provider.abort_upload(&upload, &call).await, UNSUPPORTED);
    case.assert_absent("a").await
}

async fn create_upload_is_refused(case: &Case, precondition: Precondition) -> Result<()> {
    let options = CreateUploadOptions::default().with_precondition(precondition);
    refused(
        case.provider.create_upload(&case.key("a"), &options).await,
        UNSUPPORTED,
    );
    case.assert_absent("a").await
}

async fn complete_upload_if_absent(case: Case) -> Result<()> {
    create_upload_is_refused(&case, Precondition::IfAbsent).await
}

async fn complete_upload_if_match(case: Case) -> Result<()> {
    create_upload_is_refused(&case, Precondition::IfMatch(nonsense())).await
}

async fn presign_is_refused(case: &Case, options: PresignUploadOptions) -> Result<()> {
    refused(
        case.provider.presigned_upload_url(&case.key("a"), &options).await,
        UNSUPPORTED,
    );
    Ok(())
}

async fn presigned_upload(case: Case) -> Result<()> {
    presign_is_refused(&case, PresignUploadOptions::default()).await
}

async fn presigned_post(case: Case) -> Result<()> {
    presign_is_refused(
        &case,
        PresignUploadOptions::default().with_form(SignedUploadForm::Post),
    )
    .await
}

async fn presigned_length_max(case: Case) -> Result<()> {
    presign_is_refused(&case, PresignUploadOptions::default().with_length_max(1)).await
}

async fn presigned_upload_if_absent(case: Case) -> Result<()> {
    presign_is_refused(
        &case,
        PresignUploadOptions::default().with_precondition(Precondition::IfAbsent),
    )
    .await
}

async fn presigned_upload_if_match(case: Case) -> Result<()> {
    let options = PresignUploadOptions::default().with_precondition(Precondition::IfMatch(nonsense()));
    presign_is_refused(&case, options).await
}

async fn presigned_download(case: Case) -> Result<()> {
    let options = PresignDownloadOptions::default();
    refused(
        case.provider
            .presigned_download_url(&case.key("a"), &options)
            .await,
        UNSUPPORTED,
    );
    Ok(())
}

async fn presigned_part(case: Case) -> Result<()> {
    let upload = MultipartUpload::new(case.key("a"), "nonsense", PartRules::any());
    let outcome = case
        .provider
        .presigned_part_url(&upload, 1, &PresignPartOptions::default())
        .await;
    refused(outcome, UNSUPPORTED);
    Ok(())
}

async fn public_url(case: Case) -> Result<()> {
    refused(
        case.provider
            .public_url(&case.key("a"), &CallOptions::default())
            .await,
        UNSUPPORTED,
    );
    Ok(())
}

/// Checks that an upload is refused over nothing and over something.
async fn upload_is_refused(case: &Case, options: UploadOptions) -> Result<()> {
    refused(case.put_with("new", "x", &options).await, UNSUPPORTED);
    case.assert_absent("new").await?;
    with_old(case).await?;
    refused(case.put_with("a", "x", &options).await, UNSUPPORTED);
    still_old(case).await
}

async fn attribute_is_refused(case: &Case, capability: Capability) -> Result<()> {
    let attributes = with_attribute(ObjectAttributes::default(), capability, "one");
    upload_is_refused(case, UploadOptions::default().with_attributes(attributes.clone())).await?;
    if case.has(Capability::Multipart) {
        let options = CreateUploadOptions::default().with_attributes(attributes.clone());
        refused(
            case.provider.create_upload(&case.key("new"), &options).await,
            UNSUPPORTED,
        );
    }
    if case.has(Capability::SetMetadata) {
        let options = SetMetadataOptions::default();
        refused(
            case.provider
                .set_metadata(&case.key("a"), &attributes, &options)
                .await,
            UNSUPPORTED,
        );
    }
    if case.has(Capability::CopyAttributes) {
        copy_is_refused(case, CopyOptions::default().with_attributes(attributes)).await?;
    }
    still_old(case).await
}

async fn content_type(case: Case) -> Result<()> {
    attribute_is_refused(&case, Capability::ContentType).await
}

async fn content_disposition(case: Case) -> Result<()> {
    attribute_is_refused(&case, Capability::ContentDisposition).await
}

async fn content_encoding(case: Case) -> Result<()> {
    attribute_is_refused(&case, Capability::ContentEncoding).await
}

async fn content_language(case: Case) -> Result<()> {
    attribute_is_refused(&case, Capability::ContentLanguage).await
}

async fn cache_control(case: Case) -> Result<()> {
    attribute_is_refused(&case, Capability::CacheControl).await
}

async fn user_metadata(case: Case) -> Result<()> {
    attribute_is_refused(&case, Capability::UserMetadata).await
}

async fn write_id(case: Case) -> Result<()> {
    upload_is_refused(&case, UploadOptions::default().with_write_id(WriteId::fresh())).await?;
    if case.has(Capability::Copy) {
        copy_is_refused(&case, CopyOptions::default().with_write_id(WriteId::fresh())).await?;
    }
    Ok(())
}

async fn a_digest_is_checked_though_not_kept(case: Case) -> Result<()> {
    let right = UploadOptions::default().with_digest(Digest::of(DigestAlgorithm::Blake3, b"x"));
    case.put_with("a", "x", &right).await?;
    assert_eq!(case.head("a").await?.digest, None);
    refused(case.put_with("a", "y", &right).await, ErrorKind::Corruption);
    case.assert_holds("a", b"x").await
}

async fn no_checksum_is_answered(case: Case) -> Result<()> {
    with_old(&case).await?;
    assert_eq!(case.head("a").await?.checksum, None);
    Ok(())
}

async fn upload_if_absent(case: Case) -> Result<()> {
    upload_is_refused(
        &case,
        UploadOptions::default().with_precondition(Precondition::IfAbsent),
    )
    .await
}

async fn upload_if_match(case: Case) -> Result<()> {
    upload_is_refused(
        &case,
        UploadOptions::default().with_precondition(Precondition::IfMatch(nonsense())),
    )
    .await
}

async fn delete_if_match(case: Case) -> Result<()> {
    with_old(&case).await?;
    let options = DeleteOptions::default().with_precondition(Precondition::IfMatch(nonsense()));
    refused(case.provider.delete(&case.key("a"), &options).await, UNSUPPORTED);
    still_old(&case).await
}

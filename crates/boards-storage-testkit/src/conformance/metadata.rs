//! What is kept of an object beside its bytes.

use boards_storage_core::{
    Capability, Checksum, ChecksumAlgorithm, Digest, DigestAlgorithm, ErrorKind, ObjectAttributes, Result,
    UploadOptions, WriteId,
};

use super::case::{Case, content_type, pattern, refused, streamed, with_attribute};
use super::conformance_tests;
use super::need::Need::Has;

conformance_tests! {
    "metadata" needs [] {
        a_missing_object_has_none []
        nothing_said_is_nothing_kept []
        a_content_type_is_kept [Has(Capability::ContentType)]
        a_content_type_with_parameters_is_kept [Has(Capability::ContentType)]
        a_content_disposition_is_kept [Has(Capability::ContentDisposition)]
        a_content_encoding_is_kept_and_changes_no_byte [Has(Capability::ContentEncoding)]
        a_content_language_is_kept [Has(Capability::ContentLanguage)]
        a_cache_control_is_kept [Has(Capability::CacheControl)]
        user_metadata_is_kept [Has(Capability::UserMetadata)]
        unicode_user_metadata_is_kept [Has(Capability::UserMetadata)]
        odd_user_metadata_is_kept [Has(Capability::UserMetadata)]
        user_metadata_at_its_limit_is_kept [Has(Capability::UserMetadata)]
        all_attributes_together_are_kept []
        an_empty_object_keeps_its_attributes []
        a_streamed_object_keeps_its_attributes []
        an_overwrite_replaces_all_attributes []
        an_overwrite_without_attributes_keeps_none []
        invalid_attributes_are_refused_and_store_nothing [Has(Capability::UserMetadata)]
        an_etag_names_one_state []
        times_are_told_in_order []
        a_checksum_is_kept [Has(Capability::Checksum)]
        a_digest_is_kept [Has(Capability::Digest)]
        an_overwrite_without_digest_keeps_none [Has(Capability::Digest)]
        a_write_id_is_kept [Has(Capability::WriteId)]
        an_overwrite_without_write_id_keeps_none [Has(Capability::WriteId)]
    }
}

async fn a_missing_object_has_none(case: Case) -> Result<()> {
    refused(case.head("a").await, ErrorKind::NotFound);
    assert!(!case.exists("a").await?);
    Ok(())
}

async fn keeps(case: &Case, attributes: ObjectAttributes) -> Result<()> {
    let options = UploadOptions::default().with_attributes(attributes);
    case.put_with("a", "x", &options).await?;
    assert_eq!(case.head("a").await?.attributes, options.attributes);
    case.assert_holds("a", b"x").await
}

async fn keeps_one(case: &Case, capability: Capability) -> Result<()> {
    keeps(
        case,
        with_attribute(ObjectAttributes::default(), capability, "one"),
    )
    .await?;
    keeps(
        case,
        with_attribute(ObjectAttributes::default(), capability, "other2"),
    )
    .await
}

/// Some stores cannot keep "no type": they answer the type of unknown bytes.
fn is_default(mut attributes: ObjectAttributes) -> bool {
    let unknown = ["application/octet-stream", "binary/octet-stream"];
    let is_unknown = attributes
        .content_type
        .take()
        .is_none_or(|known| unknown.contains(&known.as_str()));
    is_unknown && attributes.is_empty()
}

async fn nothing_said_is_nothing_kept(case: Case) -> Result<()> {
    case.put("a", "x").await?;
    let head = case.head("a").await?;
    assert!(is_default(head.attributes.clone()), "{:?}", head.attributes);
    assert_eq!((head.digest, head.write_id), (None, None));
    Ok(())
}

async fn a_content_type_is_kept(case: Case) -> Result<()> {
    keeps_one(&case, Capability::ContentType).await
}

async fn a_content_type_with_parameters_is_kept(case: Case) -> Result<()> {
    let plain = ObjectAttributes::default;
    keeps(
        &case,
        plain().with_content_type(content_type("text/plain; charset=utf-8")),
    )
    .await?;
    keeps(
        &case,
        plain().with_content_type(content_type("application/vnd.api+json; a=\"b c\"")),
    )
    .await
}

async fn a_content_disposition_is_kept(case: Case) -> Result<()> {
    keeps_one(&case, Capability::ContentDisposition).await
}

async fn a_content_encoding_is_kept_and_changes_no_byte(case: Case) -> Result<()> {
    keeps_one(&case, Capability::ContentEncoding).await?;
    // Nothing between may unpack what only says that it is packed.
    keeps(&case, ObjectAttributes::default().with_content_encoding("gzip")).await
}

async fn a_content_language_is_kept(case: Case) -> Result<()> {
    keeps_one(&case, Capability::ContentLanguage).await
}

async fn a_cache_control_is_kept(case: Case) -> Result<()> {
    keeps_one(&case, Capability::CacheControl).await
}

async fn user_metadata_is_kept(case: Case) -> Result<()> {
    keeps(
        &case,
        ObjectAttributes::default().with_user_metadata("camera", "one"),
    )
    .await?;
    let many = (0..20).fold(ObjectAttributes::default(), |attributes, number| {
        attributes.with_user_metadata(format!("name{number}"), format!("value {number}"))
    });
    keeps(&case, many).await
}

async fn unicode_user_metadata_is_kept(case: Case) -> Result<()> {
    for value in [
        "Grüße",
        "日本語",
        "🎉 emoji",
        "e\u{301}",
        "\u{feff}bom",
        "\u{202e}rtl",
    ] {
        keeps(&case, ObjectAttributes::default().with_user_metadata("a", value)).await?;
    }
    Ok(())
}

async fn odd_user_metadata_is_kept(case: Case) -> Result<()> {
    for value in [
        "",
        " ",
        " both ends ",
        "a,b",
        "a=b;c",
        "\"quoted\"",
        "%41",
        "=?utf-8?q?x?=",
        "{\"json\":1}",
        "a  b",
    ] {
        keeps(&case, ObjectAttributes::default().with_user_metadata("a", value)).await?;
    }
    keeps(
        &case,
        ObjectAttributes::default()
            .with_user_metadata("a-b_c9", "x")
            .with_user_metadata("9", "y"),
    )
    .await
}

async fn user_metadata_at_its_limit_is_kept(case: Case) -> Result<()> {
    let max = ObjectAttributes::USER_METADATA_BYTES_MAX;
    keeps(
        &case,
        ObjectAttributes::default().with_user_metadata("n", "v".repeat(max - 1)),
    )
    .await?;
    keeps(
        &case,
        ObjectAttributes::default().with_user_metadata("n".repeat(64), "v".repeat(max - 64)),
    )
    .await
}

async fn all_attributes_together_are_kept(case: Case) -> Result<()> {
    keeps(&case, case.attributes("one")).await
}

async fn an_empty_object_keeps_its_attributes(case: Case) -> Result<()> {
    case.put_with("a", "", &case.options_of("one")).await?;
    assert_eq!(
        case.head("a").await?.attributes,
        case.options_of("one").attributes
    );
    Ok(())
}

async fn a_streamed_object_keeps_its_attributes(case: Case) -> Result<()> {
    let bytes = pattern(200_000, 40);
    case.put_with("a", streamed(&bytes, 1000, None), &case.options_of("one"))
        .await?;
    assert_eq!(
        case.head("a").await?.attributes,
        case.options_of("one").attributes
    );
    case.assert_holds("a", &bytes).await
}

async fn an_overwrite_replaces_all_attributes(case: Case) -> Result<()> {
    for tag in ["one", "other2", "one"] {
        case.put_with("a", "x", &case.options_of(tag)).await?;
        assert_eq!(case.head("a").await?.attributes, case.attributes(tag));
    }
    Ok(())
}

async fn an_overwrite_without_attributes_keeps_none(case: Case) -> Result<()> {
    case.put_with("a", "x", &case.options_of("one")).await?;
    case.put("a", "x").await?;
    assert!(is_default(case.head("a").await?.attributes));
    Ok(())
}

async fn invalid_attributes_are_refused_and_store_nothing(case: Case) -> Result<()> {
    let none = ObjectAttributes::default;
    let too_much = "v".repeat(ObjectAttributes::USER_METADATA_BYTES_MAX);
    for invalid in [
        none().with_user_metadata("Upper", "x"),
        none().with_user_metadata("", "x"),
        none().with_user_metadata("a b", "x"),
        none().with_user_metadata("a", "line\nbreak"),
        none().with_user_metadata("a", "\0"),
        none().with_user_metadata("a", too_much),
        none().with_cache_control("a\r\nx-evil: 1"),
        none().with_content_disposition("grün"),
        none().with_content_language(""),
    ] {
        let options = UploadOptions::default().with_attributes(invalid);
        refused(case.put_with("a", "x", &options).await, ErrorKind::InvalidInput);
    }
    case.assert_absent("a").await
}

async fn an_etag_names_one_state(case: Case) -> Result<()> {
    let Some(first) = case.put("a", "one").await?.etag else {
        // A store without entity tags must not claim to compare them.
        assert!(
            !case.has(Capability::ConditionalDownload),
            "conditions need entity tags"
        );
        return Ok(());
    };
    assert!(!first.as_str().is_empty() && !first.as_str().contains('"'));
    assert_eq!(case.etag("a").await?, first);
    assert_eq!(case.etag("a").await?, first, "reading changes nothing");
    case.put("a", "two").await?;
    let second = case.etag("a").await?;
    assert_ne!(second, first, "other bytes have another tag");
    if case.has(Capability::List) {
        let entries = case.entries(&case.listing("a")).await?;
        let [boards_storage_core::ListEntry::Object(listed)] = &entries[..] else {
            panic!("one object: {entries:?}")
        };
        assert!(
            listed.etag.as_ref().is_none_or(|etag| *etag == second),
            "the list tells the same tag"
        );
    }
    Ok(())
}

async fn times_are_told_in_order(case: Case) -> Result<()> {
    case.put("a", "one").await?;
    let first = case.head("a").await?;
    case.put("a", "two").await?;
    let second = case.head("a").await?;
    if let (Some(before), Some(after)) = (first.modified, second.modified) {
        assert!(after >= before, "{after} is not before {before}");
    }
    if let (Some(created), Some(modified)) = (second.created, second.modified) {
        assert!(
            created <= modified,
            "created at {created}, modified at {modified}"
        );
    }
    Ok(())
}

async fn a_checksum_is_kept(case: Case) -> Result<()> {
    let bytes = pattern(100_000, 41);
    for content in [bytes.clone().into(), streamed(&bytes, 777, None)] {
        case.put("a", content).await?;
        let checksum = case
            .head("a")
            .await?
            .checksum
            .expect("a store that keeps checksums answers them");
        if checksum.algorithm() == ChecksumAlgorithm::Crc64Nvme {
            assert_eq!(checksum, Checksum::crc64_nvme(&bytes));
        }
    }
    let before = case.head("a").await?.checksum;
    case.put("a", "other").await?;
    assert_ne!(case.head("a").await?.checksum, before);
    Ok(())
}

async fn a_digest_is_kept(case: Case) -> Result<()> {
    for algorithm in [DigestAlgorithm::Blake3, DigestAlgorithm::Sha256] {
        let digest = Digest::of(algorithm, b"x");
        case.put_with("a", "x", &UploadOptions::default().with_digest(digest))
            .await?;
        assert_eq!(case.head("a").await?.digest, Some(digest));
    }
    Ok(())
}

async fn an_overwrite_without_digest_keeps_none(case: Case) -> Result<()> {
    let digest = Digest::of(DigestAlgorithm::Blake3, b"x");
    case.put_with("a", "x", &UploadOptions::default().with_digest(digest))
        .await?;
    case.put("a", "y").await?;
    assert_eq!(case.head("a").await?.digest, None);
    Ok(())
}

async fn a_write_id_is_kept(case: Case) -> Result<()> {
    for _ in 0..2 {
        let id = WriteId::fresh();
        case.put_with("a", "x", &UploadOptions::default().with_write_id(id))
            .await?;
        assert_eq!(case.head("a").await?.write_id, Some(id));
    }
    Ok(())
}

async fn an_overwrite_without_write_id_keeps_none(case: Case) -> Result<()> {
    case.put_with(
        "a",
        "x",
        &UploadOptions::default().with_write_id(WriteId::fresh()),
    )
    .await?;
    case.put("a", "y").await?;
    assert_eq!(case.head("a").await?.write_id, None);
    Ok(())
}

//! Copies in parts, copies whose source changes, and that no staged object is left.

use boards_storage_core::{
    ContentType, CopyOptions, Digest, DigestAlgorithm, ErrorKind, ObjectAttributes, Result,
    StorageProvider as _, UploadOptions, WriteId,
};

use crate::world::{World, key, pattern, refused, tests};

tests! { "copies":
    a_copy_above_the_limit_goes_in_parts
    attributes_above_the_limit_change_in_parts
    copies_leave_no_staged_object
}

const MIB: u64 = 1 << 20;

fn options() -> UploadOptions {
    let attributes = ObjectAttributes::default()
        .with_content_type(ContentType::parse("image/png").expect("a type"))
        .with_user_metadata("camera_model", "Größe 1");
    UploadOptions::default()
        .with_attributes(attributes)
        .with_digest(Digest::of(DigestAlgorithm::Blake3, &pattern(17 << 20)))
        .with_write_id(WriteId::fresh())
}

async fn a_copy_above_the_limit_goes_in_parts(world: World) -> Result<()> {
    let provider = world.in_parts().await?.with_copy_limits(8 * MIB, 5 * MIB);
    let bytes = pattern(17 << 20);
    let options = options();
    provider
        .upload(&key("from"), bytes.clone().into(), &options)
        .await?;
    let etag = world.head("from").await?.etag.expect("a tag");
    let write_id = WriteId::fresh();
    let pinned = CopyOptions::default()
        .with_source_if_match(etag.clone())
        .with_write_id(write_id);
    let answer = provider.copy(&key("from"), &key("to"), &pinned).await?;
    assert_eq!(world.read("to").await?, bytes);
    let head = world.head("to").await?;
    assert_eq!(
        (&head.attributes, head.digest),
        (&options.attributes, options.digest)
    );
    assert_eq!(
        (head.write_id, head.etag.as_ref()),
        (Some(write_id), answer.etag.as_ref())
    );
    assert!(
        head.etag.is_some_and(|etag| etag.as_str().ends_with("-4")),
        "four parts of 5 MiB"
    );
    provider
        .upload(&key("from"), "new".into(), &UploadOptions::default())
        .await?;
    let outcome = provider.copy(&key("from"), &key("other"), &pinned).await;
    refused(outcome, ErrorKind::PreconditionFailed);
    refused(world.head("other").await, ErrorKind::NotFound);
    assert_eq!(world.open_uploads().await?, 0);
    assert_eq!(world.raw_names().await?, ["from", "to"]);
    Ok(())
}

async fn attributes_above_the_limit_change_in_parts(world: World) -> Result<()> {
    let provider = world.in_parts().await?.with_copy_limits(8 * MIB, 5 * MIB);
    let bytes = pattern(17 << 20);
    let options = options();
    provider.upload(&key("a"), bytes.clone().into(), &options).await?;
    let attributes = ObjectAttributes::default().with_cache_control("max-age=5");
    provider
        .set_metadata(&key("a"), &attributes, &Default::default())
        .await?;
    let head = world.head("a").await?;
    assert_eq!((head.attributes, head.digest), (attributes, options.digest));
    assert_eq!(world.read("a").await?, bytes);
    Ok(())
}

async fn copies_leave_no_staged_object(world: World) -> Result<()> {
    let provider = &world.provider;
    provider
        .upload(&key("from"), "x".into(), &options_of_one_byte())
        .await?;
    let etag = world.head("from").await?.etag.expect("a tag");
    let pinned = CopyOptions::default().with_source_if_match(etag);
    provider.copy(&key("from"), &key("to"), &pinned).await?;
    let renamed = CopyOptions::default().with_write_id(WriteId::fresh());
    provider.copy(&key("from"), &key("to"), &renamed).await?;
    assert_eq!(world.raw_names().await?, ["from", "to"]);
    Ok(())
}

fn options_of_one_byte() -> UploadOptions {
    UploadOptions::default().with_digest(Digest::of(DigestAlgorithm::Blake3, b"x"))
}

//! Attributes that a store cannot keep: the record has them, and what would be lost on the way to a reader is refused.

use boards_storage::prelude::*;
use boards_storage::{
    CallOptions, Capability, ManagerSettings, ObjectAttributes, PresignDownloadOptions, StorageProvider as _,
};
use boards_storage_testkit::MemoryProvider;

use crate::world::{World, check_kind, image};

/// Everything that a store may keep beside the bytes.
const ATTRIBUTES: [Capability; 6] = [
    Capability::ContentType,
    Capability::ContentDisposition,
    Capability::ContentEncoding,
    Capability::ContentLanguage,
    Capability::CacheControl,
    Capability::UserMetadata,
];

const URLS: [Capability; 2] = [Capability::PublicUrl, Capability::PresignedDownload];

fn world_without(capabilities: &[Capability]) -> World {
    let memory = MemoryProvider::builder().without(capabilities);
    World::with(ManagerSettings::new("main"), memory)
}

fn everything() -> ObjectAttributes {
    ObjectAttributes::default()
        .with_content_type(ContentType::parse("image/png").expect("a type"))
        .with_content_disposition("attachment")
        .with_content_encoding("gzip")
        .with_content_language("de")
        .with_cache_control("no-store")
        .with_user_metadata("camera", "Größe 1")
}

#[tokio::test]
async fn a_store_that_keeps_only_bytes_holds_artifacts_with_all_attributes() {
    let world = world_without(&[&ATTRIBUTES[..], &URLS].concat());
    let new = || image("a").with_attributes(everything());
    let stored = world.put(new(), "bytes").await.expect("stored");
    assert_eq!(stored.content_type.as_str(), "image/png");
    let opened = world
        .manager
        .open_artifact(&stored, &OpenOptions::default())
        .await
        .expect("there");
    assert_eq!(opened.metadata().attributes, everything());
    let call = CallOptions::default();
    let object = world.memory.metadata(&stored.storage_key, &call).await;
    assert!(object.expect("there").attributes.is_empty());
    // What the record says is what a second write is compared with.
    assert_eq!(world.put(new(), "bytes").await.expect("the same"), stored);
    let other = image("a").with_attributes(everything().with_cache_control("no-cache"));
    check_kind(world.put(other, "bytes").await, ErrorKind::AlreadyExists);
}

#[tokio::test]
async fn a_store_gets_the_attributes_that_it_keeps() {
    let world = world_without(&[Capability::ContentType, Capability::CacheControl]);
    let attributes = ObjectAttributes::default().with_content_language("de");
    let stored = world
        .put(image("a").with_attributes(attributes.clone()), "bytes")
        .await;
    let stored = stored.expect("stored");
    let call = CallOptions::default();
    let object = world
        .memory
        .metadata(&stored.storage_key, &call)
        .await
        .expect("there");
    assert_eq!(object.attributes.content_type, None);
    assert_eq!(object.attributes.content_language, attributes.content_language);
    // Each artifact has a type, so none is refused for it, and its URL is to be had.
    let url = world
        .manager
        .get_download_url(&stored, &PresignDownloadOptions::default())
        .await;
    url.expect("signed");
}

async fn check_asked(
    lacks: &[Capability],
    access: AccessClass,
    attributes: ObjectAttributes,
    is_stored: bool,
) {
    let world = world_without(lacks);
    let new = image("a").with_attributes(attributes.clone()).with_access(access);
    let stored = world.put(new, "bytes").await;
    assert_eq!(
        stored.is_ok(),
        is_stored,
        "{lacks:?} {access:?} {attributes:?}: {stored:?}"
    );
    if !is_stored {
        let error = check_kind(stored, ErrorKind::Unsupported);
        assert!(error.to_string().contains(access.name()), "{error}");
        assert!(
            error.help().is_some_and(|help| help.contains("record")),
            "{error:?}"
        );
        assert_eq!(world.memory.objects(), 0);
        // Nothing is reserved either.
        world.put(image("a"), "bytes").await.expect("the variant is free");
    }
}

#[tokio::test]
async fn a_header_that_a_url_would_not_serve_is_refused() {
    use AccessClass::{Authenticated, Private, Public, Temporary};
    let asked = [
        (
            Capability::ContentDisposition,
            ObjectAttributes::default().with_content_disposition("inline"),
        ),
        (
            Capability::ContentEncoding,
            ObjectAttributes::default().with_content_encoding("gzip"),
        ),
        (
            Capability::ContentLanguage,
            ObjectAttributes::default().with_content_language("de"),
        ),
        (
            Capability::CacheControl,
            ObjectAttributes::default().with_cache_control("no-store"),
        ),
    ];
    for (capability, attributes) in asked {
        let check = |lacks: &[Capability], access, is_stored| {
            let lacks = [&[capability], lacks].concat();
            let attributes = attributes.clone();
            async move { check_asked(&lacks, access, attributes, is_stored).await }
        };
        for access in [Public, Private, Temporary] {
            check(&[], access, false).await;
        }
        // Readers without a URL get it from the record.
        check(&[], Authenticated, true).await;
        check(&URLS, Private, true).await;
        // A public URL is for public artifacts, a signed one for all others as well.
        check(&[Capability::PresignedDownload], Public, false).await;
        check(&[Capability::PresignedDownload], Private, true).await;
        check(&[Capability::PublicUrl], Temporary, false).await;
        check(&URLS, Public, true).await;
    }
}

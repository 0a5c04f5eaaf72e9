//! A client that has nothing but the signed request: curl, with a picture.

use std::time::Duration;

use boards_storage_core::{
    CallOptions, Checksum, ChecksumAlgorithm, CompleteUploadOptions, Content, ContentType, ErrorKind,
    ObjectAttributes, PresignDownloadOptions, PresignPartOptions, PresignUploadOptions, Result,
    SignedRequest, SignedUploadForm, StorageProvider as _, UploadOptions,
};
use boards_storage_testkit::{CurlExecutor, SignedRequestExecutor as _, SignedResponse};
use bytes::Bytes;
use md5::{Digest as _, Md5};

use crate::world::{World, key, pattern, refused, tests};

tests! { "signed":
    a_picture_goes_up_by_put_and_comes_back
    a_picture_goes_up_by_a_form_and_comes_back
    a_put_is_bound_to_its_md5
    large_parts_go_up_by_put
}

/// A picture of one red pixel.
const PICTURE: &[u8] = &[
    0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a, 0, 0, 0, 0x0d, 0x49, 0x48, 0x44, 0x52, 0, 0, 0, 1, 0, 0,
    0, 1, 8, 2, 0, 0, 0, 0x90, 0x77, 0x53, 0xde, 0, 0, 0, 0x0c, 0x49, 0x44, 0x41, 0x54, 0x08, 0xd7, 0x63,
    0xf8, 0xcf, 0xc0, 0, 0, 3, 1, 1, 0, 0x18, 0xdd, 0x8d, 0xb0, 0, 0, 0, 0, 0x49, 0x45, 0x4e, 0x44, 0xae,
    0x42, 0x60, 0x82,
];

async fn send(request: &SignedRequest, body: &'static [u8]) -> Result<SignedResponse> {
    CurlExecutor::new().send(request, Bytes::from_static(body)).await
}

fn png() -> PresignUploadOptions {
    let attributes = ObjectAttributes::default()
        .with_content_type(ContentType::parse("image/png").expect("a type"))
        .with_user_metadata("camera", "Größe 1");
    PresignUploadOptions::default().with_attributes(attributes)
}

/// Sends a request that must be refused, and must leave the object.
async fn is_refused(world: &World, request: &SignedRequest, body: &'static [u8]) -> Result<()> {
    world
        .provider
        .upload(&key("picture.png"), "old".into(), &UploadOptions::default())
        .await?;
    let response = send(request, body).await?;
    assert!(
        (400..500).contains(&response.status),
        "{} instead of a refusal",
        response.status
    );
    assert_eq!(world.read("picture.png").await?, "old");
    Ok(())
}

/// Checks that the picture is there, and that curl reads it by a signed GET.
async fn is_there(world: &World) -> Result<()> {
    assert_eq!(&world.read("picture.png").await?[..], PICTURE);
    let attributes = world.head("picture.png").await?.attributes;
    assert_eq!(attributes, png().attributes);
    let get = world
        .provider
        .presigned_download_url(&key("picture.png"), &PresignDownloadOptions::default())
        .await?;
    let response = send(&get, b"").await?;
    assert_eq!((response.status, &response.body[..]), (200, PICTURE));
    assert_eq!(response.header("content-type"), Some("image/png"));
    Ok(())
}

fn with_header(mut request: SignedRequest, name: &str, value: &str) -> SignedRequest {
    request
        .headers
        .retain(|(known, _)| !known.eq_ignore_ascii_case(name));
    request.with_header(name, value)
}

async fn a_picture_goes_up_by_put_and_comes_back(world: World) -> Result<()> {
    let options = png().with_length(PICTURE.len() as u64);
    let sign = |options: PresignUploadOptions| {
        let world = &world;
        async move {
            world
                .provider
                .presigned_upload_url(&key("picture.png"), &options)
                .await
        }
    };
    let request = sign(options.clone()).await?;
    is_refused(&world, &request, &PICTURE[1..]).await?;
    is_refused(
        &world,
        &with_header(request.clone(), "content-type", "text/html"),
        PICTURE,
    )
    .await?;
    let mut tampered = request.clone();
    tampered.url = tampered.url.replace("picture.png", "other.png");
    is_refused(&world, &tampered, PICTURE).await?;
    refused(world.head("other.png").await, ErrorKind::NotFound);
    let mut longer = request.clone();
    longer.url = longer.url.replace("X-Amz-Expires=3600", "X-Amz-Expires=7200");
    assert_ne!(longer.url, request.url);
    is_refused(&world, &longer, PICTURE).await?;
    let short = sign(options.with_expires_in(Duration::from_secs(1))).await?;
    tokio::time::sleep(Duration::from_millis(2_100)).await;
    is_refused(&world, &short, PICTURE).await?;
    let response = send(&request, PICTURE).await?;
    assert_eq!(response.status, 200);
    is_there(&world).await
}

async fn a_picture_goes_up_by_a_form_and_comes_back(world: World) -> Result<()> {
    let options = png()
        .with_form(SignedUploadForm::Post)
        .with_length_max(PICTURE.len() as u64);
    let request = world
        .provider
        .presigned_upload_url(&key("picture.png"), &options)
        .await?;
    let with_field = |name: &str, value: &str| {
        let mut request = request.clone();
        let field = request.form_fields.iter_mut().find(|(known, _)| known == name);
        field.unwrap_or_else(|| panic!("no field {name}")).1 = value.to_owned();
        request
    };
    is_refused(&world, &with_field("Content-Type", "text/html"), PICTURE).await?;
    is_refused(&world, &with_field("key", &world.full("other.png")), PICTURE).await?;
    is_refused(&world, &with_field("x-amz-meta-camera", "other"), PICTURE).await?;
    let more = request.clone().with_form_field("x-amz-meta-more", "unsigned");
    is_refused(&world, &more, PICTURE).await?;
    let smaller = options.clone().with_length_max(PICTURE.len() as u64 - 1);
    let smaller = world
        .provider
        .presigned_upload_url(&key("picture.png"), &smaller)
        .await?;
    is_refused(&world, &smaller, PICTURE).await?;
    let short = options.with_expires_in(Duration::from_secs(1));
    let short = world
        .provider
        .presigned_upload_url(&key("picture.png"), &short)
        .await?;
    tokio::time::sleep(Duration::from_millis(2_100)).await;
    is_refused(&world, &short, PICTURE).await?;
    let response = send(&request, PICTURE).await?;
    assert!(
        response.is_success(),
        "{}",
        String::from_utf8_lossy(&response.body)
    );
    refused(world.head("other.png").await, ErrorKind::NotFound);
    is_there(&world).await
}

async fn a_put_is_bound_to_its_md5(world: World) -> Result<()> {
    let md5 = Checksum::new(ChecksumAlgorithm::Md5, Md5::digest(PICTURE).to_vec())?;
    let options = png().with_checksum(md5);
    let request = world
        .provider
        .presigned_upload_url(&key("picture.png"), &options)
        .await?;
    let mut other = PICTURE.to_vec();
    other[60] ^= 1;
    is_refused(&world, &request, other.leak()).await?;
    assert_eq!(send(&request, PICTURE).await?.status, 200);
    is_there(&world).await
}

async fn large_parts_go_up_by_put(world: World) -> Result<()> {
    let bytes = pattern((5 << 20) + 1000);
    let upload = world
        .provider
        .create_upload(&key("large"), &Default::default())
        .await?;
    for (number, part) in [(1, bytes.slice(..5 << 20)), (2, bytes.slice(5 << 20..))] {
        let options = PresignPartOptions::default().with_length(part.len() as u64);
        let request = world
            .provider
            .presigned_part_url(&upload, number, &options)
            .await?;
        let shorter = CurlExecutor::new().send(&request, part.slice(1..)).await?;
        assert!((400..500).contains(&shorter.status), "{}", shorter.status);
        let response = CurlExecutor::new().send(&request, part).await?;
        assert_eq!(response.status, 200);
    }
    let parts = world
        .provider
        .list_parts(&upload, &CallOptions::default())
        .await?;
    world
        .provider
        .complete_upload(&upload, &parts, &CompleteUploadOptions::default())
        .await?;
    assert_eq!(world.read("large").await?, bytes);
    let content = Content::from("still writable");
    world
        .provider
        .upload(&key("large"), content, &UploadOptions::default())
        .await
        .map(drop)
}

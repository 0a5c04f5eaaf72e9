//! A client that has nothing but the signed request: curl, with a picture. The server checks no signature; what it is,
//! Google's vectors say.

use boards_storage_core::{
    CompleteUploadOptions, ContentType, ObjectAttributes, PresignDownloadOptions, PresignPartOptions,
    PresignUploadOptions, Result, StorageProvider as _, WriteId,
};
use boards_storage_testkit::{CurlExecutor, SignedRequestExecutor as _};
use bytes::Bytes;

use crate::world::{World, key, pattern, tests};

tests! { "signed":
    a_picture_goes_up_by_put_and_comes_back
    parts_go_up_by_put
}

/// A picture of one red pixel.
const PICTURE: &[u8] = &[
    0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a, 0, 0, 0, 0x0d, 0x49, 0x48, 0x44, 0x52, 0, 0, 0, 1, 0, 0,
    0, 1, 8, 2, 0, 0, 0, 0x90, 0x77, 0x53, 0xde, 0, 0, 0, 0x0c, 0x49, 0x44, 0x41, 0x54, 0x08, 0xd7, 0x63,
    0xf8, 0xcf, 0xc0, 0, 0, 3, 1, 1, 0, 0x18, 0xdd, 0x8d, 0xb0, 0, 0, 0, 0, 0x49, 0x45, 0x4e, 0x44, 0xae,
    0x42, 0x60, 0x82,
];

async fn a_picture_goes_up_by_put_and_comes_back(world: World) -> Result<()> {
    let attributes = ObjectAttributes::default()
        .with_content_type(ContentType::parse("image/png")?)
        .with_cache_control("max-age=60")
        .with_user_metadata("camera", "Größe 1")
        .with_user_metadata("empty", "");
    let id = WriteId::fresh();
    let options = PresignUploadOptions::default()
        .with_attributes(attributes.clone())
        .with_length(PICTURE.len() as u64)
        .with_write_id(id);
    let curl = CurlExecutor::new();
    let put = world
        .provider
        .presigned_upload_url(&key("my picture.png"), &options)
        .await?;
    let response = curl.send(&put, Bytes::from_static(PICTURE)).await?;
    assert_eq!(
        response.status,
        200,
        "{}",
        String::from_utf8_lossy(&response.body)
    );
    assert_eq!(&world.read("my picture.png").await?[..], PICTURE);
    let head = world.head("my picture.png").await?;
    assert_eq!((head.attributes, head.write_id), (attributes, Some(id)));
    let options = PresignDownloadOptions::default();
    let get = world
        .provider
        .presigned_download_url(&key("my picture.png"), &options)
        .await?;
    let response = curl.send(&get, Bytes::new()).await?;
    assert_eq!((response.status, &response.body[..]), (200, PICTURE));
    assert_eq!(response.header("content-type"), Some("image/png"));
    Ok(())
}

async fn parts_go_up_by_put(world: World) -> Result<()> {
    let bytes = pattern(300_000);
    let upload = world
        .provider
        .create_upload(&key("large"), &Default::default())
        .await?;
    for (number, part) in [(2, bytes.slice(200_000..)), (1, bytes.slice(..200_000))] {
        let options = PresignPartOptions::default().with_length(part.len() as u64);
        let put = world
            .provider
            .presigned_part_url(&upload, number, &options)
            .await?;
        let response = CurlExecutor::new().send(&put, part).await?;
        assert_eq!(response.status, 200);
    }
    let parts = world.provider.list_parts(&upload, &Default::default()).await?;
    let options = CompleteUploadOptions::default();
    world.provider.complete_upload(&upload, &parts, &options).await?;
    assert_eq!(world.read("large").await?, bytes);
    assert_eq!(world.raw_names().await?, ["large"]);
    Ok(())
}

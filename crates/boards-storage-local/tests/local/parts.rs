//! Uploads in parts across providers that come and go.

use boards_storage_core::{
    Checksum, Content, CreateUploadOptions, Digest, DigestAlgorithm, ErrorKind, MultipartUpload, PartPlace,
    StorageProvider, UploadPartOptions,
};
use boards_storage_local::LocalProvider;

use crate::support::{Base, attributes, get, head, key, kind, pattern};

async fn send(
    provider: &LocalProvider,
    upload: &MultipartUpload,
    number: u32,
    bytes: &[u8],
) -> boards_storage_core::Part {
    let content = Content::from(bytes.to_vec());
    let options = UploadPartOptions::default().with_checksum(Checksum::crc64_nvme(bytes));
    provider
        .upload_part(upload, PartPlace::new(number, 0), content, &options)
        .await
        .expect("stored")
}

#[tokio::test]
async fn an_upload_goes_on_in_another_process() {
    let base = Base::new();
    let bytes = pattern(5 << 20);
    let options = CreateUploadOptions::default().with_attributes(attributes());
    let provider = base.open().await;
    let upload = provider
        .create_upload(&key("big"), &options)
        .await
        .expect("begun");
    send(&provider, &upload, 7, &bytes[3 << 20..]).await;
    drop(provider);
    let provider = base.open().await;
    send(&provider, &upload, 2, &bytes[..3 << 20]).await;
    drop(provider);
    let provider = base.open().await;
    let parts = provider
        .list_parts(&upload, &Default::default())
        .await
        .expect("listed");
    assert_eq!(
        parts
            .iter()
            .map(|part| (part.number, part.size_bytes))
            .collect::<Vec<_>>(),
        [(2, 3 << 20), (7, 2 << 20)]
    );
    let done = provider
        .complete_upload(&upload, &parts, &Default::default())
        .await
        .expect("completed");
    assert_eq!(done.checksum, Some(Checksum::crc64_nvme(&bytes)));
    assert_eq!(get(&provider, "big").await.expect("read"), bytes);
    assert_eq!(
        head(&provider, "big").await.expect("there").attributes,
        attributes()
    );
    assert!(base.files(".boards-storage/multipart").is_empty() && base.staged().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_of_many_completes_wins() {
    let base = Base::new();
    let provider = std::sync::Arc::new(base.open().await);
    for _ in 0..10 {
        let upload = provider
            .create_upload(&key("x"), &Default::default())
            .await
            .expect("begun");
        let part = send(&provider, &upload, 1, b"part").await;
        let tasks: Vec<_> = (0..8)
            .map(|_| {
                let (provider, upload, part) = (provider.clone(), upload.clone(), part.clone());
                tokio::spawn(async move {
                    provider
                        .complete_upload(&upload, &[part], &Default::default())
                        .await
                })
            })
            .collect();
        let mut won = 0;
        for task in tasks {
            match task.await.expect("no panic") {
                Ok(_) => won += 1,
                Err(error) => assert_eq!(error.kind(), ErrorKind::NotFound),
            }
        }
        assert_eq!(won, 1);
    }
}

#[tokio::test]
async fn rotten_parts_are_found_out() {
    let base = Base::new();
    let provider = base.open().await;
    let options = CreateUploadOptions::default().with_digest(Digest::of(DigestAlgorithm::Blake3, b"part"));
    let upload = provider.create_upload(&key("x"), &options).await.expect("begun");
    let part = send(&provider, &upload, 1, b"part").await;
    let path = base
        .path()
        .join(format!(".boards-storage/multipart/{}/1", upload.id));
    let mut bytes = std::fs::read(&path).expect("a part");
    bytes[0] ^= 1;
    std::fs::write(&path, &bytes).expect("written");
    // The digest is checked while the parts are joined.
    let joined = provider
        .complete_upload(&upload, std::slice::from_ref(&part), &Default::default())
        .await;
    assert_eq!(kind(joined), ErrorKind::Corruption);
    assert_eq!(kind(head(&provider, "x").await), ErrorKind::NotFound);
    bytes[0] ^= 1;
    std::fs::write(&path, &bytes).expect("written");
    provider
        .complete_upload(&upload, &[part], &Default::default())
        .await
        .expect("completed");
    // Without a digest the checksum is that of what was sent, so reading finds it out.
    let upload = provider
        .create_upload(&key("y"), &Default::default())
        .await
        .expect("begun");
    let part = send(&provider, &upload, 1, b"part").await;
    let path = base
        .path()
        .join(format!(".boards-storage/multipart/{}/1", upload.id));
    std::fs::write(&path, [b"pant", &bytes[4..]].concat()).expect("written");
    provider
        .complete_upload(&upload, &[part], &Default::default())
        .await
        .expect("completed");
    assert_eq!(kind(get(&provider, "y").await), ErrorKind::Corruption);
}

#[tokio::test]
async fn an_id_from_outside_leads_nowhere() {
    let base = Base::new();
    let provider = base.open().await;
    let upload = provider
        .create_upload(&key("x"), &Default::default())
        .await
        .expect("begun");
    for id in [
        "",
        "..",
        "../../a",
        &upload.id.to_uppercase(),
        &format!("{}/1", upload.id),
        &"0".repeat(32),
    ] {
        let other = MultipartUpload::new(key("x"), id, upload.part_rules);
        assert_eq!(
            kind(provider.list_parts(&other, &Default::default()).await),
            ErrorKind::NotFound,
            "{id}"
        );
        provider
            .abort_upload(&other, &Default::default())
            .await
            .expect("no error");
    }
    assert!(
        provider
            .list_parts(&upload, &Default::default())
            .await
            .expect("there")
            .is_empty()
    );
}

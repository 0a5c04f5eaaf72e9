//! What `object_store`'s tests do not ask: parts of any size, aborts, refusals, deletes of many.

use boards_storage_opendal::ProviderStore;
use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use object_store::path::Path;
use object_store::{
    Attribute, Attributes, Error, ObjectStore as _, ObjectStoreExt as _, PutMultipartOptions, PutOptions,
};

/// Bytes that tell where they stand.
fn pattern(length: usize) -> Bytes {
    (0..=250_u8).cycle().take(length).collect::<Vec<_>>().into()
}

pub(crate) async fn parts_of_any_size_make_one_object(store: ProviderStore) {
    const FIVE: usize = 5 << 20;
    let store = store.with_part_size(FIVE as u64);
    let sizes: [&[usize]; 7] = [
        &[],
        &[0],
        &[1],
        &[FIVE],
        &[FIVE, 0, 1],
        &[3, FIVE + 7, 1, 2 * FIVE, 5],
        &[2 * FIVE],
    ];
    for (number, sizes) in sizes.into_iter().enumerate() {
        let path = Path::from(format!("folder/{number}"));
        let whole = pattern(sizes.iter().sum());
        let mut upload = store.put_multipart(&path).await.expect("begun");
        let mut rest = whole.clone();
        for size in sizes {
            upload.put_part(rest.split_to(*size).into()).await.expect("taken");
        }
        let missing = store.head(&path).await.expect_err("not there before its end");
        assert!(matches!(missing, Error::NotFound { .. }), "{missing}");
        upload.complete().await.expect("completed");
        let found = store
            .get(&path)
            .await
            .expect("there")
            .bytes()
            .await
            .expect("read");
        assert!(
            found == whole,
            "{sizes:?}: {} of {} bytes",
            found.len(),
            whole.len()
        );
        assert!(upload.complete().await.is_err(), "completed once");
        assert!(upload.put_part("late".into()).await.is_err(), "it is over");
    }
}

pub(crate) async fn an_aborted_upload_leaves_nothing(store: ProviderStore) {
    let store = store.with_part_size(5 << 20);
    let path = Path::from("a");
    store.put(&path, "old".into()).await.expect("put");
    for length in [0, 10, 11 << 20] {
        let mut upload = store.put_multipart(&path).await.expect("begun");
        upload.put_part(pattern(length).into()).await.expect("taken");
        upload.abort().await.expect("aborted");
        assert!(upload.complete().await.is_err(), "it is over");
        let kept = store
            .get(&path)
            .await
            .expect("there")
            .bytes()
            .await
            .expect("read");
        assert_eq!(kept, "old");
    }
    let all: Vec<_> = store.list(None).try_collect().await.expect("listed");
    assert_eq!(all.len(), 1);
}

pub(crate) async fn what_cannot_be_kept_is_refused(store: ProviderStore) {
    let path = Path::from("a");
    let with = |name, value: &'static str| Attributes::from_iter([(name, value)]);
    let mut tags = object_store::TagSet::default();
    tags.push("a", "b");
    let tagged = PutOptions {
        tags: tags.clone(),
        ..PutOptions::default()
    };
    let refused = store.put_opts(&path, "x".into(), tagged).await;
    assert!(
        matches!(refused, Err(Error::NotImplemented { .. })),
        "{refused:?}"
    );
    let tagged = PutMultipartOptions {
        tags,
        ..PutMultipartOptions::default()
    };
    assert!(store.put_multipart_opts(&path, tagged).await.is_err());
    for attributes in [
        with(Attribute::StorageClass, "COLD"),
        with(Attribute::ContentType, "no type"),
        with(Attribute::Metadata("Upper Case".into()), "x"),
    ] {
        let refused = store.put_opts(&path, "x".into(), attributes.into()).await;
        assert!(refused.is_err(), "{refused:?}");
    }
    let reserved = Path::from(".boards-storage/x");
    assert!(store.put(&reserved, "x".into()).await.is_err());
    assert!(
        store.get(&Path::default()).await.is_err(),
        "the root is no object"
    );
    let nothing = store.head(&path).await.expect_err("nothing was stored");
    assert!(matches!(nothing, Error::NotFound { .. }), "{nothing}");
}

pub(crate) async fn many_are_deleted_and_each_has_its_outcome(store: ProviderStore) {
    let paths: Vec<_> = (0..25)
        .map(|number| Path::from(format!("many/{number:02}")))
        .collect();
    for path in &paths[..20] {
        store.put(path, "x".into()).await.expect("put");
    }
    // A path that is no key, and an error from above, among those that are deleted.
    let mut given: Vec<_> = paths.iter().cloned().map(Ok).collect();
    given.insert(7, Ok(Path::from(".boards-storage/x")));
    given.insert(
        9,
        Err(Error::NotImplemented {
            operation: "above".to_owned(),
            implementer: "test".to_owned(),
        }),
    );
    let outcomes: Vec<_> = store.delete_stream(stream::iter(given).boxed()).collect().await;
    assert_eq!(outcomes.len(), 27);
    let failed: Vec<_> = outcomes
        .iter()
        .enumerate()
        .filter(|(_, one)| one.is_err())
        .map(|(at, _)| at)
        .collect();
    assert_eq!(failed, [7, 9]);
    let left: Vec<_> = store
        .list(Some(&Path::from("many")))
        .try_collect()
        .await
        .expect("listed");
    assert!(left.is_empty(), "{left:?}");
}

//! `object_store`'s own integration tests, over our providers as its stores.
//!
//! Two of them are about traits of their own and have nothing to run on: `multipart` (`MultipartStore`, whose parts
//! carry no place in the whole, which our providers need) and `list_paginated` (`PaginatedListStore`, whose page
//! tokens no provider has).

mod sizes;
mod worlds;

use boards_storage_core::BoxFuture;
use boards_storage_opendal::ProviderStore;
use futures_util::FutureExt as _;
use libtest_mimic::{Arguments, Failed, Trial};
use object_store::path::Path;
use object_store::{GetOptions, ObjectStore as _, ObjectStoreExt as _, integration as theirs};

use self::worlds::{WORLDS, World};

/// A test of a store that is empty. A panic is its failure, as in `object_store`.
type Test = (&'static str, fn(ProviderStore, World) -> BoxFuture<'static, ()>);

const TESTS: &[Test] = &[
    ("put_get_delete_list", |store, _| {
        Box::pin(async move { theirs::put_get_delete_list(&store).await })
    }),
    ("put_get_attributes", |store, _| {
        Box::pin(async move { theirs::put_get_attributes(&store).await })
    }),
    ("get_opts", |store, world| Box::pin(get_opts(store, world))),
    // Where a provider does not decide updates, the test asserts that they are refused.
    ("put_opts", |store, world| {
        Box::pin(async move { theirs::put_opts(&store, world.decides_updates).await })
    }),
    ("stream_get", |store, _| {
        Box::pin(async move { theirs::stream_get(&store).await })
    }),
    ("list_uses_directories_correctly", |store, _| {
        Box::pin(async move { theirs::list_uses_directories_correctly(&store).await })
    }),
    ("list_with_delimiter", |store, _| {
        Box::pin(async move { theirs::list_with_delimiter(&store).await })
    }),
    ("list_with_offset_exclusivity", |store, _| {
        Box::pin(async move { theirs::list_with_offset_exclusivity(&store).await })
    }),
    ("get_nonexistent_object", |store, _| {
        Box::pin(async move {
            let missing = theirs::get_nonexistent_object(&store, None).await;
            assert!(
                matches!(missing, Err(object_store::Error::NotFound { .. })),
                "{missing:?}"
            );
        })
    }),
    ("rename_and_copy", |store, _| {
        Box::pin(async move { theirs::rename_and_copy(&store).await })
    }),
    ("copy_if_not_exists", |store, _| {
        Box::pin(async move { theirs::copy_if_not_exists(&store).await })
    }),
    ("copy_rename_nonexistent_object", |store, _| {
        Box::pin(async move { theirs::copy_rename_nonexistent_object(&store).await })
    }),
    ("multipart_race_condition", |store, _| {
        Box::pin(async move { theirs::multipart_race_condition(&store, true).await })
    }),
    ("multipart_out_of_order", |store, _| {
        Box::pin(async move { theirs::multipart_out_of_order(&store).await })
    }),
    ("parts_of_any_size_make_one_object", |store, _| {
        Box::pin(sizes::parts_of_any_size_make_one_object(store))
    }),
    ("an_aborted_upload_leaves_nothing", |store, _| {
        Box::pin(sizes::an_aborted_upload_leaves_nothing(store))
    }),
    ("what_cannot_be_kept_is_refused", |store, _| {
        Box::pin(sizes::what_cannot_be_kept_is_refused(store))
    }),
    ("many_are_deleted_and_each_has_its_outcome", |store, _| {
        Box::pin(sizes::many_are_deleted_and_each_has_its_outcome(store))
    }),
];

/// The test needs entity tags; where a provider has none, that is what is asserted.
async fn get_opts(store: ProviderStore, world: World) {
    if world.has_tags {
        return theirs::get_opts(&store).await;
    }
    let path = Path::from("test");
    store.put(&path, "foo".into()).await.expect("put");
    let found = store.head(&path).await.expect("there");
    assert_eq!(found.e_tag, None, "the world has tags by now: run the test");
    let options = GetOptions::new().with_if_match(Some("tag".to_owned()));
    let refused = store.get_opts(&path, options).await;
    assert!(
        matches!(refused, Err(object_store::Error::Precondition { .. })),
        "{refused:?}"
    );
}

fn main() {
    let mut arguments = Arguments::from_args();
    // Each test has a runtime of its own, and a server its own work.
    arguments.test_threads.get_or_insert(4);
    let trials = WORLDS
        .iter()
        .filter(|world| !world.is_left_out())
        .flat_map(|world| TESTS.iter().map(|test| trial(*world, *test)));
    libtest_mimic::run(&arguments, trials.collect()).exit();
}

fn trial(world: World, (name, run): Test) -> Trial {
    Trial::test(format!("{}::{name}", world.name), move || {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()?;
        runtime.block_on(async move {
            let (store, guard) = (world.open)().await?;
            let outcome = std::panic::AssertUnwindSafe(run(store, world))
                .catch_unwind()
                .await;
            drop(guard);
            outcome.map_err(|panic| {
                let text = panic.downcast_ref::<String>().cloned();
                let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
                Failed::from(text.unwrap_or_else(|| "it panicked".to_owned()))
            })
        })
    })
}

//! Downloads that break: they go on where they broke, with the same object, and never end short.

use std::time::Duration;

use boards_storage::prelude::*;
use boards_storage::{BoxFuture, CallOptions, SharedProvider, UploadOptions};
use boards_storage_testkit::proxy::{Fault, ProxiedRequest, Rule};
use bytes::Bytes;
use serde_json::json;
use tokio::time::{Instant, timeout};

use crate::Config;
use crate::case::Does;
use crate::store::{At, Store};
use crate::world::{World, bytes, key, read};

type Test = (&'static str, fn(Store, Config) -> BoxFuture<'static, ()>);

pub(crate) const TESTS: [Test; 5] = [
    ("a_broken_download_goes_on_where_it_broke", |store, config| {
        Box::pin(breaks_are_mended(store, config))
    }),
    (
        "an_object_that_was_replaced_meanwhile_is_not_mixed",
        |store, config| Box::pin(states_are_not_mixed(store, config)),
    ),
    ("a_download_that_stalls_is_taken_up_again", |store, config| {
        Box::pin(a_stall_is_mended(store, config))
    }),
    ("a_download_that_always_stalls_is_a_timeout", |store, config| {
        Box::pin(endless_stalls_end(store, config))
    }),
    ("an_answer_that_does_not_come_is_a_timeout", |store, config| {
        Box::pin(silence_is_a_timeout(store, config))
    }),
];

/// Long enough for several pieces.
const SIZE_BYTES: usize = 3 << 20;
/// Nobody here waits so long but for a bug.
const TIME_MAX: Duration = Duration::from_secs(20);

async fn store_object(world: &World, seed: u8) -> (StorageKey, Bytes) {
    let (key, content) = (key("a/film"), bytes(seed, SIZE_BYTES));
    world.store(&key, &content).await;
    (key, content)
}

/// The requests for the object's bytes.
fn reads_of(store: Store, world: &World) -> Vec<ProxiedRequest> {
    let (method, target, _) = (store.at)(Does::Get, At::Get);
    // The object has another name than in the cases.
    let target = target.trim_end_matches("object");
    // It is in the path, or a name and a value in the query.
    let name = target.split('=').next().unwrap_or_default();
    let is_read = |request: &ProxiedRequest| {
        request.method == method
            && (request.path.contains(target) || request.query_names.iter().any(|own| own == name))
    };
    world.proxy.requests().into_iter().filter(is_read).collect()
}

fn rule(store: Store, fault: Fault) -> Rule {
    let (method, target, _) = (store.at)(Does::Get, At::Get);
    Rule::new(fault)
        .with_method(method)
        .with_target_part(target.trim_end_matches("object"))
}

/// Where each request for bytes begins.
fn beginnings(requests: &[ProxiedRequest]) -> Vec<u64> {
    let begin = |request: &ProxiedRequest| {
        let range = request.header("range")?.strip_prefix("bytes=")?;
        range.split('-').next()?.parse().ok()
    };
    requests
        .iter()
        .map(|request| begin(request).unwrap_or(0))
        .collect()
}

async fn check_mended(store: Store, world: &World, faults: &[Fault]) {
    let (key, content) = store_object(world, 3).await;
    for fault in faults {
        world.proxy.inject(rule(store, fault.clone()));
    }
    let before = reads_of(store, world).len();
    let got = read(&*world.layered(), &key).await.expect("mended");
    assert_eq!(got, content, "{faults:?}");
    let requests = reads_of(store, world).split_off(before);
    assert_eq!(requests.len(), faults.len() + 1, "{requests:?}");
    let starts = beginnings(&requests);
    for (request, two) in requests.iter().zip(starts.windows(2)) {
        let given = two[0] + request.response_body_bytes;
        // A reset may take bytes that were sent from the client.
        let is_exact = matches!(request.fault, Some(Fault::TruncateResponse { .. }));
        assert!(two[1] == given || (!is_exact && two[1] <= given), "{requests:?}");
    }
    if let Some(pinned) = store.pinned {
        assert!(requests[1..].iter().all(pinned), "{requests:?}");
    }
}

async fn breaks_are_mended(store: Store, config: Config) {
    let world = World::open(store, config).await;
    let reset = |after_bytes| Fault::ResetResponse { after_bytes };
    let truncate = |after_bytes| Fault::TruncateResponse { after_bytes };
    check_mended(store, &world, &[reset(1 << 20)]).await;
    check_mended(store, &world, &[truncate(1 << 20)]).await;
    check_mended(store, &world, &[truncate(SIZE_BYTES as u64 - 1)]).await;
    check_mended(store, &world, &[reset(0), truncate(0)]).await;
    // More breaks than attempts: it moves on each time.
    check_mended(store, &world, &[(); 6].map(|()| truncate(400_000))).await;
    let starts_late = reset(2 << 20);
    check_mended(store, &world, &[truncate(5), starts_late]).await;
}

async fn states_are_not_mixed(store: Store, config: Config) {
    let world = World::open(store, config).await;
    let (key, content) = store_object(&world, 3).await;
    let (break_at, pause) = (1 << 20, Duration::from_millis(200));
    let stall = Fault::StallResponse {
        after_bytes: break_at,
        stall: Some(pause),
    };
    let layered = world.layered();
    for fault in [
        stall,
        Fault::TruncateResponse {
            after_bytes: break_at,
        },
    ] {
        world.proxy.inject(rule(store, fault.clone()));
        let download = layered.download(&key, &Default::default()).await.expect("opened");
        let download = download.into_object().expect("an object");
        let (_, replaced) = store_object(&world, 9).await;
        assert_ne!(content, replaced);
        match download.bytes(SIZE_BYTES).await {
            Ok(got) => assert_eq!(got, content, "{fault:?}: the state that was opened"),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::PreconditionFailed, "{error:?}");
                assert!(matches!(fault, Fault::TruncateResponse { .. }), "{error:?}");
            }
        }
        store_object(&world, 3).await;
    }
}

/// A world whose layers do not wait long.
async fn impatient(store: Store, config: Config, attempts_max: u32) -> World {
    let resilience = json!({
        "retry": { "delay_initial": "1ms", "attempts_max": attempts_max },
        // A store that stalls so often would not be asked any more.
        "breaker": { "enabled": false },
        "timeout": { "idle": "400ms", "control": "400ms" },
    });
    let pause = |config: &mut Config| {
        if let Some(pause) = store.pause {
            pause(config, Duration::from_millis(400));
        }
    };
    World::open_with(store, config, resilience, pause).await
}

fn stall_for_ever(after_bytes: u64) -> Fault {
    Fault::StallResponse {
        after_bytes,
        stall: None,
    }
}

async fn a_stall_is_mended(store: Store, config: Config) {
    let world = impatient(store, config, 3).await;
    check_mended(store, &world, &[stall_for_ever(1 << 20)]).await;
    check_mended(store, &world, &[stall_for_ever(0)]).await;
    check_mended(store, &world, &[stall_for_ever(100_000), stall_for_ever(100_000)]).await;
}

async fn check_timeout<T>(what: &str, call: impl Future<Output = Result<T>>) {
    let begun = Instant::now();
    let outcome = timeout(TIME_MAX, call).await.expect("not for ever");
    let error = outcome.map(drop).expect_err("a timeout");
    assert_eq!(error.kind(), ErrorKind::Timeout, "{what}: {error:?}");
    assert!(begun.elapsed() >= Duration::from_millis(390), "{what}");
}

async fn endless_stalls_end(store: Store, config: Config) {
    let stalls = |world: &World| world.proxy.inject(rule(store, stall_for_ever(100)).always());
    let repeating = impatient(store, config.clone(), 2).await;
    let (key, _) = store_object(&repeating, 3).await;
    stalls(&repeating);
    check_timeout("layers", read(&*repeating.layered(), &key)).await;
    let once = impatient(store, config, 1).await;
    let (key, _) = store_object(&once, 3).await;
    stalls(&once);
    check_timeout("layers without repeats", read(&*once.layered(), &key)).await;
    assert_eq!(reads_of(store, &once).len(), 1);
    if store.pause.is_some() {
        check_timeout("bare", read(&*once.bare, &key)).await;
    }
}

async fn silence_is_a_timeout(store: Store, config: Config) {
    // The layers alone are impatient.
    let resilience = json!({
        "retry": { "enabled": false },
        "timeout": { "idle": "400ms", "control": "400ms" },
    });
    let world = World::open_with(store, config, resilience, |_| {}).await;
    let (key, _) = store_object(&world, 3).await;
    world.proxy.inject(Rule::new(Fault::Delay(TIME_MAX)).always());
    let layered: SharedProvider = world.layered();
    let call = CallOptions::default();
    check_timeout("metadata", layered.metadata(&key, &call)).await;
    check_timeout("download", read(&*layered, &key)).await;
    let options = UploadOptions::default();
    let put = layered.upload(&key, bytes(5, 1000).into(), &options);
    check_timeout("upload", put).await;
}

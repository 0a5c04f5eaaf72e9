//! Preconditions, raced by tasks and by processes.

use std::collections::BTreeMap;
use std::sync::Arc;

use boards_storage_core::{
    Content, DownloadOptions, ErrorKind, Precondition, StorageProvider, UploadOptions,
};
use boards_storage_local::LocalProvider;
use tokio::task::JoinSet;

use crate::child;
use crate::support::{Scene, key, list_all, put, read, run};

const WRITERS: usize = 8;
const KEYS: usize = 200;
const PROCESSES: usize = 4;
const INCREMENTS: usize = 100;

const COUNTER: &str = "counters/one";

fn claimed_key(index: usize) -> String {
    format!("claims/{}/{index}", index % 7)
}

/// Tries to make every object by several tasks, and returns a line `KEY WRITER` for each that was made.
pub(crate) async fn claim(provider: &Arc<LocalProvider>, name: &str) -> Vec<String> {
    let mut writers = JoinSet::new();
    for writer in 0..WRITERS {
        let (provider, writer) = (Arc::clone(provider), format!("{name}.{writer}"));
        writers.spawn(async move {
            let options = UploadOptions::default().with_precondition(Precondition::IfAbsent);
            let mut won = Vec::new();
            for index in 0..KEYS {
                let claimed = claimed_key(index);
                let content = Content::from(writer.clone());
                match provider.upload(&key(&claimed), content, &options).await {
                    Ok(_) => won.push(format!("{claimed} {writer}")),
                    Err(error) => assert_eq!(error.kind(), ErrorKind::AlreadyExists, "{error:?}"),
                }
            }
            won
        });
    }
    writers.join_all().await.concat()
}

/// Checks that each object was made once, and by the one who says so.
async fn check_claims(provider: &LocalProvider, lines: &[String]) {
    let winners: BTreeMap<&str, &str> = lines.iter().filter_map(|line| line.split_once(' ')).collect();
    assert_eq!(
        (lines.len(), winners.len()),
        (KEYS, KEYS),
        "every key has exactly one winner"
    );
    for (claimed, writer) in &winners {
        assert_eq!(read(provider, claimed).await, writer.as_bytes(), "{claimed}");
    }
    assert_eq!(
        list_all(provider).await,
        winners.keys().copied().collect::<Vec<_>>()
    );
}

pub(crate) fn one_of_many_tasks_makes_each_object() {
    run(async {
        let scene = Scene::new().await;
        let provider = Arc::new(scene.provider);
        let lines = claim(&provider, "only").await;
        check_claims(&provider, &lines).await;
    });
}

pub(crate) fn one_of_many_processes_makes_each_object() {
    run(async {
        let scene = Scene::new().await;
        let names: Vec<String> = (0..PROCESSES).map(|index| format!("p{index}")).collect();
        let arguments: Vec<[&str; 1]> = names.iter().map(|name| [name.as_str()]).collect();
        let arguments: Vec<&[&str]> = arguments.iter().map(|some| &some[..]).collect();
        let lines = child::race("claim", &scene.base, &arguments).concat();
        check_claims(&scene.provider, &lines).await;
    });
}

/// Adds to the counter by several tasks, each so often.
pub(crate) async fn count(provider: &Arc<LocalProvider>, tasks: usize, increments: usize) {
    let mut counting = JoinSet::new();
    for _ in 0..tasks {
        let provider = Arc::clone(provider);
        counting.spawn(async move {
            for _ in 0..increments {
                while !increment(&provider).await {}
            }
        });
    }
    counting.join_all().await;
}

/// Adds one to the counter; `false` if another was faster.
async fn increment(provider: &LocalProvider) -> bool {
    let outcome = provider
        .download(&key(COUNTER), &DownloadOptions::default())
        .await
        .expect("a counter");
    let download = outcome.into_object().expect("an object");
    let etag = download.metadata().etag.clone().expect("an etag");
    let text = download.bytes(100).await.expect("a number");
    let value: usize = str::from_utf8(&text).expect("text").parse().expect("a number");
    let options = UploadOptions::default().with_precondition(Precondition::IfMatch(etag));
    match provider
        .upload(&key(COUNTER), Content::from((value + 1).to_string()), &options)
        .await
    {
        Ok(_) => true,
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::PreconditionFailed, "{error:?}");
            false
        }
    }
}

pub(crate) fn counters_of_tasks_lose_nothing() {
    run(async {
        let scene = Scene::new().await;
        put(&scene.provider, COUNTER, "0").await;
        let provider = Arc::new(scene.provider);
        count(&provider, WRITERS, INCREMENTS).await;
        assert_eq!(read(&provider, COUNTER).await, (WRITERS * INCREMENTS).to_string());
    });
}

pub(crate) fn counters_of_processes_lose_nothing() {
    run(async {
        let scene = Scene::new().await;
        put(&scene.provider, COUNTER, "0").await;
        let (tasks, increments) = (2, INCREMENTS);
        let arguments = [tasks.to_string(), increments.to_string()];
        let arguments = [arguments[0].as_str(), arguments[1].as_str()];
        child::race("count", &scene.base, &[&arguments[..]; PROCESSES]);
        assert_eq!(
            read(&scene.provider, COUNTER).await,
            (PROCESSES * tasks * increments).to_string()
        );
    });
}

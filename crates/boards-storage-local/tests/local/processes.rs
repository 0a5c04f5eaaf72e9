//! Several processes on one tree. A test starts this program again; each child does the work that an environment
//! variable names.

use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use boards_storage_core::{
    Content, DownloadOptions, ErrorKind, Precondition, StorageProvider, UploadOptions,
};
use boards_storage_local::{LocalProvider, LocalSettings};
use tokio::task::JoinSet;

use crate::support::{Base, get, key, put};

const WORK: &str = "LOCAL_TEST_WORK";
const BASE: &str = "LOCAL_TEST_BASE";
const NUMBER: &str = "LOCAL_TEST_NUMBER";
const PROCESSES: usize = 4;

/// Starts this program again to do some work on a base. Its standard output is read by the caller.
pub(crate) fn start(base: &Base, work: &str, number: usize) -> Child {
    command(base, work, number).spawn().expect("started")
}

pub(crate) fn command(base: &Base, work: &str, number: usize) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("this program"));
    command.args([
        "--exact",
        "processes::the_work_of_a_child",
        "--nocapture",
        "--test-threads=1",
    ]);
    command
        .env(WORK, work)
        .env(BASE, base.path())
        .env(NUMBER, number.to_string());
    command.stdout(Stdio::piped()).stderr(Stdio::inherit());
    command
}

/// Tells the parent something.
#[expect(clippy::print_stdout, reason = "the parent reads it")]
pub(crate) fn tell(line: &str) {
    println!("{line}");
}

/// Not a test of its own: what a child does. Without the variable there is nothing to do.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_work_of_a_child() {
    let Ok(work) = std::env::var(WORK) else { return };
    let base = std::env::var(BASE).expect("a base");
    let number: usize = std::env::var(NUMBER)
        .expect("a number")
        .parse()
        .expect("a number");
    let provider = LocalProvider::open("local", LocalSettings::new(base).without_fsync())
        .await
        .expect("opened");
    match work.as_str() {
        "claim" => claim(&Arc::new(provider), number)
            .await
            .iter()
            .for_each(|line| tell(line)),
        "count" => count(&Arc::new(provider), 2, INCREMENTS).await,
        "list" => crate::listing::list_all(&provider, number).await,
        "upload slowly" => crate::staging::upload_slowly(&provider).await,
        "write on" => crate::staging::write_on(&provider, number).await,
        "fill" => crate::full_disk::fill(&provider).await,
        other => panic!("unknown work {other}"),
    }
}

const WRITERS: usize = 8;
const CLAIMED_KEYS: usize = 200;
const INCREMENTS: usize = 100;

fn claimed(index: usize) -> String {
    format!("claims/{}/{index}", index % 7)
}

/// Tries to make every object by several tasks. Returns a line for each that was made, which says by whom.
async fn claim(provider: &Arc<LocalProvider>, process: usize) -> Vec<String> {
    let mut writers = JoinSet::new();
    for writer in 0..WRITERS {
        let (provider, name) = (Arc::clone(provider), format!("{process}.{writer}"));
        writers.spawn(async move {
            let options = UploadOptions::default().with_precondition(Precondition::IfAbsent);
            let mut won = Vec::new();
            for index in 0..CLAIMED_KEYS {
                let content = Content::from(name.clone());
                match provider.upload(&key(&claimed(index)), content, &options).await {
                    Ok(_) => won.push(format!("won {index} {name}")),
                    Err(error) => assert_eq!(error.kind(), ErrorKind::AlreadyExists, "{error:?}"),
                }
            }
            won
        });
    }
    writers.join_all().await.concat()
}

/// Checks that each object was made once, and by the one who says so.
async fn check_claims(base: &Base, lines: &[String]) {
    let provider = base.open().await;
    let mut winners = vec![Vec::new(); CLAIMED_KEYS];
    // The first line of a child begins with what the harness says.
    for line in lines {
        if let Some((index, name)) = line.split_once("won ").and_then(|(_, line)| line.split_once(' ')) {
            winners[index.parse::<usize>().expect("an index")].push(name);
        }
    }
    for (index, winners) in winners.iter().enumerate() {
        assert_eq!(winners.len(), 1, "key {index} has the winners {winners:?}");
        let stored = get(&provider, &claimed(index)).await.expect("there");
        assert_eq!(stored, winners[0].as_bytes());
    }
    assert_eq!(base.sidecars().len(), CLAIMED_KEYS, "losers leave no sidecars");
    assert_eq!(base.staged(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn eight_tasks_have_one_winner_for_each_key() {
    let base = Base::new();
    let lines = claim(&Arc::new(base.open().await), 0).await;
    check_claims(&base, &lines).await;
}

#[tokio::test]
async fn four_processes_have_one_winner_for_each_key() {
    let base = Base::new();
    let children: Vec<Child> = (0..PROCESSES)
        .map(|number| start(&base, "claim", number))
        .collect();
    let mut lines = Vec::new();
    for child in children {
        let output = child.wait_with_output().expect("ended");
        assert!(output.status.success());
        lines.extend(String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned));
    }
    check_claims(&base, &lines).await;
}

/// Adds to the counter by several tasks, each so often.
async fn count(provider: &Arc<LocalProvider>, tasks: usize, increments: usize) {
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
    let download = provider
        .download(&key("counter"), &DownloadOptions::default())
        .await
        .expect("there");
    let download = download.into_object().expect("sent");
    let etag = download.metadata().etag.clone().expect("one");
    let text = download.bytes(100).await.expect("read");
    let count: usize = str::from_utf8(&text).expect("text").parse().expect("a number");
    let options = UploadOptions::default().with_precondition(Precondition::IfMatch(etag));
    let content = Content::from((count + 1).to_string());
    match provider.upload(&key("counter"), content, &options).await {
        Ok(_) => true,
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::PreconditionFailed, "{error:?}");
            false
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_increment_of_eight_tasks_is_lost() {
    let base = Base::new();
    let provider = Arc::new(base.open().await);
    put(&provider, "counter", b"0").await;
    count(&provider, WRITERS, INCREMENTS).await;
    let total = get(&provider, "counter").await.expect("there");
    assert_eq!(total, (WRITERS * INCREMENTS).to_string().as_bytes());
}

#[tokio::test]
async fn no_increment_of_four_processes_is_lost() {
    let base = Base::new();
    put(&base.open().await, "counter", b"0").await;
    let children: Vec<Child> = (0..PROCESSES)
        .map(|number| start(&base, "count", number))
        .collect();
    for child in children {
        assert!(child.wait_with_output().expect("ended").status.success());
    }
    let total = get(&base.open().await, "counter").await.expect("there");
    assert_eq!(total, (PROCESSES * 2 * INCREMENTS).to_string().as_bytes());
    assert_eq!(base.sidecars().len(), 1);
}

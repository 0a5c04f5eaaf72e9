//! Several processes on one tree. A test starts this program again; each child does the work that an environment
//! variable names.

use std::process::{Child, Command, Stdio};

use boards_storage_core::{
    Content, DownloadOptions, ErrorKind, Precondition, StorageProvider, UploadOptions,
};
use boards_storage_local::{LocalProvider, LocalSettings};

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
#[tokio::test]
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
        "claim" => claim(&provider, number).await,
        "count" => count(&provider).await,
        "upload slowly" => crate::staging::upload_slowly(&provider).await,
        "write on" => crate::staging::write_on(&provider, number).await,
        "fill" => crate::full_disk::fill(&provider).await,
        other => panic!("unknown work {other}"),
    }
}

const CLAIMED_KEYS: usize = 150;
const INCREMENTS: usize = 40;

async fn claim(provider: &LocalProvider, number: usize) {
    let options = UploadOptions::default().with_precondition(Precondition::IfAbsent);
    for index in 0..CLAIMED_KEYS {
        let name = format!("claims/{}/{index}", index % 7);
        match provider
            .upload(&key(&name), Content::from(number.to_string()), &options)
            .await
        {
            Ok(_) => tell(&format!("won {index}")),
            Err(error) => assert_eq!(error.kind(), ErrorKind::AlreadyExists, "{error:?}"),
        }
    }
}

#[tokio::test]
async fn four_processes_have_one_winner_for_each_key() {
    let base = Base::new();
    let children: Vec<Child> = (0..PROCESSES)
        .map(|number| start(&base, "claim", number))
        .collect();
    let mut winners = vec![Vec::new(); CLAIMED_KEYS];
    for (number, child) in children.into_iter().enumerate() {
        let output = child.wait_with_output().expect("ended");
        assert!(output.status.success());
        // The first line begins with what the harness says.
        for line in String::from_utf8_lossy(&output.stdout).lines() {
            if let Some((_, index)) = line.split_once("won ") {
                winners[index.parse::<usize>().expect("an index")].push(number);
            }
        }
    }
    let provider = base.open().await;
    for (index, winners) in winners.iter().enumerate() {
        assert_eq!(winners.len(), 1, "key {index} has the winners {winners:?}");
        let stored = get(&provider, &format!("claims/{}/{index}", index % 7))
            .await
            .expect("there");
        assert_eq!(stored, winners[0].to_string().as_bytes());
    }
    assert_eq!(base.sidecars().len(), CLAIMED_KEYS, "losers leave no sidecars");
    assert_eq!(base.staged(), Vec::<String>::new());
}

async fn count(provider: &LocalProvider) {
    for _ in 0..INCREMENTS {
        loop {
            let download = provider
                .download(&key("counter"), &DownloadOptions::default())
                .await
                .expect("there");
            let download = download.into_object().expect("sent");
            let etag = download.metadata().etag.clone().expect("one");
            let text = download.bytes(100).await.expect("read");
            let next: usize = std::str::from_utf8(&text)
                .expect("text")
                .parse::<usize>()
                .expect("a number")
                + 1;
            let options = UploadOptions::default().with_precondition(Precondition::IfMatch(etag));
            match provider
                .upload(&key("counter"), Content::from(next.to_string()), &options)
                .await
            {
                Ok(_) => break,
                Err(error) => assert_eq!(error.kind(), ErrorKind::PreconditionFailed, "{error:?}"),
            }
        }
    }
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
    assert_eq!(total, (PROCESSES * INCREMENTS).to_string().as_bytes());
    assert_eq!(base.sidecars().len(), 1);
}

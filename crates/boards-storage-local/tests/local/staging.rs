//! What the dead leave behind, and what the cancelled do not.

use std::io::{BufRead, BufReader};
use std::time::Duration;

use boards_storage_core::{Content, DeleteOptions, StorageProvider, UploadOptions};
use boards_storage_local::LocalProvider;
use bytes::Bytes;

use crate::processes::{command, start, tell};
use crate::support::{Base, get, key, put};

/// Says when it has begun, and never ends.
pub(crate) async fn upload_slowly(provider: &LocalProvider) {
    let pieces = futures_util::stream::unfold(0, |count| async move {
        if count == 8 {
            tell("begun");
            std::future::pending::<()>().await;
        }
        Some((Ok(Bytes::from(vec![7; 1 << 20])), count + 1))
    });
    let content = Content::from_stream(None, pieces);
    provider
        .upload(&key("victim"), content, &UploadOptions::default())
        .await
        .expect("never ends");
}

/// Writes until it is killed, and says so now and then.
pub(crate) async fn write_on(provider: &LocalProvider, number: usize) {
    for round in 0_u64.. {
        put(provider, &format!("live/{number}"), &round.to_le_bytes()).await;
        if round % 50 == 0 {
            tell(&format!("round {round}"));
        }
    }
}

/// Waits for a line that begins so.
fn wait_for(lines: &mut impl Iterator<Item = std::io::Result<String>>, begin: &str) {
    let found = lines.any(|line| line.expect("text").contains(begin));
    assert!(found, "the child ended before it said {begin:?}");
}

#[tokio::test]
async fn a_kill_in_an_upload_leaves_the_old_object_and_staging_that_goes_while_others_write() {
    let base = Base::new();
    let provider = base.open().await;
    put(&provider, "victim", b"old").await;
    let folders = || {
        std::fs::read_dir(base.path().join(".boards-storage/staging"))
            .expect("there")
            .count()
    };
    assert_eq!(folders(), 1);

    let mut writer = start(&base, "write on", 0);
    let mut written = BufReader::new(writer.stdout.take().expect("piped")).lines();
    wait_for(&mut written, "round 0");
    let mut victim = command(&base, "upload slowly", 1).spawn().expect("started");
    wait_for(
        &mut BufReader::new(victim.stdout.take().expect("piped")).lines(),
        "begun",
    );
    let staged: u64 = base
        .staged()
        .iter()
        .filter_map(|path| std::fs::metadata(base.path().join(path)).ok())
        .map(|file| file.len())
        .max()
        .unwrap_or(0);
    assert!(staged >= 6 << 20, "only {staged} bytes are staged");
    assert_eq!(folders(), 3);
    victim.kill().expect("killed");
    victim.wait().expect("ended");

    assert_eq!(get(&provider, "victim").await.expect("there"), b"old");
    assert_eq!(folders(), 3, "the dead one's folder is still there");
    // The next that writes for the first time removes it; the living keep theirs.
    let next = base.open().await;
    put(&next, "other", b"x").await;
    assert_eq!(folders(), 3, "ours, the writer's and the new one's");
    wait_for(&mut written, "round");
    wait_for(&mut written, "round");
    writer.kill().expect("killed");
    writer.wait().expect("ended");
    assert_eq!(get(&provider, "live/0").await.expect("there").len(), 8);
    drop((provider, next));
    let last = base.open().await;
    put(&last, "other", b"y").await;
    assert_eq!(folders(), 1);
    assert_eq!(base.staged(), Vec::<String>::new());
    assert_eq!(base.sidecars().len(), 3, "one for each object");
}

#[tokio::test]
async fn the_notes_of_the_dead_lead_to_left_over_sidecars_and_to_no_others() {
    let base = Base::new();
    let provider = base.open().await;
    put(&provider, "a/kept", b"1").await;
    put(&provider, "gone", b"1").await;
    let sidecar = |object: &str| {
        let sidecars = base.sidecars().into_iter();
        let mut found = sidecars.filter(|path| std::fs::read_to_string(path).expect("text").contains(object));
        found.next().expect("a sidecar")
    };
    let name = |path: &std::path::Path| {
        path.file_name()
            .expect("a name")
            .to_str()
            .expect("UTF-8")
            .to_owned()
    };
    let (kept, gone) = (sidecar("a/kept"), sidecar("gone"));
    let old = kept.with_file_name(name(&kept).replace('.', ".1"));
    std::fs::copy(&kept, &old).expect("copied");
    let text = std::fs::read(&gone).expect("read");
    provider
        .delete(&key("gone"), &DeleteOptions::default())
        .await
        .expect("deleted");
    std::fs::write(&gone, text).expect("brought back");
    drop(provider);

    // A provider that died in an overwrite and in a delete. Its notes also name what they must not lead to.
    let dead = base.path().join(".boards-storage/staging/0000");
    std::fs::create_dir(&dead).expect("made");
    std::fs::write(dead.join("owner"), "").expect("written");
    std::fs::write(dead.join("5"), "staged").expect("written");
    let mut notes = vec![0_u8; 3 * 2048];
    for (index, note) in [
        format!("{} {} /a/kept\n", name(&kept), name(&old)),
        format!("{} /gone\nrubbish of a longer note", name(&gone)),
        format!("../../../a/kept {} /gone\n", name(&kept)),
    ]
    .iter()
    .enumerate()
    {
        notes[index * 2048..][..note.len()].copy_from_slice(note.as_bytes());
    }
    std::fs::write(dead.join("notes"), notes).expect("written");

    let provider = base.open().await;
    put(&provider, "new", b"x").await;
    assert!(!dead.exists() && !old.exists() && !gone.exists());
    assert!(kept.exists() && base.path().join("a/kept").exists());
    assert_eq!(get(&provider, "a/kept").await.expect("there"), b"1");
}

#[tokio::test]
async fn a_cancelled_upload_leaves_nothing() {
    let base = Base::new();
    let provider = base.open().await;
    put(&provider, "old", b"old").await;
    for pieces in [1, 3, 9] {
        for name in ["old", "new/deep"] {
            let stream = futures_util::stream::unfold(0, move |count| async move {
                if count == pieces {
                    std::future::pending::<()>().await;
                }
                Some((Ok(Bytes::from(vec![7; 700_000])), count + 1))
            });
            let (name, options) = (key(name), UploadOptions::default());
            let upload = provider.upload(&name, Content::from_stream(None, stream), &options);
            assert!(
                tokio::time::timeout(Duration::from_millis(100), upload)
                    .await
                    .is_err()
            );
        }
    }
    for _ in 0..200 {
        if base.staged().is_empty() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(base.staged(), Vec::<String>::new());
    assert_eq!(get(&provider, "old").await.expect("there"), b"old");
    assert!(!base.path().join("new").exists());
    assert_eq!(base.sidecars().len(), 1);
}

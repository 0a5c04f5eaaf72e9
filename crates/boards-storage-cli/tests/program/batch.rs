//! Folders and lists, and transfers that go on after the program was killed.

use std::path::PathBuf;
use std::process::Child;
use std::time::Duration;

use serde_json::Value;

use crate::support::{Place, binary};

#[test]
fn a_folder_stands_for_all_files_in_it() {
    let place = Place::new();
    for name in ["d/b.txt", "d/a/deep/x.png", "d/.hidden", "e.txt"] {
        place.write(name, name);
    }
    std::os::unix::fs::symlink("b.txt", place.path("d/link")).expect("linked");
    let said = place.run("put d e.txt -t dataset --json --jobs 2").ok();
    let stored = said.json();
    let stored = stored.as_array().expect("an array");
    let files: Vec<&str> = stored.iter().filter_map(|entry| entry["file"].as_str()).collect();
    assert_eq!(files, ["d/.hidden", "d/a/deep/x.png", "d/b.txt", "e.txt"]);
    for entry in stored {
        let id = entry["artifact_id"].as_str().expect("an id");
        assert_eq!(
            Value::from(place.run(&format!("cat {id}")).ok().out),
            entry["file"]
        );
    }
    said.complains(&["\"warning\"", "d/link", "links in folders are not followed"]);
    let said = place.run("put d -t dataset").ok();
    assert_eq!(said.out.lines().count(), 3);
    said.complains(&["warning: d/link: left out"]);
    std::fs::create_dir(place.path("empty")).expect("made");
    place
        .run("put empty -t text")
        .ok()
        .complains(&["warning: empty: there are no files in it"]);
    assert_eq!(place.run("put empty -t text --json").ok().out.trim(), "[]");
    for line in [
        "put d -t text --artifact x",
        "put d -t text --jobs 0",
        "put d -t text --jobs many",
    ] {
        place.run(line).code(2);
    }
}

#[test]
fn what_a_list_names_is_deleted_and_the_rest_is_told() {
    let place = Place::new();
    place.write("a", "a");
    let put = |name: &str| {
        place
            .run(&format!("put a -t text --artifact {name} --quiet"))
            .ok()
    };
    for name in ["one", "two", "three", "four"] {
        put(name);
    }
    let said = place
        .run_with_input("rm --from - one --json", b"two\n\n  missing  \nthree\n")
        .code(3);
    let deleted = said.json();
    let names: Vec<&str> = deleted
        .as_array()
        .expect("an array")
        .iter()
        .filter_map(|entry| entry["deleted"].as_str())
        .collect();
    assert_eq!(names, ["one", "two", "three"]);
    assert_eq!(said.json_error()["subject"], "missing");
    place
        .run_with_input("rm --from -", b"four\na/../b\n")
        .code(2)
        .complains(&["line 2 of the list", "nothing was deleted"]);
    assert_eq!(place.run("ls --quiet").ok().out.trim(), "four");
    place.run("rm --from nowhere").code(3);
    place.run("rm").code(2);
    place
        .run_with_input("rm --from - --ignore-missing", b"four\nmissing\n")
        .ok();
    assert_eq!(place.run("ls --quiet").ok().out, "");
}

/// Runs a command and kills it as soon as `is_under_way` says so; answers whether it was killed in time.
fn kill_when(place: &Place, line: &str, is_under_way: impl Fn() -> bool) -> bool {
    let mut child: Child = place.command(line.split_whitespace()).spawn().expect("started");
    loop {
        if let Some(status) = child.try_wait().expect("looked at") {
            assert!(status.success(), "{line}: {status}");
            return false;
        }
        if is_under_way() {
            child.kill().expect("killed");
            return !child.wait().expect("ended").success();
        }
        std::thread::sleep(Duration::from_micros(200));
    }
}

fn states(place: &Place) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(place.path(".local/state/boards-storage/uploads")) else {
        return Vec::new();
    };
    let paths = entries.map(|entry| entry.expect("an entry").path());
    paths
        .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
        .collect()
}

/// Returns how many parts or ranges the state in a file counts.
fn count(path: &PathBuf, pointer: &str) -> usize {
    let state: Option<Value> = std::fs::read(path)
        .ok()
        .and_then(|text| serde_json::from_slice(&text).ok());
    state
        .and_then(|state| state.pointer(pointer)?.as_array().map(Vec::len))
        .unwrap_or(0)
}

const LARGE: usize = 100_000_000;

#[test]
fn a_killed_put_goes_on() {
    let place = Place::new();
    let content = binary(LARGE);
    place.write("large.bin", &content);
    let line = "put --resume large.bin -t model --meta step=7 --json";
    let was_killed = (0..10).any(|_| {
        let half = || {
            states(&place)
                .iter()
                .any(|path| count(path, "/progress/under_way/upload/parts") >= 6)
        };
        kill_when(&place, line, half)
    });
    assert!(was_killed, "it was never killed half-way");
    let finished = place.run("ls --quiet").ok().out.lines().count();
    assert_eq!(states(&place).len(), 1);
    let stored = place.run(line).ok().json();
    assert_eq!(place.run("ls --quiet").ok().out.lines().count(), finished + 1);
    let id = stored["artifact_id"].as_str().expect("an id");
    assert!(
        place.run(&format!("cat {id}")).ok().bytes == content,
        "the bytes differ"
    );
    assert!(states(&place).is_empty());
    place
        .run("put --resume - -t text")
        .code(2)
        .complains(&["--resume"]);
}

#[test]
fn a_changed_file_is_put_anew() {
    let place = Place::new();
    let mut content = binary(LARGE);
    place.write("large.bin", &content);
    let line = "put --resume large.bin -t model --artifact one";
    let was_killed = (0..10).any(|_| {
        place.run("rm one --ignore-missing").ok();
        let half = || {
            states(&place)
                .iter()
                .any(|path| count(path, "/progress/under_way/upload/parts") >= 6)
        };
        kill_when(&place, line, half)
    });
    assert!(was_killed, "it was never killed half-way");
    content.truncate(LARGE - 1);
    content[0] ^= 1;
    place.write("large.bin", &content);
    // Without --resume it is reserved.
    place.run("put large.bin -t model --artifact one").code(4);
    place.run(line).ok();
    assert!(place.run("cat one").ok().bytes == content, "the bytes differ");
    assert!(states(&place).is_empty());
    let uploads = std::fs::read_dir(place.path("boards-storage-data/objects/.boards-storage/multipart"));
    assert_eq!(uploads.expect("listed").count(), 0, "the old parts are left");
}

#[test]
fn a_folder_that_was_interrupted_stores_nothing_twice() {
    let place = Place::new();
    place.write("d/a.txt", "a");
    place.write("d/b.txt", "b");
    // What is no file that can be read makes the first run fail at the end.
    let broken = place.write("d/c.txt", "c");
    std::fs::remove_file(&broken).expect("removed");
    place.run("put --resume d missing.txt -t text").code(3);
    assert_eq!(states(&place).len(), 2);
    place.write("d/c.txt", "c");
    place.write("missing.txt", "no longer");
    let said = place.run("put --resume d missing.txt -t text --json").ok();
    assert_eq!(said.json().as_array().map(Vec::len), Some(4));
    assert_eq!(place.run("ls --quiet").ok().out.lines().count(), 4);
    assert!(states(&place).is_empty());
}

#[test]
fn a_killed_get_goes_on() {
    let place = Place::new();
    let content = binary(LARGE);
    place.write("large.bin", &content);
    place.run("put large.bin -t model --artifact one").ok();
    let state = place.path(".copy.boards-storage-part.json");
    let line = "get one -o copy --resume";
    let was_killed = (0..10).any(|_| {
        let _ = std::fs::remove_file(place.path("copy"));
        kill_when(&place, line, || count(&state, "/state/done") >= 4)
    });
    assert!(was_killed, "it was never killed half-way");
    assert!(!place.path("copy").exists());
    place.run(line).ok().says(&["wrote copy (100.00 MB)"]);
    assert!(place.read("copy") == content, "the bytes differ");
    let left = place.names();
    assert!(!left.iter().any(|name| name.starts_with(".copy")), "{left:?}");
    // What stands there is kept, unless it was named.
    place.run("get one --resume").ok();
    place.run("get one --resume").code(4);
    place.run("get one -o /dev/null --resume").code(2);
    place.run("get one -o copy --resume --range 0-3").code(2);
}

#[test]
fn a_part_of_another_version_is_not_gone_on_with() {
    let place = Place::new();
    place.write("large.bin", binary(LARGE));
    place.run("put large.bin -t model --artifact one").ok();
    let state = place.path(".copy.boards-storage-part.json");
    let was_killed = (0..10).any(|_| {
        kill_when(&place, "get one -o copy --resume", || {
            count(&state, "/state/done") >= 4
        })
    });
    assert!(was_killed, "it was never killed half-way");
    let new: Vec<u8> = binary(LARGE).into_iter().rev().collect();
    place.write("large.bin", &new);
    place
        .run("put large.bin -t model --artifact one --overwrite")
        .ok();
    place.run("get one -o copy --resume").ok();
    assert!(place.read("copy") == new, "the bytes differ");
}

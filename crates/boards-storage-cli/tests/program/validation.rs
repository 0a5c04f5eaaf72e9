//! Content that is refused, what is kept in quarantine, and the scanner.

use std::path::Path;
use std::sync::Mutex;

use boards_storage_testkit::TestServer;
use boards_storage_testkit::samples::{Hostile, eicar, gif, hostile, png};

use crate::support::{Place, Said};

fn put(place: &Place, input: &Hostile, index: usize) -> Said {
    let file = place.write(&format!("{index}/{}", input.file_name), &input.bytes);
    let mut words = vec!["put".to_owned(), file.display().to_string()];
    words.extend([
        "--type".to_owned(),
        input.artifact_type.to_string(),
        "--json".to_owned(),
    ]);
    if !input.content_type.is_empty() {
        words.extend(["--content-type".to_owned(), input.content_type.to_owned()]);
    }
    place.run_words(&words)
}

/// The files below a folder, but for what a provider keeps for itself.
fn objects(folder: &Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return Vec::new();
    };
    let mut found = Vec::new();
    for entry in entries {
        let path = entry.expect("an entry").path();
        if path.is_dir() && !path.ends_with(".boards-storage") {
            found.extend(objects(&path));
        } else if path.is_file() {
            found.push(path.display().to_string());
        }
    }
    found
}

#[track_caller]
fn check_nothing_stored(place: &Place) {
    let listed = place.run("ls --all-tenants --json").ok().json();
    assert_eq!(listed, serde_json::json!([]));
    assert_eq!(objects(&place.path("boards-storage-data/objects")), [""; 0]);
    place
        .run("doctor")
        .ok()
        .says(&["unfinished: 0 writes, 0 deletes"]);
}

#[test]
fn each_hostile_input_is_a_clear_error_and_leaves_nothing() {
    let table = hostile();
    let next = Mutex::new(0_usize);
    let wrong = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let place = Place::checked();
                loop {
                    let index = {
                        let mut next = next.lock().expect("not poisoned");
                        *next += 1;
                        *next - 1
                    };
                    let Some(input) = table.get(index) else { break };
                    let said = put(&place, input, index).code(10);
                    let error = said.json_error();
                    if error["code"] != input.reason.name() || error["help"].is_null() {
                        wrong
                            .lock()
                            .expect("not poisoned")
                            .push(format!("{}: {error}", input.name));
                    }
                    assert_eq!(said.out, "");
                }
                check_nothing_stored(&place);
            });
        }
    });
    let wrong = wrong.into_inner().expect("not poisoned");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn hostile_names_are_refused_and_leave_nothing() {
    let place = Place::checked();
    place.write("a.png", png());
    let names = [
        "..",
        "../x",
        "/etc/passwd",
        "a/../../x",
        "..\\x",
        "C:\\x",
        "a\nb",
        "",
        "a/b",
    ];
    for option in ["--variant", "--artifact", "--tenant", "--board"] {
        for name in names {
            let said = place.run_words(["put", "a.png", "--type", "image", option, name]);
            assert!(
                [2, 6].contains(&said.code),
                "{option} {name:?}: {} {}",
                said.code,
                said.out
            );
            assert!(!said.err.contains("panicked"), "{}", said.err);
        }
    }
    for tenant in ["temp", "quarantine", ".boards-storage"] {
        let said = place.run_words(["put", "a.png", "--type", "image", "--tenant", tenant]);
        assert!([2, 6].contains(&said.code), "{tenant}: {}", said.code);
    }
    check_nothing_stored(&place);
}

#[test]
fn a_refusal_says_what_was_expected_and_what_to_do() {
    let place = Place::checked();
    place.write("cat.png", gif());
    let said = place.run("put cat.png --type image").code(10);
    said.complains(&[
        "the content is named PNG, and its bytes are GIF",
        "type_mismatch",
        "help: ",
    ]);
    place.write("dog.jpg", png());
    let said = place
        .run("put dog.jpg --type image --content-type image/png")
        .code(10);
    said.complains(&["the content is declared as PNG, and its extension is \"jpg\""]);
    place.write("bird.png", png());
    let said = place.run("put bird.png --type image --variant x.html").code(10);
    said.complains(&["the content is declared as PNG, and its extension is \"html\""]);
    place.run("put bird.png --type image").ok();
    let piped = place.run_with_input("put - --type image", &png()).ok();
    drop(piped.says(&["stored the standard input"]));
    place.run_with_input("put - --type image", b"no picture").code(10);
}

#[test]
fn what_is_quarantined_is_listed_and_settled() {
    let place = Place::checked();
    place.write(
        "storage.yaml",
        "\
storage:
  default_provider: local
  providers:
    local: {type: local, config: {base_path: objects}}
  validation: {on_mismatch: quarantine}
",
    );
    place.write("cat.png", gif());
    for _ in 0..2 {
        let said = place.run("put cat.png --type image").code(10);
        drop(said.complains(&["its bytes are kept in quarantine as "]));
    }
    assert_eq!(place.run("ls --json").ok().json(), serde_json::json!([]));
    let listed = place.run("quarantine --json").ok().json();
    let ids: Vec<_> = listed
        .as_array()
        .expect("a list")
        .iter()
        .map(|entry| entry["id"].as_str().expect("an id").to_owned())
        .collect();
    assert_eq!(ids.len(), 2);
    assert_eq!(listed[0]["reason"]["kind"], "type_mismatch");
    place.run("quarantine").ok().says(&["type_mismatch", &ids[0]]);
    place.run("rescan").code(7).complains(&["there is no scanner"]);
    place.run(&format!("quarantine rm {}", ids[0])).ok();
    place.run(&format!("quarantine rm {}", ids[0])).code(3);
    place
        .run(&format!("quarantine release {}", ids[1]))
        .ok()
        .says(&["stored as "]);
    assert_eq!(place.run("quarantine --json").ok().json(), serde_json::json!([]));
    assert_eq!(
        place.run("ls --json").ok().json().as_array().map(Vec::len),
        Some(1)
    );
}

fn with_scanner(place: &Place, address: &str, more: &str) {
    place.write(
        "storage.yaml",
        format!(
            "\
storage:
  default_provider: local
  providers:
    local: {{type: local, config: {{base_path: objects}}}}
  validation:
    scan:
      scanner: {{type: clamav, address: '{address}', timeout: 5s}}
      {more}
"
        ),
    );
}

#[test]
fn a_scanner_that_is_gone_lets_nothing_pass() {
    let place = Place::checked();
    with_scanner(&place, "127.0.0.1:1", "mode: before_available");
    place.write("a.txt", "hello");
    let said = place.run("put a.txt --type text").code(10);
    drop(said.complains(&["could not be scanned", "scan_failed", "help: start the scanner"]));
    assert_eq!(place.run("ls --json").ok().json(), serde_json::json!([]));
    place.run("doctor").code(8).says(&["fail  scanner clamav: "]);
    place.run("quarantine --quiet").ok();
}

#[test]
fn the_daemon_of_clamav_finds_eicar() {
    let address = match TestServer::find("clamd", "CLAMD").expect("the daemon of ClamAV is there") {
        TestServer::Settings(settings) => settings["address"].as_str().expect("an address").to_owned(),
        TestServer::LeftOut => return,
    };
    let place = Place::checked();
    place.write("clean.txt", "hello");
    place.write("infected.txt", eicar());
    // Stored before there was a scanner.
    with_scanner(&place, &address, "mode: off");
    place.run("put infected.txt --type text --artifact old").ok();
    with_scanner(&place, &address, "mode: before_available");
    place.run("doctor").ok().says(&["ok    scanner clamav: ClamAV"]);
    place.run("put clean.txt --type text").ok();
    let said = place.run("put infected.txt --type text").code(10);
    drop(said.complains(&["the scanner found malware: ", "Eicar"]));
    let piped = [&[b'a'; 200_000][..], &eicar()].concat();
    place.run_with_input("put - --type text", &piped).code(10);
    let said = place.run("scan").code(10).says(&["old", "Eicar"]);
    assert_eq!(said.err, "");
    place.run("rm old").ok();
    place.run("scan").ok().says(&["nothing"]);
    // While the scanner is away, content waits for it.
    with_scanner(&place, "127.0.0.1:1", "on_failure: quarantine");
    for name in ["clean.txt", "infected.txt"] {
        place
            .run(&format!("put {name} --type text --board later"))
            .code(10);
    }
    place.run("rescan").code(8);
    with_scanner(&place, &address, "on_failure: quarantine");
    place.run("rescan").code(10).says(&["stored ", "kept ", "Eicar"]);
    let listed = place.run("ls --board later --json").ok().json();
    assert_eq!(listed.as_array().map(Vec::len), Some(1));
    let kept = place.run("quarantine --json").ok().json();
    assert_eq!(kept.as_array().map(Vec::len), Some(1));
}

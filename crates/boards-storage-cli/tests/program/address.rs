//! Naming what is stored, and deleting it.

use crate::support::Place;

fn place() -> Place {
    let place = Place::new();
    place.write("a.txt", "first");
    place.write("b.txt", "second");
    place.write("t.webp", "small");
    place.run("put a.txt -t text --artifact x").ok();
    place.run("put b.txt -t text --artifact x --overwrite").ok();
    place
        .run("put t.webp -t text --artifact x --variant thumbnail")
        .ok();
    place
}

#[test]
fn keys_and_urls_name_one_version() {
    let place = place();
    let versions = place.run("ls --versions x --json").ok().json();
    for (version, content) in [(0, "second"), (1, "first")] {
        let text = |name: &str| versions[version][name].as_str().expect("text").to_owned();
        for address in [text("storage_key"), text("storage_url")] {
            assert_eq!(
                place.run(&format!("cat {address}")).ok().out,
                content,
                "{address}"
            );
            place.run(&format!("info {address}")).ok();
        }
    }
    let key = "default/text/x/original.txt";
    for option in ["--version 1", "--variant original", "--tenant default"] {
        place
            .run(&format!("cat {key} {option}"))
            .code(2)
            .complains(&["go with an artifact id", "help: "]);
    }
    place
        .run(&format!("cat boards-storage://other/{key}"))
        .code(3)
        .complains(&["on the provider 'other'"]);
    place
        .run("cat default/text/x/nothing")
        .code(3)
        .complains(&["error: key 'default/text/x/nothing': no artifact"]);
    place
        .run("cat https://host/a")
        .code(2)
        .complains(&["not a storage key"]);
}

#[test]
fn hostile_addresses_are_refused() {
    let place = Place::new();
    for bad in [
        "../../etc/passwd",
        "/etc/passwd",
        "..",
        "",
        "a//b",
        "a\\b",
        "a\u{1b}[2Jb",
        ".boards-storage/x",
    ] {
        let said = place.run_words(["cat", bad]).code(2);
        said.complains(&["error: "]);
    }
    let long = "x".repeat(129);
    place.run_words(["info", &long]).code(2).complains(&["129 bytes"]);
    assert!(place.names().is_empty(), "nothing is made by wrong usage");
}

#[test]
fn a_variant_that_is_missing_is_answered_with_those_there_are() {
    let place = place();
    place.run("info x --variant preview").code(3).complains(&[
        "variant 'preview'",
        "help: give --variant; the artifact has original, thumbnail",
    ]);
    place
        .run("info y")
        .code(3)
        .complains(&["artifact 'y'", "help: `boards-storage ls`"]);
    place
        .run("info x --tenant acme")
        .code(3)
        .complains(&["tenant 'acme'", "ls --tenant acme"]);
}

#[test]
fn deleting_takes_exactly_what_is_named() {
    let place = place();
    place
        .run("rm x --variant thumbnail")
        .ok()
        .says(&["deleted x (1 version)"]);
    place.run("cat x --variant thumbnail").code(3);
    place.run("rm default/text/x/original.txt").ok();
    place.run("cat x --version 1").code(3);
    assert_eq!(place.run("cat x").ok().out, "second");
    place
        .run("put t.webp -t text --artifact x --variant thumbnail")
        .ok();
    place.run("rm x").ok().says(&["deleted x (2 versions)"]);
    assert_eq!(place.run("ls --all-tenants").ok().out, "");
    place
        .run("rm x")
        .code(3)
        .complains(&["error: there is no artifact 'x'", "help: "]);
    assert_eq!(place.run("rm x --json").code(3).json_error()["kind"], "not_found");
    assert_eq!(place.run("rm x y z --ignore-missing").ok().out, "");
    assert_eq!(
        place.run("rm x --ignore-missing --json").ok().json(),
        serde_json::json!([])
    );
}

#[test]
fn what_is_missing_does_not_keep_other_deletes_back() {
    let place = place();
    let said = place.run("rm y x").code(3);
    said.says(&["deleted x (3 versions)"])
        .complains(&["error: y: there is no artifact 'y'"]);
}

#[test]
fn tenants_do_not_see_each_other() {
    let place = Place::new();
    place.write("a.txt", "acme's");
    place
        .run("put a.txt -t text --artifact x --tenant acme")
        .ok()
        .says(&["acme/text/x/original.txt"]);
    place.run("info x").code(3);
    place.run("rm x").code(3);
    assert_eq!(place.run("cat x --tenant acme").ok().out, "acme's");
    assert_eq!(place.run("ls").ok().out, "");
    assert_eq!(place.run("ls --all-tenants --quiet").ok().out, "x\n");
    place
        .run("put a.txt -t text --tenant temp")
        .code(2)
        .complains(&["reserved"]);
}

//! Storing and getting back.

use crate::support::{Place, binary};

#[test]
fn without_settings_a_file_comes_back_byte_for_byte() {
    let place = Place::new();
    let content = binary(3_000_001);
    place.write("photo.png", &content);
    let said = place
        .run("put photo.png --type image --board board_123 --artifact artifact_456 --meta prompt=dusk")
        .ok();
    let key = "default/image/board_123/artifact_456/original.png";
    let said = said.says(&["stored photo.png as artifact_456", key, "3.00 MB", "version 1"]);
    assert_eq!((said.out.lines().count(), said.err.as_str()), (1, ""));
    assert_eq!(place.names(), ["boards-storage-data", "photo.png"]);
    assert_eq!(place.run("cat artifact_456").ok().bytes, content);
    place
        .run("get artifact_456")
        .ok()
        .says(&["wrote original.png (3.00 MB)"]);
    assert_eq!(place.read("original.png"), content);
    assert_eq!(
        std::fs::read(place.stored_file("original.png")).expect("a plain file"),
        content
    );
    place.run("info artifact_456").ok().says(&[
        "image/png",
        key,
        "3000001 bytes",
        "blake3:",
        "prompt=dusk",
        "board_123",
    ]);
    place
        .run("ls")
        .ok()
        .says(&["artifact_456\toriginal\timage\t3000001\t1\t", key]);
    place
        .run("rm artifact_456")
        .ok()
        .says(&["deleted artifact_456 (1 version)"]);
    place
        .run("info artifact_456")
        .code(3)
        .complains(&["error: there is no", "help: "]);
    assert_eq!(place.run("ls").ok().out, "");
}

#[test]
fn the_standard_input_is_stored_and_written_back() {
    let place = Place::new();
    for (artifact, content) in [
        ("empty", Vec::new()),
        ("small", binary(1)),
        ("large", binary(9_000_000)),
    ] {
        let stored = place
            .run_with_input(
                &format!("put - --type text --artifact {artifact} --json"),
                &content,
            )
            .ok()
            .json();
        assert_eq!(stored["size"], content.len());
        assert_eq!(stored["content_type"], "application/octet-stream");
        assert_eq!(place.run(&format!("cat {artifact}")).ok().bytes, content);
    }
    let stored = place
        .run_with_input(
            "put - -t text --artifact small --variant notes.md --json",
            b"# hi",
        )
        .ok()
        .json();
    assert_eq!(
        (&stored["variant"], &stored["content_type"]),
        (&"notes".into(), &"text/markdown".into())
    );
    assert_eq!(place.run("cat small --variant notes").ok().out, "# hi");
    place.run_with_input("put - -t text --length 4", b"four").ok();
    for length in [3, 5] {
        let said = place
            .run_with_input(&format!("put - -t text --length {length}"), b"four")
            .code(6);
        said.complains(&["declared to have", "help: "]);
    }
}

#[test]
fn an_artifact_is_printed_with_the_names_of_the_seed() {
    let place = Place::new();
    place.write("a.txt", "hello");
    let stored = place
        .run("put a.txt --type text --artifact a1 --json")
        .ok()
        .json();
    assert_eq!(stored["artifact_id"], "a1");
    assert_eq!(stored["storage_key"], "default/text/a1/original.txt");
    assert_eq!(stored["storage_provider"], "local");
    assert_eq!(
        stored["storage_url"],
        "boards-storage://local/default/text/a1/original.txt"
    );
    assert_eq!(stored["content_type"], "text/plain");
    let names = [
        "artifact_type",
        "tenant_id",
        "board_id",
        "variant",
        "access",
        "size",
        "digest",
        "version",
        "created_at",
    ];
    for name in names {
        assert!(stored.get(name).is_some(), "{name}");
    }
    assert_eq!(place.run("ls --json").ok().json(), serde_json::json!([stored]));
    let info = place.run("info a1 --json").ok().json();
    for (name, value) in stored.as_object().expect("fields") {
        assert_eq!(info[name], *value, "{name}");
    }
    assert_eq!(info["object"]["size_bytes"], 5);
    let got = place.run("get a1 --json").ok().json();
    assert_eq!(
        (&got["artifact_id"], &got["path"], &got["bytes_written"]),
        (&"a1".into(), &"original.txt".into(), &5.into())
    );
    let removed = place.run("rm a1 --json").ok().json();
    assert_eq!(
        removed,
        serde_json::json!([{ "deleted": "a1", "versions": 1, "bytes_pending": 0 }])
    );
    assert_eq!(place.run("ls --json").ok().json(), serde_json::json!([]));
}

#[test]
fn the_same_bytes_change_nothing_and_others_need_overwrite() {
    let place = Place::new();
    place.write("a.txt", "first");
    place.write("b.txt", "second");
    let first = place.run("put a.txt -t text --artifact x --json").ok().json();
    assert_eq!(
        place.run("put a.txt -t text --artifact x --json").ok().json(),
        first
    );
    let refused = place.run("put b.txt -t text --artifact x").code(4);
    refused.complains(&[
        "error: ",
        "the variant 'original' of the artifact 'x' exists",
        "its bytes",
        "help: give --overwrite",
    ]);
    assert_eq!(place.run("cat x").ok().out, "first");

    let second = place
        .run("put b.txt -t text --artifact x --overwrite --json")
        .ok()
        .json();
    assert_eq!((&second["version"], &first["version"]), (&2.into(), &1.into()));
    assert_ne!(second["storage_key"], first["storage_key"]);
    assert_eq!(place.run("cat x").ok().out, "second");
    assert_eq!(place.run("cat x --version 1").ok().out, "first");
    let old_id = first["version_id"].as_str().expect("an id");
    assert_eq!(place.run(&format!("cat x --version {old_id}")).ok().out, "first");
    place.run("get x --version 1 -o old").ok();
    assert_eq!(place.read("old"), b"first");
    place.run("get x").ok().says(&["wrote original.txt"]);
    assert_eq!(place.read("original.txt"), b"second");
    let versions = place.run("ls --versions x --json").ok().json();
    assert_eq!(
        (
            &versions[0]["version"],
            &versions[1]["version"],
            versions.as_array().map(Vec::len)
        ),
        (&2.into(), &1.into(), Some(2))
    );
    assert_eq!(place.run("ls --versions x --limit 1").ok().out.lines().count(), 1);
    place
        .run("cat x --version 3")
        .code(3)
        .complains(&["version 3", "help: its present version is 2"]);
}

#[test]
fn a_digest_that_is_declared_must_be_right() {
    let place = Place::new();
    place.write("a.txt", "hello");
    let digest = place.run("put a.txt -t text --json").ok().json()["digest"]
        .as_str()
        .expect("text")
        .to_owned();
    place
        .run(&format!("put a.txt -t text --artifact right --digest {digest}"))
        .ok();
    place.write("b.txt", "jello");
    let said = place
        .run(&format!("put b.txt -t text --artifact wrong --digest {digest}"))
        .code(9);
    said.complains(&["error: ", "digest"]);
    place.run("info wrong").code(3);
    place.run("put a.txt -t text --digest sha256:12").code(2);
}

#[test]
fn many_files_are_artifacts_of_their_own() {
    let place = Place::new();
    let names: Vec<String> = (0..25).map(|number| format!("{number}.txt")).collect();
    for name in &names {
        place.write(name, name);
    }
    let line = format!("put {} -t text", names.join(" "));
    let said = place.run(&line).ok();
    let shown: Vec<&str> = said
        .out
        .lines()
        .filter_map(|line| line.split_whitespace().nth(1))
        .collect();
    assert_eq!(shown, names);
    let stored = place.run(&format!("{line} --json")).ok().json();
    for (name, reference) in names.iter().zip(stored.as_array().expect("an array")) {
        let id = reference["artifact_id"].as_str().expect("an id");
        assert_eq!(place.run(&format!("cat {id}")).ok().out, *name);
    }
    let ids = place.run(&format!("{line} --quiet")).ok().out;
    assert_eq!((ids.lines().count(), ids.contains(' ')), (25, false));
    assert_eq!(place.run("ls --quiet").ok().out.lines().count(), 75);
}

#[test]
fn one_file_that_fails_does_not_keep_the_others_back() {
    let place = Place::new();
    place.write("a.txt", "a");
    place.write("c.txt", "c");
    let said = place.run("put a.txt b.txt c.txt -t text").code(3);
    assert_eq!(said.out.lines().count(), 2);
    said.complains(&[
        "error: b.txt: the file 'b.txt' cannot be read",
        "cause: No such file",
    ]);
    let said = place.run("put a.txt b.txt -t text --json").code(3);
    assert_eq!(said.json().as_array().map(Vec::len), Some(1));
    assert_eq!(
        (&said.json_error()["subject"], &said.json_error()["kind"]),
        (&"b.txt".into(), &"not_found".into())
    );
}

#[test]
fn options_for_one_thing_are_refused_for_several() {
    let place = Place::new();
    place.write("a", "a");
    place.write("b", "b");
    let digest = format!("blake3:{}", "0".repeat(64));
    for line in [
        "put a b -t text --artifact x",
        "put a - -t text",
        &format!("put a b -t text --digest {digest}"),
    ] {
        place
            .run(line)
            .code(2)
            .complains(&["error: ", "several files", "help: "]);
    }
    place
        .run("put a -t text --length 1")
        .code(2)
        .complains(&["--length"]);
    assert_eq!(place.names(), ["a", "b"], "nothing is made by wrong usage");
}

#[test]
fn a_type_that_nobody_knows_keeps_its_extension() {
    let place = Place::new();
    #[track_caller]
    fn check(place: &Place, line: &str, key_end: &str, content_type: &str) {
        let stored = place.run(&format!("put {line} --json")).ok().json();
        assert!(
            stored["storage_key"]
                .as_str()
                .is_some_and(|key| key.ends_with(key_end)),
            "{line}: {stored}"
        );
        assert_eq!(stored["content_type"], content_type, "{line}");
    }
    for name in ["lora.ckpt", "photo.JPEG", "plain", "w.safetensors"] {
        place.write(name, name);
    }
    check(
        &place,
        "lora.ckpt -t model",
        "/original.ckpt",
        "application/octet-stream",
    );
    check(&place, "photo.JPEG -t image", "/original.jpg", "image/jpeg");
    check(
        &place,
        "plain -t text",
        "/original.bin",
        "application/octet-stream",
    );
    check(
        &place,
        "plain -t text --content-type text/markdown",
        "/original.md",
        "text/markdown",
    );
    check(
        &place,
        "plain -t text --variant notes.txt",
        "/notes.txt",
        "text/plain",
    );
    check(
        &place,
        "w.safetensors -t model --variant weights",
        "/weights.safetensors",
        "application/vnd.safetensors",
    );
}

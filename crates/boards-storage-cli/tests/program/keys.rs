//! Encryption at rest as an operator sets it up, and looks after its keys.

use crate::support::Place;

/// A place whose provider encrypts by a keyring of one key.
fn sealed() -> Place {
    let place = Place::new();
    let line = place.run("keys generate first").ok();
    write_keyring(&place, &line.out);
    place.write(
        "storage.yaml",
        "\
storage:
  default_provider: vault
  providers:
    vault: {type: local, config: {base_path: objects}, encryption: true}
  data_path: data
  encryption: {keyring: keyring}
",
    );
    place
}

fn write_keyring(place: &Place, text: &str) {
    let path = place.write("keyring", text);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).expect("set");
    }
}

#[test]
fn what_is_put_is_encrypted_and_comes_back() {
    let place = sealed();
    place.write("a.txt", "a secret that nobody may read");
    let put = place.run("put a.txt -t text --artifact note --json").ok().json();
    let key = put["storage_key"].as_str().expect("told").to_owned();
    let held = place.read(&format!("objects/{key}"));
    assert!(held.starts_with(b"bstorenc"));
    assert!(!held.windows(6).any(|window| window == b"secret"));
    place.run("get note -o b.txt --quiet").ok();
    assert_eq!(place.read("b.txt"), b"a secret that nobody may read");
    let part = place.run("cat note --range 2-7").ok();
    assert_eq!(part.out, "secret");
    place
        .run("url note")
        .code(12)
        .complains(&["through the application"]);
}

#[test]
fn keys_are_listed_rotated_and_wrapped_anew() {
    let place = sealed();
    place.write("a.txt", "hello");
    place.run("put a.txt -t text --artifact note --quiet").ok();
    let listed = place.run("keys list").ok();
    assert!(listed.out.starts_with("default\t1\twrites\t"), "{}", listed.out);
    let rotated = place.run("keys rotate default --json").ok().json();
    assert_eq!(rotated["generation"], 2);
    place.run("put a.txt -t text --artifact other --quiet").ok();
    let second = place.run("keys generate second").ok().out;
    let first = String::from_utf8(place.read("keyring")).expect("text");
    write_keyring(&place, &format!("{first}*{second}"));
    let rewrapped = place.run("keys rewrap --json").ok().json();
    assert_eq!(
        (&rewrapped["key"], &rewrapped["rewrapped"]),
        (&"second".into(), &2.into())
    );
    write_keyring(&place, &second);
    place.run("cat note").ok();
    place.run("cat other").ok();
    let listed = place.run("keys list --json").ok().json();
    let keys = listed[0]["keys"].as_array().expect("a list");
    let states: Vec<_> = keys
        .iter()
        .map(|key| (&key["state"], &key["wrapped_by"]))
        .collect();
    assert_eq!(
        states,
        [
            (&"reads".into(), &"second".into()),
            (&"writes".into(), &"second".into())
        ]
    );
    let text = String::from_utf8(place.read("data/tenant-keys.json")).expect("text");
    let wrapped = text
        .split('"')
        .find(|word| word.len() == 80)
        .expect("a wrapped key");
    assert!(!place.run("keys list --json").ok().out.contains(wrapped));
}

#[test]
fn a_tenant_is_shredded_only_if_it_is_meant() {
    let place = sealed();
    place.write("a.txt", "hello");
    place
        .run("put a.txt -t text --artifact note --tenant acme --quiet")
        .ok();
    for line in ["keys shred acme", "keys shred acme --confirm acm"] {
        place
            .run(line)
            .code(6)
            .complains(&["unreadable for ever", "--confirm acme"]);
    }
    place.run("cat note --tenant acme").ok();
    place
        .run("keys shred acme --confirm acme")
        .ok()
        .says(&["1 keys of tenant 'acme' are destroyed"]);
    place
        .run("cat note --tenant acme")
        .complains(&["'acme' was destroyed"]);
    place.run("keys list").ok().says(&["acme\t1\tdestroyed"]);
    place.run("keys shred nobody --confirm nobody").code(3);
}

#[test]
fn settings_without_keys_are_refused_where_they_are_wrong() {
    let place = sealed();
    std::fs::remove_file(place.path("keyring")).expect("removed");
    place.run("ls").complains(&["keyring", "cannot be read"]);
    place.write(
        "storage.yaml",
        "storage: {default_provider: a, providers: {a: {type: local, config: {base_path: o}, encryption: true}}}",
    );
    place.run("config check").complains(&[
        "storage.providers.a.encryption",
        "storage.encryption has no keyring",
        "keys generate",
    ]);
    place
        .run("keys list")
        .complains(&["storage.encryption has no keyring"]);
}

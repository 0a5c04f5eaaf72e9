//! Fetching into files and to the standard output: names, ranges, and bytes that are wrong.

use crate::support::{Place, binary};

fn place_with(content: &[u8]) -> Place {
    let place = Place::new();
    place.write("a.txt", content);
    place.run("put a.txt -t text --artifact x").ok();
    place
}

#[test]
fn an_existing_file_is_kept_unless_force_is_given() {
    let place = place_with(b"new");
    place.write("original.txt", "old");
    place
        .run("get x")
        .code(4)
        .complains(&["error: the file 'original.txt' exists", "help: give --force"]);
    assert_eq!(place.read("original.txt"), b"old");
    place.run("get x --force").ok();
    assert_eq!(place.read("original.txt"), b"new");
    place.write("folder/original.txt", "old");
    place.run("get x -o folder").code(4);
    place.run("get x -o folder -f").ok();
    assert_eq!(place.read("folder/original.txt"), b"new");
    place.write("named", "old");
    place.run("get x -o named").ok().says(&["wrote named (3 B)"]);
    assert_eq!(place.read("named"), b"new");
    assert_eq!(place.run("get x -f --quiet").ok().out, "");
}

#[test]
fn a_target_that_cannot_be_written_is_told() {
    let place = place_with(b"new");
    place.run("get x -o nowhere/file").code(3).complains(&[
        "error: cannot write into the folder 'nowhere'",
        "cause: ",
        "help: ",
    ]);
    place.run("get x -o nowhere/").code(3).complains(&["nowhere"]);
    place
        .run("get x -o -")
        .code(2)
        .complains(&["help: `boards-storage cat`"]);
    assert_eq!(place.names(), ["a.txt", "boards-storage-data"]);
}

#[cfg(unix)]
#[test]
fn devices_are_written_to_and_links_stay_links() {
    use std::os::unix::fs::{FileTypeExt, PermissionsExt, symlink};

    let place = place_with(b"new");
    place.run("get x -o /dev/null").ok();
    assert!(
        std::fs::metadata("/dev/null")
            .expect("there")
            .file_type()
            .is_char_device()
    );
    place.write("real", "old");
    symlink("real", place.path("link")).expect("a link");
    place.run("get x -o link").ok();
    assert!(
        std::fs::symlink_metadata(place.path("link"))
            .expect("there")
            .is_symlink()
    );
    assert_eq!(place.read("real"), b"new");
    let mode = std::fs::metadata(place.path("real"))
        .expect("there")
        .permissions()
        .mode();
    assert_eq!(mode & 0o600, 0o600);
    place.write("usual", "");
    let usual = std::fs::metadata(place.path("usual"))
        .expect("there")
        .permissions()
        .mode();
    assert_eq!(mode, usual, "a file that is fetched has the usual permissions");
}

#[test]
fn a_range_is_a_part_of_the_bytes() {
    let place = place_with(b"0123456789");
    #[track_caller]
    fn check(place: &Place, range: &str, expected: &str) {
        assert_eq!(
            place.run(&format!("cat x --range {range}")).ok().out,
            expected,
            "{range}"
        );
        place.run(&format!("get x -o part --range {range}")).ok();
        assert_eq!(place.read("part"), expected.as_bytes(), "{range}");
    }
    check(&place, "0-0", "0");
    check(&place, "2-4", "234");
    check(&place, "7-", "789");
    check(&place, "-3", "789");
    check(&place, "8-500", "89");
    place
        .run("cat x --range 10-")
        .code(6)
        .complains(&["error: the range bytes=10- lies beyond the end", "10 bytes"]);
    for bad in ["4-2", "a-b", "5", "-0"] {
        place
            .run(&format!("cat x --range {bad}"))
            .code(2)
            .complains(&["error: invalid value"]);
    }
}

#[test]
fn wrong_bytes_are_an_error_and_leave_no_file() {
    for length in [5, 3_000_000] {
        let content = binary(length);
        let place = place_with(&content);
        let path = place.stored_file("original.txt");
        let mut changed = content.clone();
        changed[length / 2] ^= 1;
        std::fs::write(&path, &changed).expect("changed");
        let said = place
            .run("cat x")
            .code(9)
            .complains(&["error: ", "help: restore"]);
        assert_ne!(said.bytes, changed, "wrong bytes are never given whole");
        place.run("get x").code(9);
        place.write("kept", "old");
        assert_eq!(
            place.run("get x -o kept --json").code(9).json_error()["kind"],
            "corruption"
        );
        assert_eq!(place.read("kept"), b"old");
        assert_eq!(place.names(), ["a.txt", "boards-storage-data", "kept"]);
        std::fs::remove_file(&path).expect("removed");
        place
            .run("get x")
            .code(9)
            .complains(&["does not have the bytes", "help: restore"]);
    }
}

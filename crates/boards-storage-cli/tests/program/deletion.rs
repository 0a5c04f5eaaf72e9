//! Deletions that can be taken back, and quotas.

use crate::support::Place;

const KEEPING: &str = "\
storage:
  default_provider: local
  providers: {local: {type: local, config: {base_path: objects, fsync: false}}}
  deletion: {keep: 7d}
  limits: {quota: {bytes_max: 20B, objects_max: 3}}
";

fn keeping() -> Place {
    let place = Place::new();
    place.write("storage.yaml", KEEPING);
    place.write("a.txt", "hello");
    place
}

#[test]
fn a_deletion_is_taken_back() {
    let place = keeping();
    place.run("put a.txt -t text --artifact a").ok();
    place
        .run("rm a")
        .ok()
        .says(&["deleted a (1 version; `boards-storage restore` takes it back until 20"]);
    place.run("cat a").code(3);
    assert_eq!(place.run("ls --quiet").ok().out, "");
    assert_eq!(place.run("deleted --quiet").ok().out, "a\n");
    let listed = place.run("deleted --json").ok().json();
    assert_eq!(listed["artifact_id"], "a");
    assert!(listed["recoverable_until"].is_string(), "{listed}");
    place.run("restore a").ok().says(&["restored a (1 version)"]);
    assert_eq!(place.run("cat a").ok().out, "hello");
    assert_eq!(place.run("deleted").ok().out, "");
    let told = place.run("history").ok().out;
    let changes: Vec<_> = told.lines().filter_map(|line| line.split('\t').nth(2)).collect();
    assert_eq!(changes, ["committed", "deleted", "restored"]);
    place
        .run("restore a")
        .code(3)
        .complains(&["nothing of the artifact 'a'", "help: "]);
    place.run("restore a b").code(3).complains(&["a:", "b:"]);
}

#[test]
fn a_purge_is_for_good() {
    let place = keeping();
    for artifact in ["a", "b"] {
        place
            .run(&format!("put a.txt -t text --artifact {artifact}"))
            .ok();
    }
    place.run("rm a").ok();
    place
        .run("rm --purge a b")
        .ok()
        .says(&["deleted a (1 version)", "deleted b (1 version)"]);
    place.run("restore a").code(3);
    assert_eq!(place.run("deleted --quiet").ok().out, "");
    let left = place.run("doctor --json").ok().json();
    assert_eq!(left["healthy"], true, "{left}");
    assert_eq!(place.run("quota show --json").ok().json()["used"]["objects"], 0);
}

#[test]
fn quotas_refuse_what_does_not_fit() {
    let place = keeping();
    for artifact in ["a", "b", "c"] {
        place
            .run(&format!("put a.txt -t text --artifact {artifact}"))
            .ok();
    }
    place.run("put a.txt -t text --artifact d").code(11).complains(&[
        "objects_max",
        "'default'",
        "3",
        "help: ",
    ]);
    place.run("rm c").ok();
    place.run("put a.txt -t text --artifact d").code(11);
    place.run("rm --purge c").ok();
    place.run("put a.txt -t text --artifact d").ok();
    place
        .run("quota set default --bytes 18B")
        .ok()
        .says(&["18 bytes", "no limit", "the tenant's own"]);
    place
        .run("put a.txt -t text --artifact e")
        .code(11)
        .complains(&["bytes_max"]);
    let shown = place.run("quota show default --json").ok().json();
    assert_eq!(
        (
            &shown["used"]["bytes"],
            &shown["quota"]["bytes_max"],
            &shown["is_own"]
        ),
        (&15.into(), &18.into(), &true.into())
    );
    place
        .run("quota clear default")
        .ok()
        .says(&["that of the settings"]);
    place.run("quota set default").code(2);
    place.run("put a.txt -t text --artifact e --tenant other").ok();
    assert_eq!(place.run("reap --json").ok().json()["failed"], 0);
}

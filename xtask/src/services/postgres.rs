//! PostgreSQL, with a database of its own that forgets everything with its folder.
//!
//! It refuses to run as the superuser, who therefore runs it as the user `postgres` of the system's package, with one
//! right left: to pass the folders above `target`, which may be the superuser's own.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use super::place::{Place, free_ports};
use super::{Ending, Found, Service, Weight, probe};
use crate::{install, process};

pub(super) const SERVICE: Service = Service {
    name: "postgres",
    tests: "PostgreSQL",
    prefix: "BOARDS_STORAGE_TEST_POSTGRES__",
    decisive: "URL",
    weight: Weight::Light,
    install: |_| programs().map(drop),
    start,
    ending: Ending::Interrupted,
    restart: None,
    unproven: &[],
};

/// Who runs the server where we are the superuser.
const USER: &str = "postgres";

/// Where Debian's packages have the programs, in a folder for each version.
const DEBIAN_FOLDER: &str = "/usr/lib/postgresql";

const ROLE: &str = "boards";
const PASSWORD: &str = "boards-storage-test";
const DATABASE: &str = "boards";

/// Nothing here outlives the run, so nothing is synced.
const SETTINGS: &[&str] = &[
    "listen_addresses=127.0.0.1",
    "unix_socket_directories=",
    "max_connections=200",
    "fsync=off",
    "synchronous_commit=off",
    "full_page_writes=off",
    "timezone=UTC",
    "log_timezone=UTC",
];

fn start(place: &mut Place) -> Result<Found> {
    let [port] = free_ports()?;
    let programs = programs()?;
    let password = place.write("password", PASSWORD)?;
    let cluster = place.make("cluster")?;
    if install::is_root() {
        process::capture(process::command("chown", &[&format!("{USER}:")]).arg(&cluster))
            .with_context(|| format!("the user `{USER}` of the package postgresql is needed"))?;
    }
    let mut make = in_cluster(&programs.join("initdb"), &cluster);
    make.args(["--username", ROLE, "--pwfile"])
        .arg(password)
        .args(["--auth", "scram-sha-256", "--encoding", "UTF8", "--locale", "C"])
        .args(["--no-sync", "--no-instructions"]);
    process::capture(&mut make)?;
    let mut server = in_cluster(&programs.join("postgres"), &cluster);
    server.args(["-p", &port.to_string()]);
    for setting in SETTINGS {
        server.args(["-c", setting]);
    }
    place.spawn("postgres", &mut server)?;
    let url = |database: &str| format!("postgres://{ROLE}:{PASSWORD}@127.0.0.1:{port}/{database}");
    let ask = |database: &str, what: &str| process::capture(&mut ask(&programs, &url(database), what));
    probe::wait_until(place, "it answers", || {
        ask("postgres", "SELECT 1").is_ok_and(|answer| is_one(&answer))
    })?;
    ask("postgres", &format!("CREATE DATABASE {DATABASE}")).context("the database could not be made")?;
    Ok(vec![("URL", url(DATABASE))])
}

/// A program of the server's that works on the data folder, as a user who may.
fn in_cluster(program: &Path, cluster: &Path) -> Command {
    let mut command = if install::is_root() {
        let (user, group) = (format!("--reuid={USER}"), format!("--regid={USER}"));
        let arguments = [
            &user,
            &group,
            "--clear-groups",
            "--inh-caps=+dac_override",
            "--ambient-caps=+dac_override",
            "--",
        ];
        let mut command = process::command("setpriv", &arguments);
        command.arg(program);
        command
    } else {
        process::command(&program.to_string_lossy(), &[])
    };
    command.arg("-D").arg(cluster);
    command
}

/// The client, which prints the bare value and reads nobody's settings.
fn ask(programs: &Path, url: &str, what: &str) -> Command {
    let mut command = process::command(&programs.join("psql").to_string_lossy(), &[]);
    command
        .args(["--no-psqlrc", "--no-password", "--tuples-only", "--no-align"])
        .args(["--dbname", url, "--command", what])
        .env("PGCONNECT_TIMEOUT", "5");
    command
}

/// Whether the client printed what `SELECT 1` selects.
fn is_one(answer: &[u8]) -> bool {
    answer.trim_ascii() == b"1"
}

/// The folder with the programs, of the newest version where there are several; installs them where there is none.
fn programs() -> Result<PathBuf> {
    if let Some(found) = find_programs() {
        return Ok(found);
    }
    install::package("postgresql")?;
    find_programs().with_context(|| {
        format!("`initdb`, `postgres` and `psql` are neither together in the PATH nor below {DEBIAN_FOLDER}")
    })
}

fn find_programs() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut packaged = versions(Path::new(DEBIAN_FOLDER));
    packaged.sort_unstable_by_key(|(version, _)| std::cmp::Reverse(*version));
    let packaged = packaged.into_iter().map(|(_, folder)| folder);
    let has_all = |folder: &PathBuf| {
        ["initdb", "postgres", "psql"]
            .iter()
            .all(|program| install::is_executable(&folder.join(program)))
    };
    std::env::split_paths(&path).chain(packaged).find(has_all)
}

/// The folders of programs below `folder`, each with its version.
fn versions(folder: &Path) -> Vec<(u32, PathBuf)> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .filter_map(|entry| {
            let version = entry.file_name().to_str()?.parse().ok()?;
            Some((version, entry.path().join("bin")))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{is_one, versions};

    #[test]
    fn only_the_value_that_was_selected_is_an_answer() {
        assert!(is_one(b"1\n"));
        assert!(!is_one(b""));
        assert!(!is_one(b"10\n"));
        assert!(!is_one(b"(1 row)\n"));
    }

    #[test]
    fn folders_of_programs_are_known_by_their_version() {
        let folder = std::env::temp_dir().join(format!("boards-storage-versions-{}", std::process::id()));
        for name in ["9", "15", "common"] {
            std::fs::create_dir_all(folder.join(name)).unwrap();
        }
        let mut found = versions(&folder);
        found.sort_unstable();
        std::fs::remove_dir_all(&folder).unwrap();
        assert_eq!(found, [(9, folder.join("9/bin")), (15, folder.join("15/bin"))]);
        assert_eq!(versions(&folder), []);
    }
}

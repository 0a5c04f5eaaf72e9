//! Help and completions.

use std::io::Write;
use std::process::{Command, Stdio};

use crate::support::Place;

const COMMANDS: [&str; 42] = [
    "",
    "put",
    "get",
    "cat",
    "ls",
    "info",
    "url",
    "rm",
    "deleted",
    "restore",
    "reap",
    "quota",
    "quota show",
    "quota set",
    "quota clear",
    "history",
    "route",
    "route explain",
    "providers",
    "config",
    "config show",
    "config check",
    "config schema",
    "doctor",
    "health",
    "audit",
    "audit verify",
    "audit tail",
    "audit query",
    "stats",
    "scan",
    "rescan",
    "quarantine",
    "quarantine ls",
    "quarantine release",
    "quarantine rm",
    "keys",
    "keys generate",
    "keys list",
    "keys rotate",
    "keys rewrap",
    "keys shred",
];

#[test]
fn every_command_has_help_that_is_finished() {
    let place = Place::new();
    for command in COMMANDS.into_iter().chain(["completions"]) {
        for flag in ["--help", "-h"] {
            let said = place.run(&format!("{command} {flag}")).ok();
            let usage = format!("Usage: boards-storage {command}");
            let said = said.says(&[usage.trim_end(), "Global options:", "--config <FILE>", "--json"]);
            assert_eq!(said.err, "");
            for word in ["tbd", "lorem", "unimplemented"] {
                assert!(
                    !said.out.to_lowercase().contains(&word.to_lowercase()),
                    "{word} in the help of {command}"
                );
            }
            for line in said.out.lines() {
                let is_bare =
                    line.trim_start().starts_with("--") && !line.trim().contains("  ") && flag == "-h";
                assert!(
                    !is_bare,
                    "an option without a description in the help of '{command}': {line}"
                );
                assert!(line.chars().count() <= 100, "{command}: {line}");
            }
        }
    }
    assert!(place.names().is_empty(), "help makes nothing");
}

#[test]
fn the_exit_codes_are_in_the_help() {
    let help = Place::new().run("--help").ok().out;
    for code in (0..=13).chain([130]) {
        assert!(
            help.lines()
                .any(|line| line.trim_start().starts_with(&format!("{code}  "))),
            "{code}"
        );
    }
}

#[test]
fn the_version_is_told() {
    let said = Place::new().run("--version").ok();
    assert_eq!(
        said.out,
        format!("boards-storage {}\n", env!("CARGO_PKG_VERSION"))
    );
}

#[test]
fn completions_are_scripts_that_shells_can_read() {
    let place = Place::new();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        place
            .run(&format!("completions {shell}"))
            .ok()
            .says(&["boards-storage", "put", "content-type"]);
    }
    place.run("completions csh").code(2).complains(&["bash"]);
    let script = place.run("completions bash").ok().bytes;
    let mut bash = Command::new("bash")
        .arg("-n")
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("bash");
    bash.stdin
        .take()
        .expect("piped")
        .write_all(&script)
        .expect("taken");
    let output = bash.wait_with_output().expect("ended");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

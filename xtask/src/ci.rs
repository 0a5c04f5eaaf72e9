//! `cargo xtask ci`: everything that a change must pass, in one run.
//!
//! The first step that fails stops the run with its name. The closing line of the tests is the last line of a
//! run that passed, and of one that the tests failed; a run that failed elsewhere has no closing line.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use crate::example::{self, Profile};
use crate::report::{self, Row};
use crate::services::Choice;
use crate::tally::Tally;
use crate::test::{Runner, TestOptions};
use crate::workspace::{Workspace, crates};
use crate::{docs, install, process, test, tidy};

type Step = fn(&Workspace, &mut Findings) -> Result<()>;

const STEPS: &[(&str, Step)] = &[
    ("format", format),
    ("tidy", |workspace, _| tidy::run(workspace)),
    ("clippy", clippy),
    ("clippy, failpoints", clippy_failpoints),
    ("test", tests),
    ("docs", |workspace, _| docs::run(workspace)),
    ("features", features),
    ("deny", deny),
];

/// The feature that compiles failpoints in, in the crates that have it.
const FAILPOINTS: &str = "failpoints";

/// How long fetching the advisory database may take.
const ADVISORY_FETCH_TIME_MAX: Duration = Duration::from_secs(60);

/// What steps leave for the summary.
#[derive(Debug, Default)]
struct Findings {
    /// Set by the tests.
    tally: Option<Tally>,
    /// What was not checked, and why: said where it happens and again at the end.
    gaps: Vec<String>,
}

impl Findings {
    fn gap(&mut self, what: &str) {
        eprintln!("{what}");
        self.gaps.push(what.to_owned());
    }
}

/// Runs the steps, prints the summary, closes with the counts of the tests.
pub(crate) fn main(workspace: &Workspace) -> Result<ExitCode> {
    let mut findings = Findings::default();
    let mut rows = Vec::new();
    let mut failure = None;
    for (name, run) in STEPS {
        let row = |outcome: String, duration| Row {
            name: (*name).to_owned(),
            outcome,
            duration,
        };
        if failure.is_some() {
            rows.push(row("not run".to_owned(), Duration::ZERO));
            continue;
        }
        report::print_heading(name);
        let gaps = findings.gaps.len();
        let started = Instant::now();
        let result = run(workspace, &mut findings);
        let duration = started.elapsed();
        let outcome = match &result {
            Err(_) => "FAILED",
            Ok(()) if findings.gaps.len() > gaps => "ok, NOT ALL RUN",
            Ok(()) => "ok",
        };
        println!("-- {name}: {outcome} in {:.1} s", duration.as_secs_f64());
        rows.push(row(outcome.to_owned(), duration));
        failure = result
            .err()
            .map(|error| error.context(format!("step `{name}` failed")));
    }
    report::print_table("summary", &rows);
    if let Some(tally) = &findings.tally {
        println!("  the tests: {}", tally.cell());
    }
    for gap in &findings.gaps {
        println!("  {gap}");
    }
    match (failure, findings.tally) {
        (None, Some(tally)) => Ok(tally.close()),
        (Some(error), Some(tally)) if tally.failed > 0 => {
            eprintln!("error: {error:#}");
            Ok(tally.close())
        }
        (Some(error), _) => Err(error),
        (None, None) => bail!("all steps passed but no test ran: expected the step `test` among them"),
    }
}

fn format(workspace: &Workspace, _: &mut Findings) -> Result<()> {
    install::component("fmt", "rustfmt")?;
    process::run(&mut workspace.cargo(&["fmt", "--all", "--check"]))?;
    let examples = example::FOLDERS.map(|folder| workspace.root().join(folder));
    for example in examples.into_iter().filter(|example| example.exists()) {
        process::run(process::command("cargo", &["fmt", "--check"]).current_dir(example))?;
    }
    Ok(())
}

fn clippy(workspace: &Workspace, _: &mut Findings) -> Result<()> {
    install::component("clippy", "clippy")?;
    let arguments = ["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"];
    process::run(&mut workspace.cargo(&arguments))?;
    // The other examples need Arrow and OpenTelemetry, which `cargo xtask prove` builds for them.
    let arguments = ["clippy", "--all-targets"];
    let command = example::cargo(workspace, example::CUSTOM_PROVIDER, &arguments, Profile::Dev);
    if let Some(mut command) = command {
        process::run(command.args(["--", "-D", "warnings"]))?;
    }
    Ok(())
}

fn clippy_failpoints(workspace: &Workspace, _: &mut Findings) -> Result<()> {
    let packages = workspace.packages();
    let with_failpoints = packages
        .iter()
        .filter(|package| package.features.contains_key(FAILPOINTS));
    let features: Vec<_> = with_failpoints
        .map(|package| format!("{}/{FAILPOINTS}", package.name))
        .collect();
    let features = features.join(",");
    let arguments = [
        "clippy",
        "--workspace",
        "--all-targets",
        "--features",
        &features,
        "--",
        "-D",
        "warnings",
    ];
    process::run(&mut workspace.cargo(&arguments))
}

fn tests(workspace: &Workspace, findings: &mut Findings) -> Result<()> {
    let options = TestOptions {
        runner: Runner::installed(),
        services: Choice::default(),
        args: Vec::new(),
    };
    let tally = test::run(workspace, &options)?;
    let failed = tally.failed;
    findings.tally = Some(tally);
    if failed > 0 {
        bail!("{failed} failed or could not run: see the output above, or run `cargo xtask test`");
    }
    Ok(())
}

/// Compiles the umbrella with each of its features alone, and with none; a warning is an error.
fn features(workspace: &Workspace, _: &mut Findings) -> Result<()> {
    let umbrella = workspace.package(crates::UMBRELLA)?;
    let names = umbrella
        .features
        .keys()
        .map(String::as_str)
        .filter(|name| *name != "default");
    for features in std::iter::once("").chain(names) {
        let name = umbrella.name.as_str();
        let arguments = [
            "clippy",
            "--package",
            name,
            "--no-default-features",
            "--features",
            features,
        ];
        let arguments = [&arguments[..], &["--", "-D", "warnings"]].concat();
        process::run(&mut workspace.cargo(&arguments))?;
    }
    Ok(())
}

fn deny(workspace: &Workspace, findings: &mut Findings) -> Result<()> {
    if !install::has_cargo_subcommand("deny") {
        findings.gap("CARGO-DENY IS NOT INSTALLED: BANS, LICENCES, SOURCES AND ADVISORIES WERE NOT CHECKED");
        return Ok(());
    }
    process::run(&mut workspace.cargo(&["deny", "check", "bans", "licenses", "sources"]))?;
    let mut fetch = workspace.cargo(&["deny", "fetch", "db"]);
    fetch.env("GIT_TERMINAL_PROMPT", "0");
    if !process::succeeds_within(&mut fetch, ADVISORY_FETCH_TIME_MAX)? {
        findings.gap("THE ADVISORY DATABASE IS NOT IN REACH: ADVISORIES WERE NOT CHECKED");
        return Ok(());
    }
    process::run(&mut workspace.cargo(&["deny", "check", "advisories"]))
}

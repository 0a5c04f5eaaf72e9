//! How tests are started: cargo-nextest or `cargo test`, over the workspace, the gated targets, or the docs.

use std::collections::BTreeSet;
use std::fmt;
use std::path::Path;
use std::process::{Command, ExitStatus};

use anyhow::{Context as _, Result, bail};

use super::harness::{self, Echo, LibtestReader, NextestReader};
use super::suites;
use crate::install;
use crate::process::{self, Output};
use crate::tally::{Skipped, Tally};
use crate::workspace::{Workspace, is_gated, test_targets};

/// The program that runs the tests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Runner {
    Nextest,
    CargoTest,
}

impl Runner {
    /// Nextest where it is installed, `cargo test` elsewhere.
    pub(crate) fn installed() -> Self {
        if install::has_cargo_subcommand("nextest") {
            Self::Nextest
        } else {
            Self::CargoTest
        }
    }

    /// Nextest, or an error that says how to get it.
    pub(crate) fn nextest() -> Result<Self> {
        match Self::installed() {
            Self::Nextest => Ok(Self::Nextest),
            Self::CargoTest => {
                bail!(
                    "cargo-nextest is not installed: run `cargo install cargo-nextest --locked`, or leave out --nextest"
                )
            }
        }
    }

    /// Runs the tests of all members, or those that `args` choose.
    pub(crate) fn workspace_tests(self, workspace: &Workspace, args: &[String]) -> Result<Tally> {
        if args.is_empty() {
            // Doc tests, which `--tests` leaves out, are a suite of their own.
            return match self {
                Self::Nextest => self.run(workspace, &["--workspace"], Ignored::Named),
                Self::CargoTest => self.run(workspace, &["--workspace", "--tests"], Ignored::Named),
            };
        }
        let chosen: Vec<_> = args.iter().map(String::as_str).collect();
        let members: &[&str] = if chosen.iter().any(|arg| is_package_choice(arg)) {
            &[]
        } else {
            &["--workspace"]
        };
        let selection = [members, &chosen].concat();
        match (self, Narrowed::parse(&chosen)) {
            (Self::Nextest, Some(Narrowed { packages, filter })) => {
                let selection = [members, &packages].concat();
                nextest_and_suites(workspace, &selection, filter, Ignored::Uncounted)
            }
            // The flags of a runner mean nothing to a suite.
            (Self::Nextest, None) => some(nextest(workspace, &selection, Ignored::Uncounted)?),
            (Self::CargoTest, _) => self.run(workspace, &selection, Ignored::Uncounted),
        }
    }

    /// Runs the targets that need features. All members are selected, so that dependencies keep theirs and are
    /// not built anew.
    pub(crate) fn gated_tests(self, workspace: &Workspace, gated: &GatedTargets) -> Result<Tally> {
        let features: Vec<_> = gated.features.iter().map(String::as_str).collect();
        let features = features.join(",");
        let mut selection = vec!["--workspace", "--features", &features];
        for target in &gated.targets {
            selection.extend(["--test", target]);
        }
        self.run(workspace, &selection, Ignored::Named)
    }

    fn run(self, workspace: &Workspace, selection: &[&str], ignored: Ignored) -> Result<Tally> {
        match self {
            Self::Nextest => nextest_and_suites(workspace, selection, None, ignored),
            Self::CargoTest => {
                let arguments = [&["test", "--no-fail-fast"], selection].concat();
                cargo_test(&mut workspace.cargo(&arguments))
            }
        }
    }
}

impl fmt::Display for Runner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Nextest => "cargo nextest",
            Self::CargoTest => "cargo test",
        })
    }
}

/// Whether ignored tests are asked for by name: a run that is narrowed by filters leaves most tests out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ignored {
    Named,
    Uncounted,
}

fn is_package_choice(arg: &str) -> bool {
    matches!(arg, "-p" | "--package") || arg.starts_with("--package=") || arg.starts_with("-p=")
}

/// Arguments that choose packages and a part of the names of tests, and nothing else.
#[derive(Debug, PartialEq, Eq)]
struct Narrowed<'a> {
    /// With their flags.
    packages: Vec<&'a str>,
    filter: Option<&'a str>,
}

impl<'a> Narrowed<'a> {
    fn parse(args: &[&'a str]) -> Option<Self> {
        let (mut packages, mut filter) = (Vec::new(), None);
        let mut args = args.iter().copied();
        while let Some(arg) = args.next() {
            if is_package_choice(arg) {
                packages.push(arg);
                if !arg.contains('=') {
                    packages.push(args.next()?);
                }
            } else if arg.starts_with('-') || filter.is_some() {
                return None;
            } else {
                filter = Some(arg);
            }
        }
        Some(Self { packages, filter })
    }
}

/// The test targets that cargo leaves out unless features are on.
#[derive(Debug, Default)]
pub(crate) struct GatedTargets {
    /// Each as `package/feature`.
    features: BTreeSet<String>,
    targets: BTreeSet<String>,
}

/// Finds the gated test targets, if there are any.
pub(crate) fn gated_targets(workspace: &Workspace) -> Option<GatedTargets> {
    let mut gated = GatedTargets::default();
    for package in workspace.packages() {
        for target in test_targets(package).filter(|target| is_gated(package, target)) {
            let features = target.required_features.iter();
            gated
                .features
                .extend(features.map(|feature| format!("{}/{feature}", package.name)));
            gated.targets.insert(target.name.clone());
        }
    }
    (!gated.targets.is_empty()).then_some(gated)
}

/// The features that test targets need, in the form of `--features`; none where there is no such target.
pub(crate) fn gated_features(workspace: &Workspace) -> String {
    let gated = gated_targets(workspace).unwrap_or_default();
    gated.features.into_iter().collect::<Vec<_>>().join(",")
}

/// Runs the examples in the documentation of all members.
pub(crate) fn doc_tests(workspace: &Workspace) -> Result<Tally> {
    cargo_test(&mut workspace.cargo(&["test", "--no-fail-fast", "--workspace", "--doc"]))
}

/// Runs a prepared `cargo test` and counts what its harnesses report.
pub(crate) fn cargo_test(command: &mut Command) -> Result<Tally> {
    let mut reader = LibtestReader::default();
    let status = process::run_reading(command, Output::Standard, |plain, shown| {
        reader.read(plain);
        println!("{shown}");
    })?;
    judge(command, status, reader.finish())
}

/// Runs the suites as one process each, and a process for each test of all else.
fn nextest_and_suites(
    workspace: &Workspace,
    selection: &[&str],
    filter: Option<&str>,
    ignored: Ignored,
) -> Result<Tally> {
    let suites = suites::find(workspace, selection)?;
    let exclusion = suites::exclusion();
    // Filters are met beside the expression.
    let others = ["-E", &exclusion];
    let filters: Vec<_> = filter.into_iter().collect();
    let mut tally = nextest(workspace, &[selection, &others, &filters].concat(), ignored)?;
    for suite in &suites {
        tally.add(suites::run(workspace, suite, filter)?);
    }
    some(tally)
}

/// Refuses a run in which no test was chosen.
fn some(tally: Tally) -> Result<Tally> {
    if tally.passed + tally.failed == 0 && tally.skipped.is_empty() {
        bail!("no test was chosen: check the names of packages and tests");
    }
    Ok(tally)
}

fn nextest(workspace: &Workspace, selection: &[&str], ignored: Ignored) -> Result<Tally> {
    // The output of passed tests is read, not shown: a test that skips itself while it runs says so there.
    let arguments = [
        "nextest",
        "run",
        "--no-fail-fast",
        "--success-output",
        "immediate",
        // All that is chosen may be in suites.
        "--no-tests",
        "pass",
    ];
    let mut command = workspace.cargo(&[&arguments, selection].concat());
    let mut reader = NextestReader::default();
    let status = process::run_reading(&mut command, Output::Error, |plain, shown| {
        if reader.read(plain) == Echo::Show {
            eprintln!("{shown}");
        }
    })?;
    let mut tally = judge(&command, status, reader.finish())?;
    if ignored == Ignored::Named {
        tally.skipped.extend(ignored_by_nextest(workspace, selection)?);
    }
    Ok(tally)
}

/// Refuses a run that reported nothing, and one whose exit code and counts contradict each other.
fn judge(command: &Command, status: ExitStatus, tally: Option<Tally>) -> Result<Tally> {
    let command = process::display(command);
    match tally {
        None => bail!("`{command}` ended with {status} and reported no test result: see its output above"),
        Some(tally) if !status.success() && tally.failed == 0 => {
            bail!("`{command}` ended with {status} but reported no failed test: see its output above")
        }
        Some(tally) if status.success() && tally.failed > 0 => {
            bail!("`{command}` ended with {status} but reported failed tests: see its output above")
        }
        Some(tally) => Ok(tally),
    }
}

/// Asks nextest which tests are ignored, and their binaries why.
fn ignored_by_nextest(workspace: &Workspace, selection: &[&str]) -> Result<Vec<Skipped>> {
    let arguments = [
        "nextest",
        "list",
        "--run-ignored",
        "only",
        "--message-format",
        "json",
    ];
    let listing = process::capture(&mut workspace.cargo(&[&arguments, selection].concat()))?;
    let suites = harness::ignored_suites(&listing).context("could not read the list of nextest")?;
    let mut skipped = Vec::new();
    for suite in suites {
        let reasons = ignore_reasons(&suite.binary, &suite.folder, &suite.tests);
        for name in suite.tests {
            let known = reasons.iter().find(|ignored| ignored.name == name);
            let reason = known.and_then(|ignored| ignored.reason.clone());
            skipped.push(Skipped {
                name: format!("{} {name}", suite.id),
                reason,
            });
        }
    }
    Ok(skipped)
}

/// A harness prints the reason of an ignored test when the test is chosen and not run. One that takes a single
/// filter, as the conformance suites do, gives no reasons here; theirs is in front of the name.
fn ignore_reasons(binary: &Path, folder: &Path, tests: &[String]) -> Vec<Skipped> {
    let mut command = Command::new(binary);
    command.arg("--exact").args(tests).current_dir(folder);
    let output = process::capture(&mut command).unwrap_or_default();
    String::from_utf8_lossy(&output)
        .lines()
        .filter_map(harness::ignored_test)
        .collect()
}

#[cfg(test)]
mod tests {
    use std::process::{Command, ExitStatus};

    use super::{Narrowed, is_package_choice, judge, some};
    use crate::tally::Tally;

    #[track_caller]
    fn check_judged(exit: &str, tally: Option<Tally>, accepted: bool) {
        let status: ExitStatus = Command::new("sh").args(["-c", exit]).status().unwrap();
        assert_eq!(judge(&Command::new("cargo"), status, tally).is_ok(), accepted);
    }

    #[test]
    fn counts_and_exit_code_must_agree() {
        let failed = |failed| {
            Some(Tally {
                passed: 1,
                failed,
                ..Tally::default()
            })
        };
        check_judged("exit 0", failed(0), true);
        check_judged("exit 100", failed(1), true);
        check_judged("exit 101", failed(0), false);
        check_judged("exit 0", failed(1), false);
        check_judged("exit 0", None, false);
    }

    #[track_caller]
    fn check_narrowed(args: &[&str], expected: Option<(&[&str], Option<&str>)>) {
        let narrowed = Narrowed::parse(args);
        let narrowed = narrowed.as_ref();
        let narrowed = narrowed.map(|Narrowed { packages, filter }| (packages.as_slice(), *filter));
        assert_eq!(narrowed, expected, "{args:?}");
    }

    #[test]
    fn packages_and_one_part_of_a_name_are_told_from_flags() {
        check_narrowed(&["retry"], Some((&[], Some("retry"))));
        check_narrowed(&["-p", "xtask"], Some((&["-p", "xtask"], None)));
        check_narrowed(
            &["--package=xtask", "tally", "-p", "core"],
            Some((&["--package=xtask", "-p", "core"], Some("tally"))),
        );
        check_narrowed(&["-p"], None);
        check_narrowed(&["one", "two"], None);
        check_narrowed(&["-E", "test(x)"], None);
        check_narrowed(&["--test", "live"], None);
    }

    #[test]
    fn a_run_of_no_test_is_refused() {
        assert!(some(Tally::default()).is_err());
        assert!(some(Tally::passed_once()).is_ok());
        assert!(some(Tally::skipped_once("kill", "no strace")).is_ok());
    }

    #[test]
    fn a_package_choice_replaces_the_whole_workspace() {
        assert!(is_package_choice("-p"));
        assert!(is_package_choice("--package=xtask"));
        assert!(!is_package_choice("retry"));
    }
}

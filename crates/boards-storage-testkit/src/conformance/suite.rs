//! The suite of one provider: which tests apply, how they are run, and what is told at the end.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use boards_storage_core::{BoxFuture, Capability, OperationKind, PreconditionKind, Result};
use libtest_mimic::{Arguments, Failed, Trial};
use parking_lot::Mutex;

use super::case::Case;
use super::fixture::{Fixture, FixtureFactory};
use super::need::{Facts, precondition_name};
use super::{TESTS, Test};
use crate::run::{block_on, tell};

/// The conformance suite of one provider.
///
/// See the [module](super) for an example.
#[derive(Clone)]
pub struct Suite {
    name: Arc<str>,
    factory: FixtureFactory,
    capabilities: Vec<Capability>,
    preconditions: Vec<(OperationKind, PreconditionKind)>,
    time_limit: Duration,
    /// The beginnings of the names of tests that do not run, and why.
    left_out: Vec<(&'static str, &'static str)>,
}

/// How a test ended, by the name of a need.
type Tally = Arc<Mutex<BTreeMap<String, Counts>>>;

#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    passed: usize,
    failed: usize,
    skipped: usize,
}

impl Suite {
    /// Creates the suite of the provider that `factory` opens. The name stands before the names of all tests.
    ///
    /// The factory is called once for each test, and once to ask for the capabilities. Several fixtures may live at
    /// the same time.
    pub fn new<F>(name: impl Into<Arc<str>>, factory: F) -> Self
    where
        F: Fn() -> BoxFuture<'static, Result<Fixture>> + Send + Sync + 'static,
    {
        Self {
            name: name.into(),
            factory: Arc::new(factory),
            capabilities: Vec::new(),
            preconditions: Vec::new(),
            time_limit: Duration::from_mins(2),
            left_out: Vec::new(),
        }
    }

    /// Pins capabilities: without one of them the suite fails.
    #[must_use]
    pub fn requires(mut self, capabilities: &[Capability]) -> Self {
        self.capabilities.extend_from_slice(capabilities);
        self
    }

    /// Pins a precondition: without it the suite fails.
    #[must_use]
    pub fn requires_precondition(mut self, operation: OperationKind, precondition: PreconditionKind) -> Self {
        self.preconditions.push((operation, precondition));
        self
    }

    /// Sets how long one test may take; two minutes by default.
    #[must_use]
    pub fn with_time_limit(mut self, time_limit: Duration) -> Self {
        self.time_limit = time_limit;
        self
    }

    /// Leaves out the tests whose names begin so, since the server that is at hand answers wrongly there. They are
    /// listed as ignored, with the reason in brackets, which says what the server does.
    ///
    /// # Panics
    ///
    /// If no test's name begins so.
    #[must_use]
    pub fn leaves_out(mut self, beginning: &'static str, reason: &'static str) -> Self {
        assert!(
            all_tests().any(|test| test.name.starts_with(beginning)),
            "no test's name begins with '{beginning}'"
        );
        self.left_out.push((beginning, reason));
        self
    }

    /// Returns the tests, for those who run them with a harness of their own.
    #[must_use]
    pub fn trials(&self) -> Vec<Trial> {
        self.counted_trials(&Tally::default())
    }

    /// Runs one test, named as by [`names`] or `pins::…`, apart from any harness.
    ///
    /// # Errors
    ///
    /// Why the test fails, or that it needs something that is not there, or that there is no such test.
    pub fn check(&self, name: &str) -> Result<(), String> {
        if let Some(pin) = name.strip_prefix("pins::") {
            let facts = self.facts()?;
            return match self
                .pins(Some(&facts))
                .into_iter()
                .find(|(known, _)| known == pin)
            {
                Some((pin, holds)) => check_pin(&pin, holds),
                None => Err(format!("'{pin}' is not pinned")),
            };
        }
        let test = all_tests()
            .find(|test| test.name == name)
            .ok_or_else(|| format!("there is no test '{name}'"))?;
        self.check_test(test)
    }

    fn check_test(&self, test: &'static Test) -> Result<(), String> {
        let factory = Arc::clone(&self.factory);
        block_on(test.name, self.time_limit, async move {
            let fixture = factory()
                .await
                .map_err(|error| format!("the fixture could not be opened: {}", tell(&error)))?;
            let facts = Facts::of(&fixture);
            if let Some(need) = test.needs.iter().find(|need| !need.is_met(&facts)) {
                return Err(format!("the test needs {}", need.label()));
            }
            (test.run)(Case::new(fixture)).await.map_err(|error| tell(&error))
        })
    }

    fn facts(&self) -> Result<Facts, String> {
        let factory = Arc::clone(&self.factory);
        block_on("facts", self.time_limit, async move {
            let fixture = factory()
                .await
                .map_err(|error| format!("the fixture could not be opened: {}", tell(&error)))?;
            Ok(Facts::of(&fixture))
        })
    }

    fn counted_trials(&self, tally: &Tally) -> Vec<Trial> {
        // A fixture that cannot be opened skips nothing: each test tells why.
        let facts = self.facts().ok();
        let pins = self.pins(facts.as_ref()).into_iter().map(|(pin, holds)| {
            let tally = Arc::clone(tally);
            Trial::test(format!("{}::pins::{pin}", self.name), move || {
                let outcome = check_pin(&pin, holds);
                count(&tally, &[pin], outcome.is_ok());
                outcome.map_err(Failed::from)
            })
        });
        let tests = all_tests().map(|test| self.trial(test, facts.as_ref(), tally));
        pins.chain(tests).collect()
    }

    fn trial(&self, test: &'static Test, facts: Option<&Facts>, tally: &Tally) -> Trial {
        let unmet = facts.and_then(|facts| test.needs.iter().find(|need| !need.is_met(facts)));
        let name = format!("{}::{}", self.name, test.name);
        let reason = self
            .left_out
            .iter()
            .find(|(beginning, _)| test.name.starts_with(beginning));
        if let (Some((_, reason)), None) = (reason, unmet) {
            let row = format!("(not proven: {reason})");
            tally.lock().entry(row).or_default().skipped += 1;
            return Trial::test(name, || Ok(()))
                .with_ignored_flag(true)
                .with_kind(format!("not proven on this server: {reason}"));
        }
        if let Some(need) = unmet {
            tally.lock().entry(need.row()).or_default().skipped += 1;
        }
        let suite = self.clone();
        let counted = Arc::clone(tally);
        let trial = Trial::test(name, move || {
            let outcome = suite.check_test(test);
            let mut rows: Vec<_> = test.needs.iter().map(|need| need.row()).collect();
            if rows.is_empty() {
                rows.push("(every provider)".to_owned());
            }
            count(&counted, &rows, outcome.is_ok());
            outcome.map_err(Failed::from)
        });
        match unmet {
            Some(need) => trial
                .with_ignored_flag(true)
                .with_kind(format!("needs {}", need.label())),
            None => trial,
        }
    }

    /// Returns the names of what is pinned and whether it is there; nothing is, where the fixture cannot be opened.
    fn pins(&self, facts: Option<&Facts>) -> Vec<(String, bool)> {
        let capabilities = self.capabilities.iter().map(|capability| {
            (
                capability.name().to_owned(),
                facts.is_some_and(|facts| facts.capabilities.has(*capability)),
            )
        });
        let preconditions = self.preconditions.iter().map(|(operation, kind)| {
            let holds = facts.is_some_and(|facts| facts.capabilities.has_precondition(*operation, *kind));
            (precondition_name(*operation, *kind), holds)
        });
        capabilities.chain(preconditions).collect()
    }
}

impl fmt::Debug for Suite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Suite")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// Returns the names of all tests, without the name of a suite and without pins.
#[must_use]
pub fn names() -> Vec<&'static str> {
    all_tests().map(|test| test.name).collect()
}

/// Runs a suite as the program's arguments say, as `cargo test` and `cargo nextest` give them, and ends the program.
pub fn run(suite: Suite) -> ! {
    run_all([suite])
}

/// Runs several suites as one program; see [`run`].
pub fn run_all(suites: impl IntoIterator<Item = Suite>) -> ! {
    let arguments = Arguments::from_args();
    let mut trials = Vec::new();
    let mut tallies = Vec::new();
    for suite in suites {
        let tally = Tally::default();
        trials.extend(suite.counted_trials(&tally));
        tallies.push((suite.name, tally));
    }
    let conclusion = libtest_mimic::run(&arguments, trials);
    let is_alone = conclusion.num_passed + conclusion.num_failed <= 1;
    if !arguments.list && !is_alone {
        for (name, tally) in tallies {
            let tally = tally.lock();
            // A filter may have left a suite out.
            if tally.values().any(|counts| counts.passed + counts.failed > 0) {
                print_table(&name, &tally);
            }
        }
    }
    conclusion.exit()
}

fn all_tests() -> impl Iterator<Item = &'static Test> {
    TESTS.iter().copied().flatten()
}

fn check_pin(pin: &str, holds: bool) -> Result<(), String> {
    if holds {
        return Ok(());
    }
    Err(format!(
        "the suite requires '{pin}', but the provider does not declare it"
    ))
}

fn count(tally: &Tally, rows: &[String], is_passed: bool) {
    let mut tally = tally.lock();
    for row in rows {
        let counts = tally.entry(row.clone()).or_default();
        if is_passed {
            counts.passed += 1
        } else {
            counts.failed += 1
        }
    }
}

#[expect(clippy::print_stdout, reason = "a test program's report")]
fn print_table(suite: &str, tally: &BTreeMap<String, Counts>) {
    println!("conformance of {suite}, by what the tests need (a test may need several things)");
    println!("{:40} {:>7} {:>7} {:>7}", "", "passed", "failed", "skipped");
    for (row, counts) in tally {
        println!(
            "{row:40} {:>7} {:>7} {:>7}",
            counts.passed, counts.failed, counts.skipped
        );
    }
    println!();
}

//! The servers of one run: which are chosen, which were started for it, what their tests read, what is left out.

use std::fs::File;

use anyhow::{Context as _, Result};

use super::place::{self, Place};
use super::{Environment, SERVICES, Service, WITHOUT, Weight, find};
use crate::workspace::Workspace;

/// Which servers a run needs.
#[derive(Debug, Default, Clone, clap::Args)]
pub(crate) struct Choice {
    /// Leaves a server out, and with it what is tested by it; may be given several times.
    #[arg(long, value_name = "NAME")]
    pub(crate) without: Vec<String>,
    /// Adds the servers that take minutes to install.
    #[arg(long)]
    pub(crate) full: bool,
}

impl Choice {
    /// Only the servers with these names.
    pub(crate) fn only(names: &[&str]) -> Self {
        let others = SERVICES.iter().filter(|service| !names.contains(&service.name));
        Self {
            without: others.map(|service| service.name.to_owned()).collect(),
            full: true,
        }
    }

    fn plan(&self, service: &Service) -> Plan {
        if self.without.iter().any(|name| name == service.name) {
            Plan::LeftOut("by --without")
        } else if service.is_replaced() {
            Plan::Replaced
        } else if service.weight == Weight::Heavy && !self.full {
            Plan::LeftOut("without --full")
        } else {
            Plan::Needed
        }
    }
}

/// What becomes of one server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Plan {
    Needed,
    /// The user's environment names another one.
    Replaced,
    LeftOut(&'static str),
}

/// Servers that run.
#[derive(Debug)]
#[must_use]
pub(crate) struct Session {
    environment: Environment,
    started: Vec<&'static Service>,
    /// What is not tested, and why.
    gaps: Vec<String>,
    notes: Vec<String>,
}

impl Session {
    /// Starts the chosen servers that do not run. If one cannot be started, those started here are ended again.
    pub(crate) fn open(workspace: &Workspace, choice: &Choice) -> Result<Self> {
        for name in &choice.without {
            find(name)?;
        }
        let _alone: File = place::lock(workspace)?;
        let mut session = Self {
            environment: Vec::new(),
            started: Vec::new(),
            gaps: Vec::new(),
            notes: Vec::new(),
        };
        let mut left_out = Vec::new();
        for service in SERVICES {
            let Service { name, tests, .. } = service;
            match choice.plan(service) {
                Plan::LeftOut(why) => {
                    left_out.push(*name);
                    let gap = format!("NOT TESTED: {} ({name} is left out {why})", tests.to_uppercase());
                    session.gaps.push(gap);
                }
                Plan::Replaced => {
                    let note = format!("{tests}: on the server that the environment names");
                    session.notes.push(note);
                }
                Plan::Needed => match service.up(workspace) {
                    Ok((state, is_new)) => {
                        let unproven = service.unproven.iter();
                        session
                            .gaps
                            .extend(unproven.map(|what| format!("NOT PROVEN ON A SERVER: {name}: {what}")));
                        session.environment.extend(state.environment);
                        session.started.extend(is_new.then_some(service));
                    }
                    Err(error) => {
                        session.end_started(workspace)?;
                        let help = format!("the tests need {name} (`--without {name}` leaves them out)");
                        return Err(error.context(help));
                    }
                },
            }
        }
        if !left_out.is_empty() {
            session.environment.push((WITHOUT.to_owned(), left_out.join(",")));
        }
        Ok(session)
    }

    /// What the tests read.
    pub(crate) fn environment(&self) -> &Environment {
        &self.environment
    }

    /// Says what is not tested, and what is tested elsewhere.
    pub(crate) fn print_gaps(&self) {
        for line in self.notes.iter().chain(&self.gaps) {
            println!("{line}");
        }
    }

    /// Lets the servers run on, and returns what the tests read.
    pub(super) fn keep(self) -> Environment {
        self.environment
    }

    /// Ends the servers that were started for this run.
    pub(crate) fn close(self, workspace: &Workspace) -> Result<()> {
        let _alone = place::lock(workspace)?;
        self.end_started(workspace)
    }

    fn end_started(&self, workspace: &Workspace) -> Result<()> {
        for service in self.started.iter().rev() {
            let place = Place::of(workspace, service.name)?;
            service.down(workspace).with_context(|| {
                format!("{} cannot be ended: see {}", service.name, place.logs().display())
            })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{Choice, Plan};
    use crate::services::{SERVICES, Weight};

    #[test]
    fn a_choice_of_names_leaves_all_others_out() {
        let only = Choice::only(&["ceph"]);
        for service in SERVICES.iter().filter(|service| !service.is_replaced()) {
            let is_needed = only.plan(service) == Plan::Needed;
            assert_eq!(is_needed, service.name == "ceph", "{}", service.name);
        }
    }

    #[test]
    fn light_servers_are_needed_unless_left_out_and_heavy_ones_are_asked_for() {
        let choice = |without: &[&str], full| Choice {
            without: without.iter().map(|name| (*name).to_owned()).collect(),
            full,
        };
        // Where the environment names other servers, nothing is to be seen here.
        for service in SERVICES.iter().filter(|service| !service.is_replaced()) {
            let is_light = service.weight == Weight::Light;
            assert_eq!(choice(&[], false).plan(service) == Plan::Needed, is_light);
            assert_eq!(choice(&[], true).plan(service), Plan::Needed);
            assert!(matches!(
                choice(&[service.name], true).plan(service),
                Plan::LeftOut(_)
            ));
        }
    }
}

//! Placement: which provider takes a write, and which stands in when it cannot.
//!
//! Each provider name has its own stack. What a stand-in must not hold, it is never asked to: see
//! [`Protection::shortfall`]. The order is the list's; the first that takes the write has it, and the record says so.

use std::collections::VecDeque;

use super::StorageManager;
use super::attributes::check_served;
use super::inspect::Inspection;
use crate::content::Content;
use crate::error::{Error, ErrorKind, Result};
use crate::metadata::ObjectAttributes;
use crate::options::{AccessClass, CallContext};
use crate::protection::{EncryptionDemand, Protection, Shortfall};
use crate::provider::SharedProvider;
use crate::routing::Route;

impl StorageManager {
    /// Says how a provider protects what it holds: what it declares, and what the settings add.
    ///
    /// # Errors
    ///
    /// `Configuration` if there is no such provider.
    pub fn protection(&self, provider: &str) -> Result<Protection> {
        let own = self.provider(provider)?.capabilities().protection;
        Ok(match self.inner.settings.protections.get(provider) {
            Some(settings) => own.overridden_by(settings),
            None => own,
        })
    }

    /// Checks every route against the providers that are registered: that they are there, that a fallback list names
    /// none twice, and that the provider of a rule that demands encryption declares it.
    ///
    /// # Errors
    ///
    /// `Configuration` that names the route.
    pub fn check_routes(&self) -> Result<()> {
        for route in self.inner.router.routes() {
            let place = match route.rule {
                Some(rule) => format!("routing_rules[{rule}]"),
                None => "the default provider".to_owned(),
            };
            let named = |error: Error| {
                Error::configuration(format!("{place}: {}", error.message()))
                    .with_help("name registered providers, or register it")
                    .with_source(error)
            };
            for name in route.providers() {
                self.provider(name).map_err(named)?;
            }
            let mut names: Vec<_> = route.fallback.iter().collect();
            names.sort_unstable();
            if let Some(twice) = names.windows(2).find(|pair| pair[0] == pair[1]) {
                return Err(Error::configuration(format!(
                    "{place}: the fallback '{}' is listed twice",
                    twice[0]
                )));
            }
            self.check_home(&route)?;
        }
        Ok(())
    }

    /// Checks that the provider that a route means may hold what it sends there.
    fn check_home(&self, route: &Route<'_>) -> Result<()> {
        let protection = self.protection(route.provider)?;
        // Where private artifacts go is the route's own word; encryption is a demand on top of it.
        match protection.shortfall(AccessClass::Public, route.encryption) {
            Some(Shortfall::NotEncrypted) => Err(Error::configuration(format!(
                "the routing rule demands encryption at rest, and its provider '{}' does not declare it",
                route.provider
            ))
            .with_provider(route.provider)
            .with_help("choose a provider that encrypts, or say `protection: {encrypted: true}` of it")),
            Some(Shortfall::Public | Shortfall::ReachUndeclared) | None => Ok(()),
        }
    }

    /// Returns the providers of a route for an artifact of this access class and with these attributes.
    pub(super) fn places(
        &self,
        route: &Route<'_>,
        access: AccessClass,
        attributes: &ObjectAttributes,
    ) -> Result<Places> {
        self.check_home(route)?;
        let home = self.provider(route.provider)?;
        check_served(home.capabilities(), access, attributes)?;
        let mut places = Places::only(route.provider);
        for name in route.providers().skip(1) {
            let stand_in = self
                .stand_in(name, access, route.encryption)
                .and_then(|provider| {
                    check_served(provider.capabilities(), access, attributes)
                        .map(|()| provider)
                        .map_err(|error| error.message().to_owned())
                });
            match stand_in {
                Ok(provider) => places.waiting.push_back((name.to_owned(), provider)),
                Err(why) => places.passed_over.push((name.to_owned(), why)),
            }
        }
        Ok(places)
    }

    fn stand_in(
        &self,
        name: &str,
        access: AccessClass,
        demand: EncryptionDemand,
    ) -> Result<SharedProvider, String> {
        let missing = |error: Error| error.message().to_owned();
        let protection = self.protection(name).map_err(missing)?;
        match protection.shortfall(access, demand) {
            Some(shortfall) => Err(shortfall.to_string()),
            None => self.provider(name).map_err(missing),
        }
    }
}

/// The providers that may take one write, and what came of those that were tried.
#[derive(Debug)]
pub(super) struct Places {
    pub(super) home: String,
    waiting: VecDeque<(String, SharedProvider)>,
    /// Who must not take it, and why.
    passed_over: Vec<(String, String)>,
    failures: Failures,
}

impl Places {
    /// A write that stays where it began.
    pub(super) fn only(home: &str) -> Self {
        Self {
            home: home.to_owned(),
            waiting: VecDeque::new(),
            passed_over: Vec::new(),
            failures: Failures::default(),
        }
    }

    /// Notes a failed try, and returns the provider to try next.
    ///
    /// # Errors
    ///
    /// What to answer the caller if there is none, or if it would not help.
    pub(super) fn after(
        &mut self,
        provider: &str,
        error: Error,
        content: &Content,
        inspection: &Inspection,
        context: &CallContext,
    ) -> Result<(String, SharedProvider)> {
        let is_first = self.failures.is_empty();
        // A stand-in was never meant for this artifact: whatever it says, the next one may say otherwise.
        let may_move = (!is_first || is_outage(error.kind())) && !inspection.has_failed();
        let is_spent = !content.can_replay();
        let is_late = context.remaining().is_some_and(|left| left.is_zero());
        self.failures.note(provider, error);
        match self.waiting.pop_front() {
            Some(next) if may_move && !is_spent && !is_late => Ok(next),
            Some(_) if may_move && is_spent => Err(self.sum_up(Some(HELP_SPENT))),
            Some(_) | None => Err(self.sum_up(None)),
        }
    }

    /// Ends the tries because of something else.
    pub(super) fn give_up(&mut self, what: &str, error: Error) -> Error {
        self.failures.note(what, error);
        self.sum_up(None)
    }

    fn sum_up(&mut self, help: Option<&'static str>) -> Error {
        let passed_over = self
            .passed_over
            .iter()
            .map(|(name, why)| format!("'{name}' was passed over: {why}"));
        let passed_over: Vec<String> = passed_over.collect();
        let was_outage = self.failures.first_kind().is_some_and(is_outage);
        let notes = if was_outage { passed_over.as_slice() } else { &[] };
        let error = std::mem::take(&mut self.failures).sum_up("no provider took the write", notes);
        match help {
            Some(help) if error.help().is_none() => error.with_help(help),
            Some(_) | None => error,
        }
    }
}

const HELP_SPENT: &str = "a fallback could not take it, because the content was read from: give bytes, a file or a factory of streams";

/// Says whether a provider that fails so may work elsewhere or later: it is the provider that cannot, not the request
/// that is wrong.
///
/// A full store counts, so that a write finds room elsewhere; so does a write whose outcome nobody knows, since its
/// intent can no longer commit. A store that refuses (`AccessDenied`), or fails in a way of its own (`Storage`), does
/// not: somebody has to look at it.
fn is_outage(kind: ErrorKind) -> bool {
    match kind {
        ErrorKind::ProviderUnavailable
        | ErrorKind::Timeout
        | ErrorKind::RateLimited
        | ErrorKind::InsufficientStorage
        | ErrorKind::OutcomeUnknown => true,
        ErrorKind::Storage
        | ErrorKind::AccessDenied
        | ErrorKind::Corruption
        | ErrorKind::NotFound
        | ErrorKind::AlreadyExists
        | ErrorKind::PreconditionFailed
        | ErrorKind::InvalidInput
        | ErrorKind::Unsupported
        | ErrorKind::Configuration
        | ErrorKind::Rejected => false,
    }
}

/// What each of several providers said.
#[derive(Debug, Default)]
pub(super) struct Failures(Vec<(String, Error)>);

impl Failures {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn note(&mut self, who: &str, error: Error) {
        self.0.push((who.to_owned(), error));
    }

    fn first_kind(&self) -> Option<ErrorKind> {
        self.0.first().map(|(_, error)| error.kind())
    }

    /// Makes one error of all: of the first one's kind, naming each. A single one is answered as it is.
    pub(super) fn sum_up(self, what: &str, notes: &[String]) -> Error {
        let said = self
            .0
            .iter()
            .map(|(who, error)| format!("'{who}' ({}): {}", error.kind(), error.message()));
        let said: Vec<String> = said.chain(notes.iter().cloned()).collect();
        let count = self.0.len() + notes.len();
        let mut errors = self.0.into_iter().map(|(_, error)| error);
        let Some(first) = errors.next() else {
            return Error::new(ErrorKind::Corruption, "the record names no place of its bytes");
        };
        if count == 1 {
            return first;
        }
        let mut error =
            Error::new(first.kind(), format!("{what}: {}", said.join("; "))).with_retry(first.retry());
        if let Some(operation) = first.operation() {
            error = error.with_operation(operation);
        }
        if let Some(help) = first.help() {
            error = error.with_help(help.to_owned());
        }
        error.with_source(first)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Retry;

    #[test]
    fn one_failure_is_answered_as_it_is() {
        let mut failures = Failures::default();
        failures.note(
            "s3",
            Error::new(ErrorKind::Timeout, "too slow").with_provider("s3"),
        );
        assert_eq!(
            failures.sum_up("nobody", &[]).to_string(),
            "provider 's3': too slow"
        );
    }

    #[test]
    fn several_failures_are_all_told_and_the_first_decides() {
        let mut failures = Failures::default();
        let first = Error::new(ErrorKind::ProviderUnavailable, "no answer").with_retry(Retry::Exhausted);
        failures.note("s3", first);
        failures.note(
            "spare",
            Error::new(ErrorKind::InsufficientStorage, "the disk is full"),
        );
        let error = failures.sum_up("nobody took it", &["'pub' was passed over: why".to_owned()]);
        assert_eq!(
            (error.kind(), error.retry()),
            (ErrorKind::ProviderUnavailable, Retry::Exhausted)
        );
        assert_eq!(
            error.to_string(),
            "nobody took it: 's3' (provider_unavailable): no answer; 'spare' (insufficient_storage): the disk is full; \
             'pub' was passed over: why"
        );
    }
}

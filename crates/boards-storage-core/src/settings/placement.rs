//! Placement: which provider may stand in for which. Names are looked at in the tree; what providers protect, once
//! everything else is right.

use std::collections::{BTreeMap, BTreeSet};

use super::model::{RoutingRule, Settings};
use super::problem::{Note, Origin, Problem, ProblemKind};
use super::semantic::{check_provider_name, rules};
use super::tree::{FieldPath, Node, shorten};
use crate::options::AccessClass;
use crate::protection::{EncryptionDemand, Protection, Reach, Shortfall};
use crate::registry::Registry;

/// Checks that each list names other providers, each once.
pub(super) fn check_names(storage: &Node, root: &FieldPath, names: &[&str], problems: &mut Vec<Problem>) {
    let home = storage.field("default_provider");
    check_list(storage, root, home, names, problems);
    for (path, rule) in rules(storage, root) {
        check_list(rule, &path, rule.field("provider"), names, problems);
    }
}

fn check_list(
    holder: &Node,
    path: &FieldPath,
    home: Option<&Node>,
    names: &[&str],
    problems: &mut Vec<Problem>,
) {
    let Some(list) = holder.field("fallback").and_then(Node::as_list) else {
        return;
    };
    let (path, home) = (path.field("fallback"), home.and_then(Node::as_text));
    for (index, node) in list.iter().enumerate() {
        let Some(name) = node.as_text() else { continue };
        let item = path.item(index);
        let first = list.iter().position(|other| other.as_text() == Some(name));
        if Some(name) == home {
            let message = format!(
                "'{}' is the provider itself, which is tried first",
                shorten(name, 60)
            );
            let problem = Problem::new(ProblemKind::Contradiction, item, &node.origin, message);
            problems.push(problem.with_help("leave it out"));
        } else if let Some(first) = first.filter(|first| *first < index) {
            let message = format!(
                "'{}' is listed already, at {}",
                shorten(name, 60),
                path.item(first)
            );
            problems.push(Problem::new(ProblemKind::Duplicate, item, &node.origin, message));
        } else {
            check_provider_name(Some(node), &item, names, problems);
        }
    }
}

/// Checks that each provider of a list may hold what it would take over, as far as settings tell it.
pub(super) fn check_protection(
    settings: &Settings,
    tree: &Node,
    registry: &Registry,
    problems: &mut Vec<Problem>,
    notes: &mut Vec<Note>,
) {
    let known: BTreeMap<&str, Protection> = settings
        .storage
        .providers
        .values()
        // Of a type that is not compiled in nothing is known, and a wrong `config` is told when it is opened.
        .filter(|provider| registry.find(&provider.kind).is_ok())
        .filter_map(|provider| Some((provider.name.as_str(), registry.protection(provider).ok()?)))
        .collect();
    let providers = settings.storage.providers.values();
    let encrypting = providers.filter(|provider| provider.encryption);
    let mut check = Check {
        known,
        encrypting: encrypting.map(|provider| provider.name.as_str()).collect(),
        tree,
        problems,
        notes,
    };
    let storage = FieldPath::of(&["storage"]);
    let global = &settings.storage.fallback;
    check.encryption(settings, &storage);
    // What is meant to be encrypted is not stored in the clear because of an outage.
    let demand = match settings.storage.providers.get(&settings.storage.default_provider) {
        Some(home) if home.encryption => EncryptionDemand::Required,
        Some(_) | None => EncryptionDemand::None,
    };
    check.list(&storage.field("fallback"), global, &AccessClass::ALL, demand);
    for (index, rule) in settings.storage.routing_rules.iter().enumerate() {
        check.rule(&storage.field("routing_rules").item(index), rule, global);
    }
}

struct Check<'c> {
    known: BTreeMap<&'c str, Protection>,
    /// The providers whose content we encrypt.
    encrypting: BTreeSet<&'c str>,
    tree: &'c Node,
    problems: &'c mut Vec<Problem>,
    notes: &'c mut Vec<Note>,
}

impl Check<'_> {
    fn rule(&mut self, path: &FieldPath, rule: &RoutingRule, global: &[String]) {
        let is_encrypting = self.encrypting.contains(rule.provider.as_str());
        let demand = if is_encrypting {
            EncryptionDemand::Required
        } else {
            rule.encryption
        };
        let is_short = |protection: &Protection| {
            protection.shortfall(AccessClass::Public, demand) == Some(Shortfall::NotEncrypted)
        };
        if self.known.get(rule.provider.as_str()).is_some_and(is_short) {
            let message = format!(
                "the rule demands encryption at rest, and its provider '{}' does not declare it",
                rule.provider
            );
            self.contradict(
                &path.field("encryption"),
                message,
                help_for(Shortfall::NotEncrypted),
            );
        }
        let of_condition = rule
            .condition
            .as_ref()
            .and_then(|condition| condition.access.as_ref());
        if is_encrypting
            && of_condition.is_some_and(|classes| classes.as_slice().contains(&AccessClass::Public))
        {
            let message = format!(
                "the rule sends public artifacts to '{0}', and storage.providers.{0}.encryption makes them unreadable by \
                 their URLs",
                rule.provider
            );
            self.contradict(&path.field("condition").field("access"), message, NO_PUBLIC);
        }
        let classes = of_condition.map_or(&AccessClass::ALL[..], |classes| classes.as_slice());
        match &rule.fallback {
            Some(own) => self.list(&path.field("fallback"), own, classes, demand),
            None => self.inherited(path, rule, global, classes),
        }
    }

    /// Checks that what encrypts has keys, and is not meant to be read past us.
    fn encryption(&mut self, settings: &Settings, storage: &FieldPath) {
        let keys = &settings.storage.encryption;
        if keys.keyring.is_some() && keys.keyring_text.is_some() {
            let message =
                "there is a keyring in storage.encryption.keyring and one in storage.encryption.keyring_text";
            let path = storage.field("encryption").field("keyring_text");
            self.contradict(&path, message.to_owned(), "leave one of them out");
        }
        for name in self.encrypting.clone() {
            let path = storage.field("providers").field(name).field("encryption");
            if !keys.has_keyring() {
                let message = format!("'{name}' encrypts, and storage.encryption has no keyring");
                self.contradict(
                    &path,
                    message,
                    "give storage.encryption.keyring; `boards-storage keys generate` makes a key",
                );
            }
            if self
                .known
                .get(name)
                .is_some_and(|known| known.reach == Reach::Public)
            {
                let message = format!(
                    "'{name}' encrypts, and its config or its protection.reach makes its objects public: nobody could \
                     read them by their URLs"
                );
                self.contradict(&path, message, NO_PUBLIC);
            }
        }
    }

    /// Checks a list where it stands: a provider that takes nothing is wrong, one that takes some is worth knowing.
    fn list(&mut self, path: &FieldPath, list: &[String], classes: &[AccessClass], demand: EncryptionDemand) {
        for (index, name) in list.iter().enumerate() {
            let item = path.item(index);
            match self.shortfalls(name, classes, demand) {
                (Some(shortfall), false) => {
                    let message = format!("'{name}' can never take over here: {shortfall}");
                    self.contradict(&item, message, help_for(shortfall));
                }
                (Some(shortfall), true) => self.notes.push(Note {
                    path: item.to_string(),
                    origin: self.origin(&item),
                    message: format!("'{name}' takes over public artifacts only: otherwise {shortfall}"),
                    help: Some(help_for(shortfall).to_owned()),
                }),
                (None, _) => {}
            }
        }
    }

    /// Checks the global list for a rule that has none of its own.
    fn inherited(
        &mut self,
        path: &FieldPath,
        rule: &RoutingRule,
        global: &[String],
        classes: &[AccessClass],
    ) {
        for name in global.iter().filter(|name| **name != rule.provider) {
            if let (Some(shortfall), false) = self.shortfalls(name, classes, rule.encryption) {
                let message = format!("'{name}' of storage.fallback can never take over here: {shortfall}");
                let help = format!("give the rule a fallback list without '{name}'; an empty one forbids it");
                self.contradict(path, message, &help);
            }
        }
    }

    /// Returns why a provider takes less than everything, and whether it takes anything.
    fn shortfalls(
        &self,
        name: &str,
        classes: &[AccessClass],
        demand: EncryptionDemand,
    ) -> (Option<Shortfall>, bool) {
        let Some(protection) = self.known.get(name) else {
            return (None, true);
        };
        let all: Vec<_> = classes
            .iter()
            .map(|access| protection.shortfall(*access, demand))
            .collect();
        (
            all.iter().copied().flatten().next(),
            all.iter().any(Option::is_none),
        )
    }

    fn contradict(&mut self, path: &FieldPath, message: String, help: &str) {
        let problem = Problem::new(ProblemKind::Contradiction, path, &self.origin(path), message);
        self.problems.push(problem.with_help(help.to_owned()));
    }

    fn origin(&self, path: &FieldPath) -> Origin {
        path.nearest_in(self.tree).origin.clone()
    }
}

const NO_PUBLIC: &str = "send public artifacts to a provider without encryption";

fn help_for(shortfall: Shortfall) -> &'static str {
    match shortfall {
        Shortfall::Public | Shortfall::ReachUndeclared => {
            "choose a provider whose objects are private, or say `protection: {reach: private}` of it if they are"
        }
        Shortfall::NotEncrypted => {
            "choose a provider that encrypts, or say `protection: {encrypted: true}` of it if what lies below it does"
        }
    }
}

//! What no schema can say: names that must exist, conditions that exclude each other, rules that are never reached.
//!
//! Everything works on the tree, so that it also speaks about settings that are wrong elsewhere.

use super::duration::FriendlyDuration;
use super::placement;
use super::problem::{Note, Origin, Problem, ProblemKind, list_names, nearest};
use super::resilience::{BreakerSettings, HedgeSettings, RetrySettings};
use super::size::ByteSize;
use super::tree::{FieldPath, Node, Value, shorten};
use super::validation;
use crate::registry::Registry;
use crate::scope::ArtifactType;

/// The shortest key of the audit log.
const AUDIT_KEY_BYTES_MIN: usize = 32;

/// Checks the tree and collects what is worth knowing about it.
pub(super) fn check(tree: &Node, registry: &Registry, problems: &mut Vec<Problem>, notes: &mut Vec<Note>) {
    let Some(storage) = tree.field("storage") else {
        return;
    };
    let root = FieldPath::of(&["storage"]);
    let providers = storage.field("providers").and_then(Node::as_map);
    if let Some(providers) = providers {
        let names: Vec<_> = providers.keys().map(String::as_str).collect();
        check_provider_name(
            storage.field("default_provider"),
            &root.field("default_provider"),
            &names,
            problems,
        );
        for (path, rule) in rules(storage, &root) {
            check_provider_name(rule.field("provider"), &path.field("provider"), &names, problems);
        }
        placement::check_names(storage, &root, &names, problems);
        for (name, entry) in providers {
            let path = root.field("providers").field(name);
            check_provider_type(&entry.node, &path, registry, problems, notes);
            let (own, global) = (entry.node.field("resilience"), storage.field("resilience"));
            check_resilience(own, global, &path.field("resilience"), problems);
        }
    }
    let global = storage.field("resilience");
    check_resilience(global, None, &root.field("resilience"), problems);
    check_audit_keys(storage, &root, problems);
    validation::check(storage, &root, problems);
    note_unreachable_rules(storage, &root, notes);
    for (path, rule) in rules(storage, &root) {
        if let Some(condition) = rule.field("condition") {
            let path = path.field("condition");
            check_sizes(condition, &path, problems);
            note_unusual_types(condition, &path, notes);
        }
    }
}

/// Checks that the keys of the audit log are long enough. They are not shown.
fn check_audit_keys(storage: &Node, root: &FieldPath, problems: &mut Vec<Problem>) {
    let Some(audit) = storage.field("audit") else {
        return;
    };
    let path = root.field("audit");
    let key = audit.field("key").map(|key| (path.field("key"), key));
    let previous = audit
        .field("previous_keys")
        .and_then(Node::as_list)
        .unwrap_or_default();
    let previous = previous
        .iter()
        .enumerate()
        .map(|(index, key)| (path.field("previous_keys").item(index), key));
    for (path, node) in key.into_iter().chain(previous) {
        let Some(text) = node.as_text() else { continue };
        if text.len() < AUDIT_KEY_BYTES_MIN {
            let expected = format!("a key of at least {AUDIT_KEY_BYTES_MIN} bytes");
            let found = format!("one of {}", text.len());
            problems.push(
                Problem::mismatch(ProblemKind::BadValue, &path, &node.origin, expected, found)
                    .with_help("make one with `openssl rand -hex 32`"),
            );
        }
    }
}

pub(super) fn rules<'n>(storage: &'n Node, root: &FieldPath) -> impl Iterator<Item = (FieldPath, &'n Node)> {
    let path = root.field("routing_rules");
    let rules = storage
        .field("routing_rules")
        .and_then(Node::as_list)
        .unwrap_or_default();
    rules
        .iter()
        .enumerate()
        .map(move |(index, rule)| (path.item(index), rule))
}

pub(super) fn check_provider_name(
    node: Option<&Node>,
    path: &FieldPath,
    names: &[&str],
    problems: &mut Vec<Problem>,
) {
    let Some((node, name)) = node.and_then(|node| Some((node, node.as_text()?))) else {
        return;
    };
    if name.is_empty() || names.is_empty() || names.contains(&name) {
        return;
    }
    let expected = format!("the name of a provider ({})", list_names(names.iter().copied()));
    let found = format!("{:?}", shorten(name, 60));
    problems.push(
        Problem::mismatch(ProblemKind::UnknownProvider, path, &node.origin, expected, found)
            .with_nearest(name, names.iter().copied()),
    );
}

fn check_provider_type(
    provider: &Node,
    path: &FieldPath,
    registry: &Registry,
    problems: &mut Vec<Problem>,
    notes: &mut Vec<Note>,
) {
    let Some((node, kind)) = provider
        .field("type")
        .and_then(|node| Some((node, node.as_text()?)))
    else {
        return;
    };
    let path = path.field("type");
    if let Some(how) = registry.how_to_enable(kind) {
        notes.push(Note {
            path: path.to_string(),
            origin: node.origin.clone(),
            message: format!("the provider type '{kind}' is not compiled in, so its config is not checked"),
            help: Some(how.to_owned()),
        });
    } else if !registry.known_kinds().any(|known| known == kind) {
        let help =
            "if a crate of yours provides it, add a `use my_provider as _;` line, or the linker drops it";
        let path = path.to_string();
        let reported = problems
            .iter_mut()
            .find(|problem| problem.path == path && problem.kind == ProblemKind::BadValue);
        if let Some(problem) = reported {
            if problem.nearest.is_none() {
                problem.help = Some(help.to_owned());
            }
        } else {
            // Without any known type the schema has no branches, and has found nothing wrong.
            let found = format!("{:?}", shorten(kind, 60));
            let expected = "a provider type that is compiled in (there is none)";
            problems.push(
                Problem::mismatch(ProblemKind::BadValue, path, &node.origin, expected, found).with_help(help),
            );
        }
    }
}

/// Checks the sections that `own` has; what it leaves out is as in `global`.
fn check_resilience(
    own: Option<&Node>,
    global: Option<&Node>,
    path: &FieldPath,
    problems: &mut Vec<Problem>,
) {
    let mut section = |name: &'static str, check: fn(&Section<'_>) -> Option<(Origin, String)>| {
        let Some(own) = own.and_then(|own| own.field(name)) else {
            return;
        };
        let global = global.and_then(|global| global.field(name));
        let found = check(&Section { own, global });
        problems.extend(found.map(|(origin, message)| {
            Problem::new(ProblemKind::Contradiction, path.field(name), &origin, message)
        }));
    };
    section("retry", |section| {
        let defaults = RetrySettings::default();
        section.check_durations(
            ("delay_initial", defaults.delay_initial),
            ("delay_max", defaults.delay_max),
        )
    });
    section("hedge", |section| {
        let defaults = HedgeSettings::default();
        section.check_durations(
            ("delay_min", defaults.delay_min),
            ("delay_max", defaults.delay_max),
        )
    });
    section("breaker", |section| section.check_breaker());
}

/// One section of the resilience settings, and the one that it overrides.
struct Section<'n> {
    own: &'n Node,
    global: Option<&'n Node>,
}

impl<'n> Section<'n> {
    fn find(&self, name: &str) -> Option<&'n Node> {
        let global = || self.global.and_then(|global| global.field(name));
        self.own.field(name).or_else(global)
    }

    /// Checks that the first of two durations is no longer than the second.
    fn check_durations(
        &self,
        first: (&'static str, FriendlyDuration),
        second: (&'static str, FriendlyDuration),
    ) -> Option<(Origin, String)> {
        let read = |(name, default): (&'static str, FriendlyDuration)| match self.find(name) {
            None => Some((None, default)),
            Some(node) => Some((Some(node), FriendlyDuration::parse(node.as_text()?).ok()?)),
        };
        let ((first_node, shorter), (second_node, longer)) = (read(first)?, read(second)?);
        let node = first_node.or(second_node).filter(|_| shorter > longer)?;
        let message = format!("{} ({shorter}) is longer than {} ({longer})", first.0, second.0);
        Some((node.origin.clone(), message))
    }

    /// Checks that a window of calls can hold the calls that must be in it.
    fn check_breaker(&self) -> Option<(Origin, String)> {
        let defaults = BreakerSettings::default();
        let read = |name: &str, default: u32| match self.find(name) {
            None => Some((None, default)),
            Some(node) => match &node.value {
                Value::Integer(number) => Some((Some(node), u32::try_from(*number).ok()?)),
                _ => None,
            },
        };
        if self
            .find("window")
            .is_some_and(|node| node.as_text() == Some("time"))
        {
            return None;
        }
        let (least_node, least) = read("calls_min", defaults.calls_min)?;
        let (window_node, window) = read("window_calls", defaults.window_calls)?;
        let node = least_node.or(window_node).filter(|_| least > window)?;
        let message =
            format!("calls_min ({least}) is more than window_calls ({window}), so the circuit never opens");
        Some((node.origin.clone(), message))
    }
}

fn is_unconditional(rule: &Node) -> bool {
    match rule.field("condition") {
        None => true,
        Some(condition) => condition
            .as_map()
            .is_some_and(|map| map.values().all(|entry| entry.node.value == Value::Null)),
    }
}

fn note_unreachable_rules(storage: &Node, root: &FieldPath, notes: &mut Vec<Note>) {
    let Some((catch_all, _)) =
        rules(storage, root).find(|(_, rule)| rule.as_map().is_some() && is_unconditional(rule))
    else {
        return;
    };
    let behind = rules(storage, root)
        .skip_while(|(path, _)| path.to_string() != catch_all.to_string())
        .skip(1);
    for (path, rule) in behind {
        notes.push(Note {
            path: path.to_string(),
            origin: rule.origin.clone(),
            message: format!(
                "this rule is never reached: {catch_all} has no condition and matches everything"
            ),
            help: Some("move the rule without a condition to the end".to_owned()),
        });
    }
}

/// Checks that some size can hold all four comparisons.
fn check_sizes(condition: &Node, path: &FieldPath, problems: &mut Vec<Problem>) {
    let size = |name: &'static str| {
        let node = condition.field(name)?;
        let bytes = match &node.value {
            Value::Integer(bytes) => u64::try_from(*bytes).ok()?,
            Value::Text(text) => ByteSize::parse(text).ok()?.bytes(),
            _ => return None,
        };
        Some((name, node, i128::from(bytes)))
    };
    let smallest = [
        size("size_gt").map(|(name, node, bytes)| (name, node, bytes + 1)),
        size("size_gte"),
    ];
    let largest = [
        size("size_lt").map(|(name, node, bytes)| (name, node, bytes - 1)),
        size("size_lte"),
    ];
    let smallest = smallest.into_iter().flatten().max_by_key(|(_, _, bytes)| *bytes);
    let largest = largest.into_iter().flatten().min_by_key(|(_, _, bytes)| *bytes);
    let message = match (smallest, largest) {
        (Some((above, _, smallest)), Some((below, node, largest))) if smallest > largest => {
            Some((node, format!("no size can hold both {above} and {below}")))
        }
        (None, Some((below, node, -1))) => Some((node, format!("no size can hold {below}"))),
        _ => None,
    };
    if let Some((node, message)) = message {
        problems.push(Problem::new(
            ProblemKind::Contradiction,
            path,
            &node.origin,
            message,
        ));
    }
}

/// Notes types of the application's own that look like a misspelt built-in one.
fn note_unusual_types(condition: &Node, path: &FieldPath, notes: &mut Vec<Note>) {
    let Some(node) = condition.field("artifact_type") else {
        return;
    };
    let path = path.field("artifact_type");
    let one = std::slice::from_ref(node);
    for node in node.as_list().unwrap_or(one) {
        let Some(name) = node.as_text() else { continue };
        let Ok(ArtifactType::Custom(_)) = ArtifactType::parse(name) else {
            continue;
        };
        if let Some(known) = nearest(name, ArtifactType::BUILT_IN.iter().map(ArtifactType::name)) {
            notes.push(Note {
                path: path.to_string(),
                origin: node.origin.clone(),
                message: format!("'{name}' is taken for an artifact type of your own"),
                help: Some(format!("if you mean the built-in type, write '{known}'")),
            });
        }
    }
}

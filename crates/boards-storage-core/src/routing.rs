//! Which provider gets an artifact: a pure function of the rules and of what is known of the artifact.

use std::fmt;

use serde::Serialize;

use crate::content_type::ContentType;
use crate::options::AccessClass;
use crate::protection::{EncryptionDemand, Protection};
use crate::scope::{ArtifactType, BoardId, TenantId};
use crate::settings::{RouteCondition, RoutingRule};

/// What is known of an artifact when its provider is chosen.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct RouteQuery {
    /// What it is.
    pub artifact_type: ArtifactType,
    /// How large it is.
    pub size: RouteSize,
    /// Its content type.
    pub content_type: ContentType,
    /// Whose it is.
    pub tenant: TenantId,
    /// The board that it belongs to.
    pub board: Option<BoardId>,
    /// How it may be reached.
    pub access: AccessClass,
}

impl RouteQuery {
    /// Describes a private artifact of the default tenant without a board.
    #[must_use]
    pub fn new(artifact_type: ArtifactType, size: RouteSize, content_type: ContentType) -> Self {
        Self {
            artifact_type,
            size,
            content_type,
            tenant: TenantId::default(),
            board: None,
            access: AccessClass::default(),
        }
    }

    /// Sets whose it is.
    #[must_use]
    pub fn with_tenant(mut self, tenant: TenantId) -> Self {
        self.tenant = tenant;
        self
    }

    /// Sets the board.
    #[must_use]
    pub fn with_board(mut self, board: BoardId) -> Self {
        self.board = Some(board);
        self
    }

    /// Sets how it may be reached.
    #[must_use]
    pub fn with_access(mut self, access: AccessClass) -> Self {
        self.access = access;
        self
    }
}

/// How much is known of a size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RouteSize {
    /// So many bytes.
    Exactly(u64),
    /// A stream of which so many bytes were seen, and which may go on.
    AtLeast(u64),
}

/// Where a rule, or the default, sends an artifact.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Route<'a> {
    /// The provider that it is meant for.
    pub provider: &'a str,
    /// The providers that take it when that one cannot, in order.
    pub fallback: &'a [String],
    /// Whether it must be encrypted at rest, wherever it goes.
    pub encryption: EncryptionDemand,
    /// The number of the rule, from 0; `None` for the default provider.
    pub rule: Option<usize>,
}

impl<'a> Route<'a> {
    /// Returns the providers in the order in which they are tried, each once.
    pub fn providers(self) -> impl Iterator<Item = &'a str> {
        let others = self.fallback.iter().map(String::as_str);
        std::iter::once(self.provider).chain(others.filter(move |name| *name != self.provider))
    }
}

/// The answer of [`Router::decide`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RouteDecision<'a> {
    /// This way.
    Route(Route<'a>),
    /// A size rule cannot be decided before more than so many bytes are seen, or the end.
    NeedsMoreThan(u64),
}

/// The rules in order, and the provider of what none of them matches.
///
/// # Examples
///
/// ```
/// use boards_storage_core::{ArtifactType, ContentType, RouteDecision, RouteQuery, RouteSize, Router};
///
/// let router = Router::new("local", Vec::new());
/// let query = RouteQuery::new(ArtifactType::Video, RouteSize::AtLeast(0), ContentType::octet_stream());
/// let RouteDecision::Route(route) = router.decide(&query) else { panic!("no rule asks for the size") };
/// assert_eq!(route.provider, "local");
/// ```
#[derive(Clone, Debug)]
pub struct Router {
    default_provider: String,
    rules: Vec<RoutingRule>,
    fallback: Vec<String>,
}

/// Why an artifact goes where it goes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct RouteExplanation {
    /// The provider; `None` while a size rule waits for more of a stream.
    pub provider: Option<String>,
    /// The providers that take it when that one cannot, in the order in which they are tried.
    pub fallback: Vec<FallbackVerdict>,
    /// Whether it must be encrypted at rest, wherever it goes.
    pub encryption: EncryptionDemand,
    /// The number of the rule that matched, from 0; `None` where none did and the default provider is taken.
    pub matched_rule: Option<usize>,
    /// What came of each rule, in order.
    pub rules: Vec<RuleVerdict>,
}

/// Whether a provider would take an artifact when the one that it is meant for cannot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct FallbackVerdict {
    /// The provider.
    pub provider: String,
    /// Why it is passed over; `None` if it is not.
    pub passed_over: Option<String>,
}

/// What came of one rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct RuleVerdict {
    /// The rule's number, from 0.
    pub rule: usize,
    /// The rule's name, where it has one.
    pub name: Option<String>,
    /// The rule's provider.
    pub provider: String,
    /// What came of it.
    pub verdict: Verdict,
    /// Why: one sentence for each condition that decided it.
    pub reasons: Vec<String>,
}

/// Whether a rule matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// All its conditions hold.
    Matched,
    /// A condition does not hold.
    NotMatched,
    /// It depends on how long the stream goes on.
    Undecided,
    /// An earlier rule matched.
    NotReached,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Matched => "matched",
            Self::NotMatched => "not matched",
            Self::Undecided => "undecided",
            Self::NotReached => "not reached",
        })
    }
}

impl Router {
    /// Creates a router.
    pub fn new(default_provider: impl Into<String>, rules: Vec<RoutingRule>) -> Self {
        Self {
            default_provider: default_provider.into(),
            rules,
            fallback: Vec::new(),
        }
    }

    /// Sets the providers that take a write when the one that it is meant for cannot; rules may have their own.
    #[must_use]
    pub fn with_fallback(mut self, providers: Vec<String>) -> Self {
        self.fallback = providers;
        self
    }

    /// Returns every way: that of each rule in order, then the default.
    pub fn routes(&self) -> impl Iterator<Item = Route<'_>> {
        let of_rules = (0..self.rules.len()).map(|index| self.route(Some(index)));
        of_rules.chain(std::iter::once_with(|| self.route(None)))
    }

    /// Returns the rules in order.
    #[must_use]
    pub fn rules(&self) -> &[RoutingRule] {
        &self.rules
    }

    fn route(&self, rule: Option<usize>) -> Route<'_> {
        let of_rule = rule.and_then(|index| self.rules.get(index));
        Route {
            provider: of_rule.map_or(&self.default_provider, |rule| &rule.provider),
            fallback: of_rule
                .and_then(|rule| rule.fallback.as_deref())
                .unwrap_or(&self.fallback),
            encryption: of_rule.map_or(EncryptionDemand::None, |rule| rule.encryption),
            rule,
        }
    }

    /// Chooses the provider: the first rule whose conditions all hold, else the default.
    #[must_use]
    pub fn decide(&self, query: &RouteQuery) -> RouteDecision<'_> {
        for (index, rule) in self.rules.iter().enumerate() {
            let tests = tests_of(rule.condition.as_ref(), query);
            match verdict_of(&tests) {
                Verdict::Matched => return RouteDecision::Route(self.route(Some(index))),
                Verdict::Undecided => {
                    let thresholds = tests.iter().filter_map(|test| test.needs_more_than);
                    return RouteDecision::NeedsMoreThan(thresholds.min().unwrap_or_default());
                }
                Verdict::NotMatched | Verdict::NotReached => {}
            }
        }
        RouteDecision::Route(self.route(None))
    }

    /// Chooses the provider and says why. `protection` tells how a provider protects what it holds, where that is
    /// known: a fallback of which it is not known is not judged.
    #[must_use]
    pub fn explain(
        &self,
        query: &RouteQuery,
        protection: impl Fn(&str) -> Option<Protection>,
    ) -> RouteExplanation {
        let mut explanation = RouteExplanation {
            provider: None,
            fallback: Vec::new(),
            encryption: EncryptionDemand::None,
            matched_rule: None,
            rules: Vec::new(),
        };
        let mut is_open = true;
        for (index, rule) in self.rules.iter().enumerate() {
            let tests = tests_of(rule.condition.as_ref(), query);
            let verdict = if is_open {
                verdict_of(&tests)
            } else {
                Verdict::NotReached
            };
            if verdict == Verdict::Matched {
                explanation.matched_rule = Some(index);
                explanation.take(self.route(Some(index)), query.access, &protection);
            }
            is_open = is_open && verdict == Verdict::NotMatched;
            explanation.rules.push(RuleVerdict {
                rule: index,
                name: rule.name.clone(),
                provider: rule.provider.clone(),
                verdict,
                reasons: reasons_of(verdict, &tests),
            });
        }
        if is_open {
            explanation.take(self.route(None), query.access, &protection);
        }
        explanation
    }
}

impl RouteExplanation {
    fn take(
        &mut self,
        route: Route<'_>,
        access: AccessClass,
        protection: &impl Fn(&str) -> Option<Protection>,
    ) {
        self.provider = Some(route.provider.to_owned());
        self.encryption = route.encryption;
        let judged = route.providers().skip(1).map(|name| FallbackVerdict {
            provider: name.to_owned(),
            passed_over: protection(name)
                .and_then(|protection| protection.shortfall(access, route.encryption))
                .map(|shortfall| shortfall.to_string()),
        });
        self.fallback = judged.collect();
    }
}

/// One condition held against the artifact.
struct Test {
    /// `None` while it depends on the rest of a stream.
    holds: Option<bool>,
    needs_more_than: Option<u64>,
    sentence: String,
}

fn verdict_of(tests: &[Test]) -> Verdict {
    if tests.iter().any(|test| test.holds == Some(false)) {
        Verdict::NotMatched
    } else if tests.iter().any(|test| test.holds.is_none()) {
        Verdict::Undecided
    } else {
        Verdict::Matched
    }
}

fn reasons_of(verdict: Verdict, tests: &[Test]) -> Vec<String> {
    let decisive = |test: &&Test| match verdict {
        Verdict::Matched => true,
        Verdict::NotMatched => test.holds == Some(false),
        Verdict::Undecided => test.holds.is_none(),
        Verdict::NotReached => false,
    };
    let reasons: Vec<String> = tests
        .iter()
        .filter(decisive)
        .map(|test| test.sentence.clone())
        .collect();
    match verdict {
        Verdict::NotReached => vec!["an earlier rule decided".to_owned()],
        Verdict::Matched if reasons.is_empty() => vec!["it has no condition".to_owned()],
        Verdict::Matched | Verdict::NotMatched | Verdict::Undecided => reasons,
    }
}

fn tests_of(condition: Option<&RouteCondition>, query: &RouteQuery) -> Vec<Test> {
    let Some(condition) = condition else {
        return Vec::new();
    };
    let mut tests = Vec::new();
    if let Some(types) = &condition.artifact_type {
        tests.push(one_of(
            "artifact_type",
            types.iter(),
            query.artifact_type.name(),
            |asked| *asked == query.artifact_type,
        ));
    }
    if let Some(patterns) = &condition.content_type {
        tests.push(one_of(
            "content_type",
            patterns.iter(),
            query.content_type.as_str(),
            |asked| asked.matches(&query.content_type),
        ));
    }
    if let Some(tenants) = &condition.tenant_id {
        tests.push(one_of(
            "tenant_id",
            tenants.iter(),
            query.tenant.as_str(),
            |asked| *asked == query.tenant,
        ));
    }
    if let Some(boards) = &condition.board_id {
        let board = query.board.as_ref().map_or("(none)", BoardId::as_str);
        tests.push(one_of("board_id", boards.iter(), board, |asked| {
            Some(asked) == query.board.as_ref()
        }));
    }
    if let Some(classes) = &condition.access {
        tests.push(one_of("access", classes.iter(), query.access.name(), |asked| {
            *asked == query.access
        }));
    }
    // "More than N" and "less than N" in terms of "more than": every size is > t or not.
    let bounds = [
        ("size_gt", condition.size_gt, 0, true),
        ("size_gte", condition.size_gte, 1, true),
        ("size_lt", condition.size_lt, 1, false),
        ("size_lte", condition.size_lte, 0, false),
    ];
    for (name, bound, shift, wants_more) in bounds {
        if let Some(bound) = bound {
            tests.push(size_test(name, bound.bytes(), shift, wants_more, query.size));
        }
    }
    tests
}

fn one_of<'a, T: fmt::Display + 'a>(
    name: &str,
    asked: impl Iterator<Item = &'a T> + Clone,
    found: &str,
    fits: impl Fn(&T) -> bool,
) -> Test {
    let holds = asked.clone().any(fits);
    let wanted: Vec<String> = asked.map(ToString::to_string).collect();
    let is = if holds { "is" } else { "is not" };
    Test {
        holds: Some(holds),
        needs_more_than: None,
        sentence: format!("{name} '{found}' {is} {}", wanted.join(" or ")),
    }
}

fn size_test(name: &str, bound: u64, shift: u64, wants_more: bool, size: RouteSize) -> Test {
    // size ≥ N is size > N - 1; size < N is not size > N - 1. Nothing is more than u64::MAX, all is ≥ 0.
    let is_more = |size: u64| if shift == 1 { size >= bound } else { size > bound };
    let (holds, found) = match size {
        RouteSize::Exactly(size) => (
            Some(is_more(size) == wants_more),
            format!("the size, {size} bytes,"),
        ),
        RouteSize::AtLeast(seen) if is_more(seen) => {
            (Some(wants_more), format!("the size, over {seen} bytes,"))
        }
        RouteSize::AtLeast(_) => (None, "the size of the stream".to_owned()),
    };
    let operator = match name {
        "size_gt" => ">",
        "size_gte" => ">=",
        "size_lt" => "<",
        _ => "<=",
    };
    let is = match holds {
        Some(true) => "is",
        Some(false) => "is not",
        None => "may be",
    };
    let threshold = bound.saturating_sub(shift);
    Test {
        holds,
        needs_more_than: holds.is_none().then_some(threshold),
        sentence: format!("{found} {is} {operator} {bound} ({name})"),
    }
}

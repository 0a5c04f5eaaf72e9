//! Fallback: a write goes elsewhere when its provider cannot take it, becomes one version whatever happens, and what it
//! left behind is found.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use boards_storage::prelude::*;
use boards_storage::{
    CallContext, Capability, ContentTypePattern, EncryptionDemand, KeyRules, ManagerSettings, MemoryCatalog,
    OneOrMany, OperationKind, Protection, ProtectionSettings, Reach, Retry, RouteCondition, RouteQuery,
    RouteSize, RoutingRule, Stack, StorageProvider,
};
use boards_storage_testkit::{ManualClock, MemoryBuilder, MemoryProvider, Script, Step};
use bytes::Bytes;

use crate::world::{check_kind, image, locate, stream};

/// A manager over several providers, each with a script of its own.
struct Places {
    manager: StorageManager,
    clock: Arc<ManualClock>,
    memories: BTreeMap<&'static str, Arc<MemoryProvider>>,
    scripts: BTreeMap<&'static str, Arc<Script>>,
}

fn private() -> MemoryBuilder {
    MemoryProvider::builder().protection(Protection::new(Reach::Private))
}

fn public() -> MemoryBuilder {
    MemoryProvider::builder().protection(Protection::new(Reach::Public))
}

impl Places {
    /// The default provider `main`, and the private `spare` and `last` behind it.
    fn new() -> Self {
        Self::with(
            settings(&["spare", "last"]),
            [("main", private()), ("spare", private()), ("last", private())],
        )
    }

    fn with<const N: usize>(
        settings: ManagerSettings,
        providers: [(&'static str, MemoryBuilder); N],
    ) -> Self {
        let clock = Arc::new(ManualClock::new("2026-01-01T00:00:00Z".parse().expect("a time")));
        let scripts: BTreeMap<_, _> = providers.iter().map(|(name, _)| (*name, Script::new())).collect();
        let layers = scripts.clone();
        let manager = StorageManager::with_parts(
            settings,
            Arc::new(MemoryCatalog::default()),
            Arc::clone(&clock) as Arc<_>,
            Arc::new(move |name, provider| {
                let script = Arc::clone(&layers[name]) as Arc<_>;
                Arc::new(Stack::new(name, provider, vec![script]))
            }),
        );
        let mut memories = BTreeMap::new();
        for (name, memory) in providers {
            let memory = memory.build();
            let shared = Arc::clone(&memory) as Arc<_>;
            manager.register_provider(name, shared).expect("a free name");
            memories.insert(name, memory);
        }
        Self {
            manager,
            clock,
            memories,
            scripts,
        }
    }

    /// Everything that is asked of a provider fails from now on.
    fn take_away(&self, name: &str, kind: ErrorKind) {
        self.scripts[name].otherwise(move |_| Step::FailBefore(Error::new(kind, format!("{kind} here"))));
    }

    async fn put(&self, new: NewArtifact, content: impl Into<Content>) -> Result<ArtifactReference> {
        self.manager.store_artifact(new, content).await
    }

    async fn read(&self, locator: impl Into<ArtifactLocator>) -> Result<Bytes> {
        let opened = self
            .manager
            .open_artifact(locator, &OpenOptions::default())
            .await?;
        opened.bytes(usize::MAX).await
    }

    fn objects(&self, name: &str) -> usize {
        self.memories[name].objects()
    }

    async fn displaced(&self) -> Vec<String> {
        let query = ArtifactQuery::default().with_displaced();
        let page = self.manager.list_artifacts(&query).await.expect("listed");
        page.artifacts
            .iter()
            .map(|found| found.artifact_id.to_string())
            .collect()
    }

    /// After everything is over, removes what was left.
    async fn reap(&self) {
        for script in self.scripts.values() {
            script.clear();
        }
        self.clock.advance(Duration::from_secs(3600));
        let report = self.manager.reap(1000).await.expect("reaped");
        assert_eq!(report.failed, 0, "{report:?}");
    }
}

fn settings(fallback: &[&str]) -> ManagerSettings {
    let mut settings = ManagerSettings::new("main");
    settings.fallback = fallback.iter().map(|name| (*name).to_owned()).collect();
    settings
}

/// What is stored, in the forms that content has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Bytes,
    File,
    Stream,
}

const FORMS: [Form; 3] = [Form::Bytes, Form::File, Form::Stream];

async fn content(form: Form, folder: &std::path::Path) -> Content {
    match form {
        Form::Bytes => Content::from("1234"),
        Form::File => {
            let path = folder.join("file");
            tokio::fs::write(&path, "1234").await.expect("written");
            Content::from_path(path).await.expect("a file")
        }
        Form::Stream => stream(&["12", "34"]),
    }
}

/// The kinds after which a write goes elsewhere.
const OUTAGES: [ErrorKind; 5] = [
    ErrorKind::ProviderUnavailable,
    ErrorKind::Timeout,
    ErrorKind::RateLimited,
    ErrorKind::InsufficientStorage,
    ErrorKind::OutcomeUnknown,
];

#[tokio::test]
async fn an_unread_content_of_every_form_goes_elsewhere_after_an_outage_and_after_nothing_else() {
    let folder = tempfile::tempdir().expect("a folder");
    for kind in ErrorKind::ALL {
        for form in FORMS {
            let places = Places::new();
            let step = Step::FailBefore(Error::new(kind, "not here"));
            places.scripts["main"].push(OperationKind::Upload, step);
            let stored = places.put(image("a"), content(form, folder.path()).await).await;
            if OUTAGES.contains(&kind) {
                let stored = stored.unwrap_or_else(|error| panic!("{kind}, {form:?}: {error}"));
                assert_eq!(stored.storage_provider, "spare", "{kind}, {form:?}");
                assert_eq!(stored.home_provider.as_deref(), Some("main"));
                assert_eq!(places.read(&stored).await.expect("read"), "1234");
                assert_eq!(places.displaced().await, ["a"]);
            } else {
                check_kind(stored, kind);
                assert_eq!(places.objects("spare"), 0, "{kind}, {form:?}");
                assert_eq!(places.displaced().await, [""; 0]);
            }
        }
    }
}

#[tokio::test]
async fn content_that_can_be_read_again_goes_elsewhere_even_half_way_and_a_spent_stream_does_not() {
    let folder = tempfile::tempdir().expect("a folder");
    for kind in OUTAGES {
        for form in FORMS {
            let places = Places::new();
            let step = Step::FailMidway(2, Error::new(kind, "it broke"));
            places.scripts["main"].push(OperationKind::Upload, step);
            let stored = places.put(image("a"), content(form, folder.path()).await).await;
            if form == Form::Stream {
                let error = check_kind(stored, kind);
                let help = error.help().expect("what to do");
                assert!(help.contains("the content was read from"), "{help}");
                assert_eq!(places.objects("spare"), 0);
                places
                    .put(image("a"), "again")
                    .await
                    .expect("the variant is free at once");
            } else {
                let stored = stored.expect("it is read again");
                assert_eq!(stored.storage_provider, "spare");
                assert_eq!(places.read(&stored).await.expect("read"), "1234");
            }
        }
    }
}

#[tokio::test]
async fn a_stream_that_breaks_by_itself_goes_nowhere() {
    let places = Places::new();
    let broken = || -> boards_storage::BoxFuture<'static, Result<boards_storage::ByteStream>> {
        Box::pin(async {
            let error = Error::new(ErrorKind::ProviderUnavailable, "the source is away");
            Ok(Box::pin(futures_util::stream::iter([Ok(Bytes::from("12")), Err(error)])) as _)
        })
    };
    let stored = places.put(image("a"), Content::from_factory(None, broken)).await;
    let error = check_kind(stored, ErrorKind::ProviderUnavailable);
    assert!(error.to_string().contains("the source is away"), "{error}");
    assert_eq!(
        places.scripts["spare"].calls().len(),
        0,
        "no provider is to blame"
    );
}

#[tokio::test]
async fn the_order_of_the_list_is_kept_and_an_error_names_everybody() {
    let places = Places::new();
    places.take_away("main", ErrorKind::ProviderUnavailable);
    places.take_away("spare", ErrorKind::AccessDenied);
    let stored = places.put(image("a"), "x").await.expect("the last takes it");
    assert_eq!(stored.storage_provider, "last");
    places.take_away("last", ErrorKind::InsufficientStorage);
    let error = check_kind(places.put(image("b"), "x").await, ErrorKind::ProviderUnavailable);
    assert_eq!(error.retry(), Retry::Yes, "it is the first one's");
    for part in [
        "'main' (provider_unavailable): provider_unavailable here",
        "'spare' (access_denied): access_denied here",
        "'last' (insufficient_storage): insufficient_storage here",
    ] {
        assert!(error.to_string().contains(part), "{error}");
    }
    check_kind(places.read(locate("b")).await, ErrorKind::NotFound);
    places.reap().await;
    let total: usize = ["main", "spare", "last"]
        .map(|name| places.objects(name))
        .iter()
        .sum();
    assert_eq!(total, 1);
}

#[tokio::test]
async fn a_write_whose_fate_at_home_is_unknown_becomes_one_version_and_its_bytes_are_reaped() {
    for after in [
        ErrorKind::Timeout,
        ErrorKind::OutcomeUnknown,
        ErrorKind::ProviderUnavailable,
    ] {
        let places = Places::new();
        let main = &places.scripts["main"];
        main.push(
            OperationKind::Upload,
            Step::FailAfter(Error::new(after, "the answer was lost")),
        );
        // Nobody can ask whether it arrived; after a plain outage nobody does.
        if after != ErrorKind::ProviderUnavailable {
            let gone = Error::new(ErrorKind::ProviderUnavailable, "gone");
            main.push(OperationKind::Metadata, Step::FailBefore(gone));
        }
        let stored = places.put(image("a"), "x").await.expect("elsewhere");
        assert_eq!((stored.storage_provider.as_str(), stored.version), ("spare", 1));
        assert_eq!(places.objects("main"), 1, "it had arrived");
        let versions = places.manager.list_versions(locate("a")).await.expect("listed");
        assert_eq!(versions, std::slice::from_ref(&stored));
        // What may still be on its way is left for a while.
        places.clock.advance(Duration::from_secs(599));
        let report = places.manager.reap(1000).await.expect("reaped");
        assert_eq!((report.intents, places.objects("main")), (0, 1));
        places.clock.advance(Duration::from_secs(1));
        let report = places.manager.reap(1000).await.expect("reaped");
        assert_eq!((report.intents, report.failed, places.objects("main")), (1, 0, 0));
        assert_eq!(places.read(&stored).await.expect("read"), "x");
    }
}

#[tokio::test(start_paused = true)]
async fn bytes_that_arrive_at_home_after_all_are_found_by_the_cleanup() {
    let places = Places::new();
    let late = Arc::clone(&places.memories["main"]);
    places.scripts["main"].push(
        OperationKind::Upload,
        Step::FailBefore(Error::new(ErrorKind::Timeout, "too slow")),
    );
    let stored = places.put(image("a"), "x").await.expect("elsewhere");
    // The intent of the first try is all that names its key.
    let now = "2026-01-01T01:00:00Z".parse().expect("a time");
    let intents = places
        .manager
        .catalog()
        .ended_intents(now, None, 10)
        .await
        .expect("asked");
    assert_eq!(intents.len(), 1);
    let given_up = &intents[0];
    assert_eq!(
        (given_up.provider.as_str(), given_up.key.as_str()),
        ("main", "default/image/a/original.png")
    );
    let options = boards_storage::UploadOptions::default()
        .with_write_id(boards_storage::WriteId::from(given_up.version));
    late.upload(&given_up.key, Content::from("x"), &options)
        .await
        .expect("late");
    places.reap().await;
    assert_eq!(places.objects("main"), 0);
    assert_eq!(places.read(&stored).await.expect("read"), "x");
}

#[tokio::test]
async fn a_foreign_object_at_the_key_of_a_given_up_write_is_never_touched() {
    let places = Places::new();
    let key = StorageKey::parse("default/image/a/original.png").expect("a key");
    let options = boards_storage::UploadOptions::default();
    let main = &places.memories["main"];
    main.upload(&key, Content::from("foreign"), &options)
        .await
        .expect("dropped by hand");
    places.scripts["main"].push(
        OperationKind::Upload,
        Step::FailBefore(Error::new(ErrorKind::ProviderUnavailable, "gone")),
    );
    places.put(image("a"), "x").await.expect("elsewhere");
    places.reap().await;
    assert_eq!(places.objects("main"), 1);
}

#[tokio::test]
async fn writers_of_one_variant_during_an_outage_have_one_winner() {
    for round in 0..30 {
        let places = Arc::new(Places::new());
        places.take_away("main", ErrorKind::ProviderUnavailable);
        let writers: Vec<_> = (0..8)
            .map(|writer| {
                let places = Arc::clone(&places);
                tokio::spawn(async move { places.put(image("a"), format!("{round}-{writer}")).await })
            })
            .collect();
        let mut winners = Vec::new();
        for writer in writers {
            match writer.await.expect("no panic") {
                Ok(reference) => winners.push(reference),
                Err(error) => assert_eq!(error.kind(), ErrorKind::AlreadyExists, "{error}"),
            }
        }
        assert_eq!(winners.len(), 1);
        let versions = places.manager.list_versions(locate("a")).await.expect("listed");
        assert_eq!(versions, winners);
        places.reap().await;
        assert_eq!((places.objects("main"), places.objects("spare")), (0, 1));
    }
}

#[tokio::test]
async fn overwriters_during_a_flickering_outage_all_win_and_every_version_is_whole() {
    let places = Arc::new(Places::new());
    for index in 0..32 {
        let step = match index % 4 {
            0 => Step::Pass,
            1 => Step::FailBefore(Error::new(ErrorKind::ProviderUnavailable, "gone")),
            2 => Step::FailAfter(Error::new(ErrorKind::ProviderUnavailable, "lost")),
            _ => Step::FailMidway(1, Error::new(ErrorKind::Timeout, "slow")),
        };
        places.scripts["main"].push(OperationKind::Upload, step);
    }
    let writers: Vec<_> = (0..32)
        .map(|writer| {
            let places = Arc::clone(&places);
            tokio::spawn(async move {
                places
                    .put(image("a").with_overwrite(), format!("bytes {writer}"))
                    .await
            })
        })
        .collect();
    let mut numbers = Vec::new();
    for writer in writers {
        let reference = writer.await.expect("no panic").expect("stored");
        assert_eq!(
            places.read(&reference).await.expect("read").len() as u64,
            reference.size
        );
        numbers.push(reference.version);
    }
    numbers.sort_unstable();
    assert_eq!(numbers, (1..=32).collect::<Vec<u64>>());
    places.reap().await;
    let left = places.objects("main") + places.objects("spare") + places.objects("last");
    assert_eq!(
        left, 32,
        "one object for each version, and nothing that no record names"
    );
}

#[tokio::test]
async fn what_is_not_public_never_goes_where_it_would_be() {
    for access in [
        AccessClass::Private,
        AccessClass::Temporary,
        AccessClass::Authenticated,
    ] {
        let places = Places::with(
            settings(&["open", "silent", "spare"]),
            [
                ("main", private()),
                ("open", public()),
                ("silent", MemoryProvider::builder()),
                ("spare", private()),
            ],
        );
        places.take_away("main", ErrorKind::ProviderUnavailable);
        let stored = places
            .put(image("a").with_access(access), "x")
            .await
            .expect("stored");
        assert_eq!(stored.storage_provider, "spare", "{access}");
        places.take_away("spare", ErrorKind::ProviderUnavailable);
        let refused = places.put(image("b").with_access(access), "x").await;
        let error = check_kind(refused, ErrorKind::ProviderUnavailable);
        for part in [
            "'open' was passed over: its objects are public, the artifact is not",
            "'silent' was passed over: it does not declare that its objects are private",
        ] {
            assert!(error.to_string().contains(part), "{error}");
        }
        assert_eq!((places.objects("open"), places.objects("silent")), (0, 0));
        let open = places
            .put(image("c").with_access(AccessClass::Public), "x")
            .await
            .expect("stored");
        assert_eq!(open.storage_provider, "open");
    }
}

#[tokio::test]
async fn the_operator_may_know_better_than_the_provider() {
    let mut settings = settings(&["silent"]);
    let known = ProtectionSettings::default();
    let mut private_and_encrypted = known;
    private_and_encrypted.reach = Some(Reach::Private);
    private_and_encrypted.encrypted = Some(true);
    settings.protections = BTreeMap::from([("silent".to_owned(), private_and_encrypted)]);
    let places = Places::with(
        settings,
        [("main", private()), ("silent", MemoryProvider::builder())],
    );
    places.take_away("main", ErrorKind::ProviderUnavailable);
    let stored = places.put(image("a"), "x").await.expect("stored");
    assert_eq!(stored.storage_provider, "silent");
}

#[tokio::test]
async fn a_demand_for_encryption_holds_at_home_and_elsewhere() {
    let encrypted =
        || MemoryProvider::builder().protection(Protection::new(Reach::Private).with_encryption());
    let rule = |provider: &str| RoutingRule::new(provider).with_encryption_required();
    let mut demanding = settings(&["plain", "sealed"]);
    demanding.routing_rules = vec![rule("main")];
    let places = Places::with(
        demanding.clone(),
        [
            ("main", encrypted()),
            ("plain", private()),
            ("sealed", encrypted()),
        ],
    );
    places.manager.check_routes().expect("they fit");
    places.take_away("main", ErrorKind::ProviderUnavailable);
    let stored = places.put(image("a"), "x").await.expect("stored");
    assert_eq!(
        (stored.storage_provider.as_str(), places.objects("plain")),
        ("sealed", 0)
    );
    let query = RouteQuery::new(
        ArtifactType::Image,
        RouteSize::Exactly(1),
        ContentType::parse("image/png").expect("a type"),
    );
    let explained = places.manager.explain_route(&query);
    assert_eq!(explained.encryption, EncryptionDemand::Required);
    let told: Vec<_> = explained
        .fallback
        .iter()
        .map(|place| (place.provider.as_str(), place.passed_over.as_deref()))
        .collect();
    assert_eq!(
        told,
        [
            (
                "plain",
                Some("it does not declare that it encrypts at rest, and the rule demands it")
            ),
            ("sealed", None)
        ]
    );
    demanding.routing_rules = vec![rule("plain")];
    let places = Places::with(
        demanding,
        [
            ("main", encrypted()),
            ("plain", private()),
            ("sealed", encrypted()),
        ],
    );
    check_kind(places.manager.check_routes(), ErrorKind::Configuration);
    check_kind(places.put(image("a"), "x").await, ErrorKind::Configuration);
    assert_eq!(places.objects("plain") + places.objects("sealed"), 0);
}

#[tokio::test]
async fn a_rule_has_its_own_list_and_an_empty_one_forbids() {
    let of_type = |provider: &str, name: &str| {
        let mut condition = RouteCondition::default();
        condition.content_type = Some(OneOrMany::from(
            ContentTypePattern::parse(name).expect("a pattern"),
        ));
        RoutingRule::new(provider).with_condition(condition)
    };
    let mut settings = settings(&["spare"]);
    settings.routing_rules = vec![
        of_type("main", "image/png").with_fallback(["last"]),
        of_type("main", "image/gif").with_fallback([""; 0]),
        of_type("main", "image/webp"),
    ];
    let places = Places::with(
        settings,
        [("main", private()), ("spare", private()), ("last", private())],
    );
    places.take_away("main", ErrorKind::ProviderUnavailable);
    let put = async |id: &str, name: &str| {
        let new = image(id).with_content_type(ContentType::parse(name).expect("a type"));
        places.put(new, "x").await.map(|stored| stored.storage_provider)
    };
    assert_eq!(put("a", "image/png").await.expect("stored"), "last");
    check_kind(put("b", "image/gif").await, ErrorKind::ProviderUnavailable);
    assert_eq!(put("c", "image/webp").await.expect("stored"), "spare");
    assert_eq!(put("d", "text/plain").await.expect("stored"), "spare");
}

#[tokio::test]
async fn routes_that_name_nobody_or_somebody_twice_are_told() {
    let check = |fallback: &[&str], says: &str| {
        let places = Places::with(settings(fallback), [("main", private()), ("spare", private())]);
        let error = check_kind(places.manager.check_routes(), ErrorKind::Configuration);
        assert!(error.to_string().contains(says), "{error}");
    };
    check(&["nobody"], "no provider is called 'nobody'");
    check(&["spare", "spare"], "'spare' is listed twice");
    let places = Places::with(
        settings(&["nobody", "spare"]),
        [("main", private()), ("spare", private())],
    );
    places.take_away("main", ErrorKind::ProviderUnavailable);
    let stored = places
        .put(image("a"), "x")
        .await
        .expect("a missing one is passed over");
    assert_eq!(stored.storage_provider, "spare");
}

#[tokio::test]
async fn a_stand_in_that_cannot_hold_it_gives_way_to_the_next() {
    let mut few = KeyRules::default();
    few.bytes_max = 10;
    let small = private().key_rules(few).without(&[Capability::UserMetadata]);
    let places = Places::with(
        settings(&["small", "spare"]),
        [("main", private()), ("small", small), ("spare", private())],
    );
    places.take_away("main", ErrorKind::ProviderUnavailable);
    let stored = places.put(image("a"), "x").await.expect("stored");
    assert_eq!(stored.storage_provider, "spare");
}

#[tokio::test(start_paused = true)]
async fn a_deadline_that_has_passed_ends_the_search() {
    let places = Places::new();
    places.take_away("main", ErrorKind::Timeout);
    let context = CallContext::default().with_deadline_in(Duration::ZERO);
    check_kind(
        places.put(image("a").with_context(context), "x").await,
        ErrorKind::Timeout,
    );
    assert_eq!(places.scripts["spare"].calls().len(), 0);
}

#[tokio::test]
async fn the_same_bytes_are_the_same_version_wherever_they_are() {
    let places = Places::new();
    places.take_away("main", ErrorKind::ProviderUnavailable);
    let stored = places.put(image("a"), "x").await.expect("elsewhere");
    places.scripts["main"].clear();
    let again = places
        .put(image("a").with_overwrite(), "x")
        .await
        .expect("nothing to do");
    assert_eq!(again, stored);
    let other = places
        .put(image("a").with_overwrite(), "y")
        .await
        .expect("at home");
    assert_eq!(
        (other.storage_provider.as_str(), other.home_provider),
        ("main", None)
    );
    assert_eq!(
        places.displaced().await,
        [""; 0],
        "the present version is at home"
    );
    let deletion = places
        .manager
        .delete_variant(locate("a"), &CallContext::default())
        .await
        .expect("deleted");
    assert_eq!((deletion.versions, deletion.bytes_pending), (2, 0));
    assert_eq!(places.objects("main") + places.objects("spare"), 0);
}

#[tokio::test]
async fn a_stream_that_is_the_same_after_all_leaves_nothing_elsewhere() {
    let places = Places::new();
    let stored = places.put(image("a"), "1234").await.expect("at home");
    places.scripts["main"].push(
        OperationKind::Upload,
        Step::FailBefore(Error::new(ErrorKind::ProviderUnavailable, "gone")),
    );
    let again = places
        .put(image("a").with_overwrite(), stream(&["12", "34"]))
        .await
        .expect("the same");
    assert_eq!(again, stored);
    places.reap().await;
    assert_eq!((places.objects("main"), places.objects("spare")), (1, 0));
}

#[tokio::test]
async fn a_catalog_that_cannot_divert_is_told_with_the_outage() {
    let places = Places::new();
    // Somebody else takes the variant while the first provider is tried.
    let manager = places.manager.clone();
    let clock = Arc::clone(&places.clock);
    places.scripts["main"].otherwise(move |operation| {
        if operation.kind() != OperationKind::Upload {
            return Step::Pass;
        }
        clock.advance(Duration::from_secs(31));
        let taken = manager
            .catalog()
            .reap_intents(boards_storage::Clock::now(&*clock), None, 10);
        futures_util::FutureExt::now_or_never(taken)
            .expect("at once")
            .expect("taken");
        Step::FailBefore(Error::new(ErrorKind::ProviderUnavailable, "gone"))
    });
    let error = check_kind(places.put(image("a"), "x").await, ErrorKind::PreconditionFailed);
    assert!(error.to_string().contains("lost its lease"), "{error}");
    assert_eq!(places.objects("spare"), 0);
    places.reap().await;
    assert_eq!(places.objects("main"), 0);
}

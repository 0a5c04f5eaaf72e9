//! Health: what probes say, who is probed when, and when a storage is ready.

use std::sync::Arc;
use std::time::Duration;

use boards_storage::prelude::*;
use boards_storage::{
    CANARY_KEY_PREFIX, CanaryState, Capability, HealthOptions, HealthReport, HealthState, ManagerSettings,
    MemoryCatalog, OneOrMany, OperationKind, Protection, Reach, RouteCondition, RoutingRule, Stack,
    StorageProvider, UploadOptions,
};
use boards_storage_testkit::{ManualClock, MemoryBuilder, MemoryProvider, Script, Step};

use crate::world::image;

struct Watched {
    manager: StorageManager,
    clock: Arc<ManualClock>,
    memory: Arc<MemoryProvider>,
    script: Arc<Script>,
}

fn private() -> MemoryBuilder {
    MemoryProvider::builder().protection(Protection::new(Reach::Private))
}

impl Watched {
    fn new(settings: ManagerSettings) -> Self {
        Self::with(settings, private())
    }

    fn with(settings: ManagerSettings, memory: MemoryBuilder) -> Self {
        let clock = Arc::new(ManualClock::new("2026-01-01T00:00:00Z".parse().expect("a time")));
        let script = Script::new();
        let layer = Arc::clone(&script);
        let manager = StorageManager::with_parts(
            settings,
            Arc::new(MemoryCatalog::default()),
            Arc::clone(&clock) as Arc<_>,
            // The script is the main provider's.
            Arc::new(move |name, provider| {
                let layers = if name == "main" {
                    vec![Arc::clone(&layer) as Arc<_>]
                } else {
                    Vec::new()
                };
                Arc::new(Stack::new(name, provider, layers))
            }),
        );
        let memory = memory.clock(Arc::clone(&clock) as Arc<_>).build();
        let shared = Arc::clone(&memory) as Arc<_>;
        manager.register_provider("main", shared).expect("a free name");
        Self {
            manager,
            clock,
            memory,
            script,
        }
    }

    fn break_probes(&self) {
        self.script
            .otherwise(|_| Step::FailBefore(Error::new(ErrorKind::ProviderUnavailable, "no answer")));
    }

    async fn look(&self) -> HealthReport {
        self.manager.check_health(&HealthOptions::default()).await
    }

    fn state(&self) -> HealthState {
        self.manager.health().providers[0].health.state
    }
}

#[tokio::test(start_paused = true)]
async fn probes_move_a_provider_between_its_states_and_the_catalog_has_its_own() {
    let watched = Watched::new(ManagerSettings::new("main"));
    assert_eq!(watched.state(), HealthState::Unknown);
    let report = watched.look().await;
    assert_eq!(report.providers[0].health.state, HealthState::Healthy);
    assert!(report.is_ready);
    watched.break_probes();
    let mut states = Vec::new();
    for _ in 0..3 {
        watched.clock.advance(Duration::from_secs(10));
        let report = watched.look().await;
        assert_eq!(report.catalog.state, HealthState::Healthy);
        states.push((report.providers[0].health.state, report.is_ready));
    }
    assert_eq!(
        states,
        [
            (HealthState::Degraded, true),
            (HealthState::Degraded, true),
            (HealthState::Unavailable, false)
        ]
    );
    let health = watched.manager.health().providers[0].health.clone();
    let error = health.last_error.expect("it failed");
    assert_eq!(
        (error.kind, error.message.as_str()),
        (ErrorKind::ProviderUnavailable, "no answer")
    );
    assert_eq!(health.since.to_string(), "2026-01-01T00:00:30Z");
    assert_eq!(
        health.last_success.expect("once").to_string(),
        "2026-01-01T00:00:00Z"
    );
    watched.script.clear();
    assert_eq!(
        watched.look().await.providers[0].health.state,
        HealthState::Degraded
    );
    assert_eq!(
        watched.look().await.providers[0].health.state,
        HealthState::Healthy
    );
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_hangs_is_ended_and_a_slow_one_is_degraded() {
    let watched = Watched::new(ManagerSettings::new("main"));
    watched.look().await;
    watched
        .script
        .push(OperationKind::Probe, Step::Delay(Duration::from_secs(3)));
    let report = watched.look().await;
    let health = &report.providers[0].health;
    assert_eq!((health.state, health.failures), (HealthState::Degraded, 0));
    assert_eq!(health.latency, Some(Duration::from_secs(3)));
    watched.script.push(OperationKind::Probe, Step::Stall);
    let report = watched.look().await;
    let health = &report.providers[0].health;
    assert_eq!(health.latency, Some(Duration::from_secs(10)));
    let error = health.last_error.as_ref().expect("it failed");
    assert_eq!(
        (error.kind, error.message.as_str()),
        (ErrorKind::Timeout, "the probe took longer than 10s")
    );
}

#[tokio::test(start_paused = true)]
async fn probes_do_not_pile_up() {
    let watched = Arc::new(Watched::new(ManagerSettings::new("main")));
    watched
        .script
        .push(OperationKind::Probe, Step::Delay(Duration::from_secs(1)));
    let lookers: Vec<_> = (0..50)
        .map(|_| {
            let watched = Arc::clone(&watched);
            tokio::spawn(async move { watched.look().await })
        })
        .collect();
    for looker in lookers {
        let report = looker.await.expect("no panic");
        assert_eq!(
            report.providers[0].health.state,
            HealthState::Healthy,
            "the one result is everybody's"
        );
    }
    assert_eq!(watched.script.count(OperationKind::Probe), 1);
}

fn quick() -> ManagerSettings {
    let mut settings = ManagerSettings::new("main");
    settings.health.interval = Duration::from_secs(10).into();
    settings
}

#[tokio::test(start_paused = true)]
async fn the_watch_probes_at_its_interval_and_ends_with_the_manager() {
    let watched = Watched::new(quick());
    assert!(watched.manager.start_health_monitor());
    assert!(watched.manager.start_health_monitor(), "it is begun once");
    tokio::time::sleep(Duration::from_secs(1000)).await;
    let count = watched.script.count(OperationKind::Probe);
    assert!((80..=126).contains(&count), "about 100 rounds, {count} were seen");
    assert_eq!(watched.state(), HealthState::Healthy);
    watched.manager.close().await.expect("closed");
    let count = watched.script.count(OperationKind::Probe);
    tokio::time::sleep(Duration::from_secs(1000)).await;
    assert_eq!(
        watched.script.count(OperationKind::Probe),
        count,
        "nobody probes a closed storage"
    );
    let watched = Watched::new(quick());
    watched.manager.start_health_monitor();
    tokio::time::sleep(Duration::from_secs(100)).await;
    let Watched { manager, script, .. } = watched;
    drop(manager);
    let count = script.count(OperationKind::Probe);
    tokio::time::sleep(Duration::from_secs(1000)).await;
    assert_eq!(
        script.count(OperationKind::Probe),
        count,
        "the watch holds no manager alive"
    );
}

#[tokio::test(start_paused = true)]
async fn a_hanging_store_does_not_stop_the_watch() {
    let watched = Watched::new(quick());
    watched
        .manager
        .register_provider("other", MemoryProvider::new())
        .expect("a free name");
    watched.script.otherwise(|_| Step::Stall);
    watched.manager.start_health_monitor();
    tokio::time::sleep(Duration::from_secs(100)).await;
    let report = watched.manager.health();
    let states: Vec<_> = report
        .providers
        .iter()
        .map(|found| (found.provider.as_str(), found.health.state))
        .collect();
    assert_eq!(
        states,
        [
            ("main", HealthState::Unavailable),
            ("other", HealthState::Healthy)
        ]
    );
    watched.manager.close().await.expect("closed");
}

#[tokio::test]
async fn a_watch_that_is_switched_off_is_none() {
    let mut settings = ManagerSettings::new("main");
    settings.health.enabled = false;
    assert!(!Watched::new(settings).manager.start_health_monitor());
}

#[tokio::test]
async fn a_canary_finds_what_a_probe_does_not() {
    let watched = Watched::new(ManagerSettings::new("main"));
    let canary = HealthOptions::default().with_canary();
    let report = watched.manager.check_health(&canary).await;
    let health = &report.providers[0].health;
    assert_eq!(
        (health.state, health.canary),
        (HealthState::Healthy, CanaryState::Passed)
    );
    assert_eq!(watched.memory.objects(), 0, "it leaves nothing");
    for (kind, failing) in [
        (ErrorKind::InsufficientStorage, OperationKind::Upload),
        (ErrorKind::AccessDenied, OperationKind::Download),
        (ErrorKind::AccessDenied, OperationKind::Delete),
    ] {
        watched
            .script
            .push(failing, Step::FailBefore(Error::new(kind, "no")));
        let report = watched.manager.check_health(&canary).await;
        let health = &report.providers[0].health;
        assert_eq!(
            (health.state, health.canary),
            (HealthState::Degraded, CanaryState::Failed),
            "{failing}"
        );
        assert_eq!(health.last_error.as_ref().map(|error| error.kind), Some(kind));
        watched.manager.check_health(&canary).await;
        assert_eq!(watched.memory.objects(), 0, "the next one is at the same key");
        watched.manager.check_health(&canary).await;
    }
}

#[tokio::test]
async fn a_canary_that_comes_back_changed_is_corruption() {
    let watched = Watched::new(ManagerSettings::new("main"));
    let key = StorageKey::parse(format!("{CANARY_KEY_PREFIX}{:032x}", 1)).expect("a key");
    let options = UploadOptions::default();
    let other = watched
        .memory
        .upload(&key, Content::from("other bytes"), &options);
    other.await.expect("stored");
    let download = watched
        .memory
        .download(&key, &Default::default())
        .await
        .expect("there");
    let answer = boards_storage::Outcome::Download(Box::new(download));
    watched.script.push(OperationKind::Download, Step::Answer(answer));
    let report = watched
        .manager
        .check_health(&HealthOptions::default().with_canary())
        .await;
    let error = report.providers[0].health.last_error.as_ref().expect("it failed");
    assert_eq!(error.kind, ErrorKind::Corruption);
}

#[tokio::test]
async fn a_canary_that_others_left_behind_is_removed_when_it_is_old() {
    let watched = Watched::new(ManagerSettings::new("main"));
    let canary = HealthOptions::default().with_canary();
    let key = StorageKey::parse(format!("{CANARY_KEY_PREFIX}{:032x}", 1)).expect("a key");
    let options = UploadOptions::default();
    let left = watched.memory.upload(&key, Content::from("x"), &options);
    left.await.expect("stored");
    watched.clock.advance(Duration::from_secs(600));
    watched.manager.check_health(&canary).await;
    assert_eq!(watched.memory.objects(), 1, "its process may still be at work");
    watched.clock.advance(Duration::from_secs(1));
    watched.manager.check_health(&canary).await;
    assert_eq!(watched.memory.objects(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_canary_that_was_interrupted_is_removed_at_the_end() {
    let mut settings = quick();
    settings.health.canary = true;
    let watched = Watched::new(settings);
    watched.script.push(OperationKind::Download, Step::Stall);
    watched.manager.start_health_monitor();
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(watched.memory.objects(), 1, "it is being read");
    watched.manager.close().await.expect("closed");
    assert_eq!(watched.memory.objects(), 0);
}

#[tokio::test]
async fn a_canary_is_refused_where_it_could_not_be_found_again() {
    let blind = private().without(&[
        Capability::List,
        Capability::ListDelimiter,
        Capability::ListStartAfter,
    ]);
    let watched = Watched::with(ManagerSettings::new("main"), blind);
    let report = watched
        .manager
        .check_health(&HealthOptions::default().with_canary())
        .await;
    let health = &report.providers[0].health;
    assert_eq!(
        (health.state, health.canary),
        (HealthState::Healthy, CanaryState::Refused)
    );
    assert_eq!(watched.script.count(OperationKind::Upload), 0);
}

#[tokio::test]
async fn an_artifact_whose_key_begins_like_a_canary_is_none() {
    let watched = Watched::new(ManagerSettings::new("main"));
    let name = CANARY_KEY_PREFIX.strip_prefix("temp/").expect("below temp");
    let new = image(&format!("{name}{:032x}", 1)).with_access(AccessClass::Temporary);
    let stored = watched.manager.store_artifact(new, "x").await.expect("stored");
    let key = stored.storage_key;
    assert!(key.as_str().starts_with(CANARY_KEY_PREFIX), "{key}");
    watched.clock.advance(Duration::from_secs(3600));
    let canary = HealthOptions::default().with_canary();
    watched.manager.check_health(&canary).await;
    assert_eq!(watched.memory.objects(), 1, "the artifact stays");
}

#[tokio::test]
async fn a_storage_is_ready_while_one_route_has_a_provider() {
    let rule = |provider: &str, access: AccessClass| {
        let mut condition = RouteCondition::default();
        condition.access = Some(OneOrMany::from(access));
        RoutingRule::new(provider).with_condition(condition)
    };
    let mut settings = ManagerSettings::new("main");
    settings.fallback = vec!["open".to_owned()];
    settings.routing_rules = vec![
        rule("main", AccessClass::Private).with_name("secrets"),
        rule("main", AccessClass::Public).with_fallback(["nobody", "open"]),
        rule("gone", AccessClass::Public).with_fallback([""; 0]),
    ];
    let watched = Watched::new(settings);
    let open = MemoryProvider::builder()
        .protection(Protection::new(Reach::Public))
        .build();
    watched
        .manager
        .register_provider("open", open)
        .expect("a free name");
    watched.break_probes();
    let report = watched.look().await;
    let usable: Vec<Vec<&str>> = report
        .routes
        .iter()
        .map(|route| route.usable.iter().map(String::as_str).collect())
        .collect();
    assert_eq!(usable, [vec![], vec!["open"], vec![], vec!["open"]]);
    assert_eq!(report.routes[0].name.as_deref(), Some("secrets"));
    assert_eq!(report.routes[3].rule, None);
    assert!(report.is_ready, "public artifacts still have a way");
}

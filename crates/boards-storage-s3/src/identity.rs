//! The credentials that sign, kept until shortly before they expire.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_s3::config::{ProvideCredentials as _, SharedCredentialsProvider};
use aws_smithy_runtime_api::client::identity::Identity;
use boards_storage_core::{Clock, SystemClock};
use jiff::Timestamp;

/// How long before they expire credentials are no longer used, as in the SDK.
const BEFORE_EXPIRY: Duration = Duration::from_secs(10);

/// How long credentials without an expiry are used, as in the SDK.
const UNLIMITED: Duration = Duration::from_secs(15 * 60);

/// How long the provider of credentials may take, as in the SDK.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// Credentials of a provider, asked for again when they are about to expire: by one caller, while the others wait.
#[derive(Debug)]
pub(crate) struct Identities {
    provider: SharedCredentialsProvider,
    clock: Arc<dyn Clock>,
    held: Mutex<Option<Held>>,
    asking: tokio::sync::Mutex<()>,
}

#[derive(Clone, Debug)]
struct Held {
    identity: Identity,
    until: SystemTime,
}

impl Identities {
    pub(crate) fn of(provider: SharedCredentialsProvider) -> Self {
        Self::with_clock(provider, Arc::new(SystemClock))
    }

    fn with_clock(provider: SharedCredentialsProvider, clock: Arc<dyn Clock>) -> Self {
        Self {
            provider,
            clock,
            held: Mutex::new(None),
            asking: tokio::sync::Mutex::new(()),
        }
    }

    /// Returns what signs at the time that is returned with it.
    pub(crate) async fn now(&self) -> Result<(Identity, SystemTime), CredentialsError> {
        let now = self.time();
        if let Some(identity) = self.held(now) {
            return Ok((identity, now));
        }
        let _one_at_a_time = self.asking.lock().await;
        let now = self.time();
        if let Some(identity) = self.held(now) {
            return Ok((identity, now));
        }
        let asked = tokio::time::timeout(ANSWER_WITHIN, self.provider.provide_credentials()).await;
        let credentials = asked.map_err(|_elapsed| CredentialsError::provider_timed_out(ANSWER_WITHIN))??;
        Ok((self.hold(credentials), self.time()))
    }

    fn hold(&self, credentials: Credentials) -> Identity {
        let until = match credentials.expiry() {
            Some(expiry) => expiry.checked_sub(BEFORE_EXPIRY),
            None => self.time().checked_add(UNLIMITED),
        };
        let identity = Identity::from(credentials);
        *self.held.lock().unwrap_or_else(PoisonError::into_inner) = until.map(|until| Held {
            identity: identity.clone(),
            until,
        });
        identity
    }

    fn held(&self, now: SystemTime) -> Option<Identity> {
        let held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.as_ref()
            .filter(|held| now < held.until)
            .map(|held| held.identity.clone())
    }

    fn time(&self) -> SystemTime {
        system_time(self.clock.now())
    }
}

/// To the second, as signatures have it.
fn system_time(time: Timestamp) -> SystemTime {
    let seconds = u64::try_from(time.as_second()).unwrap_or(0);
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicI64, AtomicU32, Ordering};

    use super::*;
    use aws_credential_types::provider::future::ProvideCredentials as Answer;
    use aws_sdk_s3::config::ProvideCredentials;

    /// Gives the first keys, the second keys and so on, each valid for as long; fails where it has no more.
    #[derive(Clone, Debug, Default)]
    struct World {
        now: Arc<AtomicI64>,
        asked: Arc<AtomicU32>,
        valid_for: Option<Duration>,
        is_slow: bool,
    }

    impl Clock for World {
        fn now(&self) -> Timestamp {
            Timestamp::from_second(self.now.load(Ordering::Relaxed)).expect("a time")
        }
    }

    impl ProvideCredentials for World {
        fn provide_credentials<'a>(&'a self) -> Answer<'a>
        where
            Self: 'a,
        {
            Answer::new(async move {
                if self.is_slow {
                    tokio::time::sleep(Duration::from_secs(60)).await;
                }
                tokio::task::yield_now().await;
                let id = self.asked.fetch_add(1, Ordering::Relaxed).to_string();
                let expiry = self.valid_for.map(|time| system_time(Clock::now(self)) + time);
                Ok(Credentials::new(id, "secret", None, expiry, "test"))
            })
        }
    }

    impl World {
        fn identities(&self) -> Identities {
            Identities::with_clock(
                SharedCredentialsProvider::new(self.clone()),
                Arc::new(self.clone()),
            )
        }
    }

    async fn id_of(identities: &Identities) -> String {
        let (identity, _) = identities.now().await.expect("credentials");
        let credentials = identity.data::<Credentials>().expect("credentials");
        credentials.access_key_id().to_owned()
    }

    #[tokio::test]
    async fn credentials_are_kept_until_shortly_before_they_expire() {
        let world = World {
            valid_for: Some(Duration::from_secs(100)),
            ..World::default()
        };
        let identities = world.identities();
        for (second, id) in [(0, "0"), (89, "0"), (90, "1"), (179, "1"), (500, "2")] {
            world.now.store(second, Ordering::Relaxed);
            assert_eq!(id_of(&identities).await, id, "second {second}");
        }
    }

    #[tokio::test]
    async fn credentials_without_an_expiry_are_asked_for_every_quarter_of_an_hour() {
        let world = World::default();
        let identities = world.identities();
        for (second, id) in [(0, "0"), (899, "0"), (900, "1")] {
            world.now.store(second, Ordering::Relaxed);
            assert_eq!(id_of(&identities).await, id, "second {second}");
        }
    }

    #[tokio::test]
    async fn one_asks_for_all_that_wait() {
        let world = World::default();
        let identities = world.identities();
        let (one, other) = tokio::join!(id_of(&identities), id_of(&identities));
        assert_eq!((one.as_str(), other.as_str()), ("0", "0"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_provider_that_does_not_answer_is_not_waited_for() {
        let world = World {
            is_slow: true,
            ..World::default()
        };
        let error = world.identities().now().await.expect_err("it is slow");
        assert!(
            matches!(error, CredentialsError::ProviderTimedOut(_)),
            "{error:?}"
        );
    }
}

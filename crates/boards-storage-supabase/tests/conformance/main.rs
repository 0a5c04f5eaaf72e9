//! The conformance suite, against the double and, where settings name one, against a live project.
//!
//! `BOARDS_STORAGE_TEST_SUPABASE__URL`, `…__KEY` and `…__BUCKET` name a live project.

mod executor;

use std::sync::Arc;

use boards_storage_core::{Capability, Error, ErrorKind, Result, SharedProvider};
use boards_storage_supabase::{SupabaseProvider, SupabaseSettings};
use boards_storage_testkit::conformance::{self, Fixture, Suite};
use boards_storage_testkit::{SupabaseBackend, SupabaseDouble, SupabaseLocation, SupabaseOptions};

use executor::HttpExecutor;

const BUCKET: &str = "artifacts";

/// What every Supabase server must have, as this provider uses it.
const PINNED: &[Capability] = &[
    Capability::Range,
    Capability::ConditionalDownload,
    Capability::List,
    Capability::ListDelimiter,
    Capability::ListStartAfter,
    Capability::TruthfulDelete,
    Capability::DeleteMany,
    Capability::Copy,
    Capability::CopyAttributes,
    Capability::Multipart,
    Capability::StreamingUpload,
    Capability::PresignedUpload,
    Capability::PresignedDownload,
    Capability::ContentType,
    Capability::CacheControl,
    Capability::UserMetadata,
    Capability::Digest,
    Capability::WriteId,
];

fn main() {
    let s3 = SupabaseOptions::default().with_size_bytes_max(1 << 30);
    let file = s3
        .clone()
        .with_backend(SupabaseBackend::File)
        .with_location(SupabaseLocation::Https);
    let old = s3
        .clone()
        .with_old(true)
        .with_location(SupabaseLocation::Unreachable);
    let mut suites = vec![
        double("double_s3", s3),
        double("double_file", file),
        double("double_old", old),
    ];
    suites.extend(live());
    conformance::run_all(suites);
}

fn double(name: &'static str, options: SupabaseOptions) -> Suite {
    let suite = Suite::new(name, move || Box::pin(open_double(options.clone())));
    suite.requires(PINNED)
}

async fn open_double(options: SupabaseOptions) -> Result<Fixture> {
    let double = SupabaseDouble::start(options)
        .await
        .map_err(|error| Error::new(ErrorKind::ProviderUnavailable, "no double").with_source(error))?;
    let double = Arc::new(double);
    let settings = SupabaseSettings::new(double.url(), double.service_key(), BUCKET).with_create_bucket();
    let clock = Arc::clone(&double);
    Ok(fixture(settings)
        .await?
        .with_clock(move |time| clock.advance(time))
        .with_guard(double))
}

async fn fixture(settings: SupabaseSettings) -> Result<Fixture> {
    let provider: SharedProvider = Arc::new(SupabaseProvider::open("supabase", settings.clone()).await?);
    let open_second = move || {
        let settings = settings.clone();
        Box::pin(async move {
            let second = SupabaseProvider::open("supabase", settings).await?;
            Ok(Arc::new(second) as SharedProvider)
        }) as boards_storage_core::BoxFuture<'static, Result<SharedProvider>>
    };
    Ok(Fixture::new(provider)
        .with_executor(Arc::new(HttpExecutor::default()))
        .with_second(open_second))
}

/// The live project, if one is named.
fn live() -> Option<Suite> {
    #[expect(
        clippy::disallowed_methods,
        reason = "a live project is named in the environment"
    )]
    let named = |name: &str| std::env::var(format!("BOARDS_STORAGE_TEST_SUPABASE__{name}")).ok();
    let (url, key, bucket) = (named("URL")?, named("KEY")?, named("BUCKET")?);
    let suite = Suite::new("live", move || {
        let settings = SupabaseSettings::new(url.clone(), key.clone(), bucket.clone()).with_create_bucket();
        Box::pin(fixture(settings))
    });
    Some(suite.requires(PINNED))
}

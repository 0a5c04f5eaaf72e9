//! `route explain`: where an artifact would go, and why.

use std::path::PathBuf;

use boards_storage::{
    AccessClass, ArtifactType, BoardId, ByteSize, Content, ContentType, EncryptionDemand, RouteExplanation,
    RouteQuery, RouteSize, Router, Storage, TenantId,
};
use clap::{Args, Subcommand};

use crate::arguments::parsed;
use crate::errors::Result;
use crate::output::{Output, escape};
use crate::session::Session;
use crate::settings;

/// See where artifacts go
#[derive(Debug, Args)]
pub(crate) struct Route {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    Explain(Explain),
}

/// Say where an artifact would go, and why; nothing is stored
///
/// What is not said is taken from FILE, else it is what `put` would take. Without a size it is a stream whose length
/// nobody knows.
#[derive(Debug, Args)]
struct Explain {
    /// A file that would be stored
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,

    /// What it is: image, video, audio, text, model, dataset, intermediate or a type of your own
    #[arg(short = 't', long = "type", value_name = "TYPE", value_parser = parsed::<ArtifactType>)]
    artifact_type: ArtifactType,

    /// How large it is, such as 150MB (10^6 bytes each) or 150MiB (2^20)
    #[arg(long, value_name = "SIZE", value_parser = parsed::<ByteSize>)]
    size: Option<ByteSize>,

    /// The content type
    #[arg(long, value_name = "TYPE/SUBTYPE", value_parser = parsed::<ContentType>)]
    content_type: Option<ContentType>,

    /// Whose it is [default: default]
    #[arg(long, value_name = "TENANT", value_parser = parsed::<TenantId>)]
    tenant: Option<TenantId>,

    /// The board that it belongs to
    #[arg(long, value_name = "BOARD", value_parser = parsed::<BoardId>)]
    board: Option<BoardId>,

    /// How it may be reached: public, private, temporary or authenticated
    #[arg(long, value_name = "CLASS", default_value = "private", value_parser = parsed::<AccessClass>)]
    access: AccessClass,
}

impl Route {
    pub(super) async fn run(self, session: &mut Session) -> Result<()> {
        let Action::Explain(explain) = self.action;
        explain.run(session).await
    }
}

impl Explain {
    async fn run(self, session: &mut Session) -> Result<()> {
        let settings = settings::find(&session.global).await?.load()?.settings.storage;
        let registry = Storage::registry()?;
        let router = Router::new(settings.default_provider.clone(), settings.routing_rules.clone())
            .with_fallback(settings.fallback.clone());
        // Of a provider whose type is not compiled in nothing is known.
        let protection = |name: &str| {
            let provider = settings.providers.get(name)?;
            registry.find(&provider.kind).ok()?;
            registry.protection(provider).ok()
        };
        let explanation = router.explain(&self.query().await?, protection);
        if session.output.json {
            return session.output.json(&explanation);
        }
        write(&mut session.output, &explanation)
    }

    async fn query(&self) -> Result<RouteQuery> {
        let length = match (&self.size, &self.file) {
            (Some(size), _) => Some(size.bytes()),
            (None, Some(file)) => Content::from_path(file).await?.length(),
            (None, None) => None,
        };
        let size = length.map_or(RouteSize::AtLeast(0), RouteSize::Exactly);
        let of_file = || ContentType::from_file_name(&self.file.as_ref()?.to_string_lossy());
        let content_type = self
            .content_type
            .clone()
            .or_else(of_file)
            .unwrap_or_else(ContentType::octet_stream);
        let mut query = RouteQuery::new(self.artifact_type.clone(), size, content_type)
            .with_tenant(self.tenant.clone().unwrap_or_default())
            .with_access(self.access);
        query.board.clone_from(&self.board);
        Ok(query)
    }
}

fn write(output: &mut Output, explanation: &RouteExplanation) -> Result<()> {
    let decision = match (&explanation.provider, explanation.matched_rule) {
        (Some(provider), Some(rule)) => format!("goes to '{provider}', by rule {}", rule + 1),
        (Some(provider), None) => format!("goes to '{provider}', the default provider: no rule matches"),
        (None, _) => "depends on the size, which is not known; give --size, or a file".to_owned(),
    };
    output.line(&escape(&decision))?;
    for place in &explanation.fallback {
        let line = match &place.passed_over {
            Some(why) => format!("  '{}' does not stand in: {why}", place.provider),
            None => format!("  if that cannot take it, '{}' does", place.provider),
        };
        output.note(&escape(&line))?;
    }
    if explanation.encryption == EncryptionDemand::Required {
        output.note("  it must be encrypted at rest")?;
    }
    for rule in &explanation.rules {
        let name = rule
            .name
            .as_ref()
            .map(|name| format!(" '{name}'"))
            .unwrap_or_default();
        let reasons = rule.reasons.join("; ");
        let line = format!(
            "  rule {}{name}, to '{}': {}: {reasons}",
            rule.rule + 1,
            rule.provider,
            rule.verdict
        );
        output.note(&escape(&line))?;
    }
    Ok(())
}

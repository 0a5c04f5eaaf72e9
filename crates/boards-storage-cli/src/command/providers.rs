//! `providers`: what is configured, and what could be.

use boards_storage::{Capability, ErrorKind, ProviderSettings, Registry, SharedProvider, Storage};
use clap::Args;
use serde_json::{Value, json};

use crate::errors::Result;
use crate::output::{Table, escape};
use crate::session::Session;
use crate::settings;

/// List the configured providers, and the types that the program knows
///
/// With -v each provider's capabilities too. A provider that cannot be opened is listed with the reason; the exit
/// code is 0 all the same, `boards-storage doctor` is the command that judges.
#[derive(Debug, Args)]
pub(crate) struct Providers {}

/// A configured provider, opened or not.
struct Configured {
    settings: ProviderSettings,
    is_default: bool,
    opened: boards_storage::Result<SharedProvider>,
}

impl Providers {
    pub(super) async fn run(self, session: &mut Session) -> Result<()> {
        let loaded = settings::find(&session.global).await?.load()?;
        let registry = Storage::registry()?;
        let storage = &loaded.settings.storage;
        let mut configured = Vec::new();
        for settings in storage.providers.values() {
            let is_default = settings.name == storage.default_provider;
            configured.push(Configured {
                settings: settings.clone(),
                is_default,
                opened: registry.open(settings).await,
            });
        }
        if session.output.json {
            let providers: Vec<Value> = configured.iter().map(Configured::to_json).collect();
            return session
                .output
                .json(&json!({ "providers": providers, "types": types(&registry) }));
        }
        write(session, &configured, &registry)
    }
}

fn write(session: &mut Session, configured: &[Configured], registry: &Registry) -> Result<()> {
    let mut table = Table::new(&["PROVIDER", "TYPE", "DEFAULT", "LOCATION"]);
    for provider in configured {
        let default = if provider.is_default { "yes" } else { "" };
        table.row([
            &provider.settings.name,
            &provider.settings.kind,
            default,
            &provider.location(),
        ]);
    }
    table.write(&mut session.output)?;
    if session.global.verbose > 0 {
        for provider in configured {
            let names = provider.capabilities().join(", ");
            session
                .output
                .line(&escape(&format!("{} can: {names}", provider.settings.name)))?;
        }
    }
    if !session.output.is_terminal || session.output.quiet {
        return Ok(());
    }
    session.output.line("")?;
    let mut table = Table::new(&["KNOWN TYPE", ""]);
    for entry in types(registry) {
        table.row([text(&entry, "type"), text(&entry, "summary")]);
    }
    table.write(&mut session.output)
}

impl Configured {
    /// Returns where the objects are, else why nobody knows.
    fn location(&self) -> String {
        match &self.opened {
            Ok(provider) => provider.info().location,
            Err(error) if error.kind() == ErrorKind::Configuration => format!("({})", error.message()),
            Err(error) => format!("(cannot be opened: {})", error.message()),
        }
    }

    fn capabilities(&self) -> Vec<&'static str> {
        self.opened
            .iter()
            .flat_map(|provider| provider.capabilities().iter())
            .map(Capability::name)
            .collect()
    }

    fn to_json(&self) -> Value {
        json!({
            "name": self.settings.name,
            "type": self.settings.kind,
            "is_default": self.is_default,
            "location": self.opened.as_ref().ok().map(|provider| provider.info().location),
            "capabilities": self.capabilities(),
            "error": self.opened.as_ref().err().map(|error| error.message().to_owned()),
        })
    }
}

/// Returns every type, and what it is or how to get it.
fn types(registry: &Registry) -> Vec<Value> {
    let describe = |kind: &str| match registry.plugins().find(|plugin| plugin.kind() == kind) {
        Some(plugin) => json!({ "type": kind, "is_compiled_in": true, "summary": plugin.summary() }),
        None => {
            let how = registry.how_to_enable(kind).unwrap_or_default();
            json!({ "type": kind, "is_compiled_in": false, "summary": format!("not compiled in: {how}") })
        }
    };
    registry.known_kinds().map(describe).collect()
}

fn text<'v>(value: &'v Value, field: &str) -> &'v str {
    value.get(field).and_then(Value::as_str).unwrap_or_default()
}

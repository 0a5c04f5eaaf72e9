//! `url`: a URL by which the bytes can be fetched without the program.

use boards_storage::{FriendlyDuration, PresignDownloadOptions, SignedMethod};
use clap::Args;

use crate::address::Address;
use crate::arguments::{Selection, parsed};
use crate::errors::Result;
use crate::output::escape;
use crate::session::Session;
use crate::settings;

/// Print a URL to fetch an artifact's bytes from
///
/// A public artifact has its public URL, where the provider has one; any other gets a signed URL, which whoever
/// holds it can use until it expires.
#[derive(Debug, Args)]
pub(crate) struct Url {
    /// An artifact id, a storage key or a boards-storage:// URL
    #[arg(value_name = "ID|KEY", value_parser = parsed::<Address>)]
    address: Address,

    /// How long a signed URL can be used
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = parsed::<FriendlyDuration>)]
    expires: FriendlyDuration,

    #[command(flatten)]
    selection: Selection,
}

impl Url {
    pub(super) async fn run(self, session: &mut Session) -> Result<()> {
        let storage = settings::open(session).await?;
        let reference = self.address.find(&storage, &self.selection).await?;
        let mut options = PresignDownloadOptions::default();
        options.expires_in = self.expires.get();
        let url = storage.get_download_url(&reference, &options).await?;
        storage.close().await?;
        let request = &url.request;
        if session.output.json {
            let mut value = serde_json::json!(request);
            value["is_public"] = url.is_public.into();
            if url.is_public {
                value["expires_at"] = serde_json::Value::Null;
            }
            return session.output.json(&value);
        }
        session.output.line(&escape(&request.url))?;
        if request.method == SignedMethod::Get && request.headers.is_empty() {
            return Ok(());
        }
        session.output.note(&format!("# send it as {}", request.method))?;
        for (name, value) in &request.headers {
            session
                .output
                .note(&escape(&format!("# with the header {name}: {value}")))?;
        }
        Ok(())
    }
}

//! `completions`: what a shell needs to complete command lines.

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use crate::arguments::Cli;
use crate::errors::Result;
use crate::session::Session;

/// Print the completions of a shell
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  boards-storage completions bash > ~/.local/share/bash-completion/completions/boards-storage
  boards-storage completions fish > ~/.config/fish/completions/boards-storage.fish")]
pub(crate) struct Completions {
    /// The shell
    shell: Shell,
}

impl Completions {
    pub(super) fn run(self, session: &mut Session) -> Result<()> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::command(), "boards-storage", &mut script);
        if session.output.json {
            let script = String::from_utf8_lossy(&script);
            return session
                .output
                .json(&serde_json::json!({ "shell": self.shell.to_string(), "script": script }));
        }
        session.output.raw(&script)
    }
}

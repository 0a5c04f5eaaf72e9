//! Progress bars on the standard error, for somebody who looks at a terminal.

use std::io::IsTerminal;
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::arguments::Global;
use crate::output::escape;

/// The bars of a command: none in a pipe, none if the caller wants quiet.
#[derive(Clone, Debug)]
pub(crate) struct Progress {
    bars: Option<MultiProgress>,
}

impl Progress {
    pub(crate) fn new(global: &Global) -> Self {
        let is_wanted = !global.quiet && !global.no_progress && std::io::stderr().is_terminal();
        Self {
            bars: is_wanted.then(|| MultiProgress::with_draw_target(ProgressDrawTarget::stderr())),
        }
    }

    /// Takes the bars off the terminal while `write` writes lines to it.
    pub(crate) fn aside<T>(&self, write: impl FnOnce() -> T) -> T {
        match &self.bars {
            Some(bars) => bars.suspend(write),
            None => write(),
        }
    }

    /// Begins a bar for the transfer of so many bytes, or a spinner if nobody knows how many.
    pub(crate) fn begin(&self, name: &str, length: Option<u64>) -> Bar {
        let bar = self.bars.as_ref().map(|bars| {
            let template = match length {
                Some(_) => {
                    "{msg} {wide_bar} {decimal_bytes}/{decimal_total_bytes} {decimal_bytes_per_sec} {eta}"
                }
                None => "{msg} {spinner} {decimal_bytes} {decimal_bytes_per_sec}",
            };
            let style =
                ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
            let bar = bars
                .add(ProgressBar::new(length.unwrap_or_default()))
                .with_style(style)
                .with_message(escape(name));
            bar.enable_steady_tick(Duration::from_millis(200));
            bar
        });
        Bar(bar)
    }
}

/// One bar; it goes away when it is dropped.
#[derive(Debug)]
pub(crate) struct Bar(Option<ProgressBar>);

impl Bar {
    /// Returns what moves the bar to so many bytes.
    pub(crate) fn mover(&self) -> impl Fn(u64) + Send + Sync + 'static {
        let bar = self.0.clone();
        move |bytes| {
            if let Some(bar) = &bar {
                bar.set_position(bytes);
            }
        }
    }

    /// Returns whether there is somebody to see it.
    pub(crate) fn is_shown(&self) -> bool {
        self.0.is_some()
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        if let Some(bar) = &self.0 {
            bar.finish_and_clear();
        }
    }
}

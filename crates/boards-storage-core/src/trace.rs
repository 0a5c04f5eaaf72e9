//! The caller's trace: what a `traceparent` says, and spans that go on with it.

use std::fmt;
use std::str::FromStr;

use tracing::Span;

use crate::error::{Error, Result};
use crate::options::CallContext;

/// A W3C `traceparent`: the trace and the span that a caller is in.
///
/// # Examples
///
/// ```
/// use boards_storage_core::TraceParent;
///
/// let text = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
/// let parent: TraceParent = text.parse()?;
/// assert!(parent.is_sampled());
/// assert_eq!(parent.to_string(), text);
/// # Ok::<(), boards_storage_core::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TraceParent {
    trace_id: u128,
    span_id: u64,
    flags: u8,
}

impl TraceParent {
    /// Returns the id of the trace; never zero.
    #[must_use]
    pub fn trace_id(self) -> u128 {
        self.trace_id
    }

    /// Returns the id of the caller's span; never zero.
    #[must_use]
    pub fn span_id(self) -> u64 {
        self.span_id
    }

    /// Returns whether the caller keeps the trace.
    #[must_use]
    pub fn is_sampled(self) -> bool {
        self.flags & 1 == 1
    }
}

impl FromStr for TraceParent {
    type Err = Error;

    /// Reads `version-trace-span-flags` in lower-case hex, as the W3C recommendation has it: of a version that is not
    /// known, the first four fields.
    fn from_str(text: &str) -> Result<Self> {
        parse(text).ok_or_else(|| {
            let shown: String = text.chars().take(80).collect();
            Error::invalid_input(format!("{shown:?} is not a traceparent"))
                .with_help("give it as '00-<32 hex digits>-<16 hex digits>-<2 hex digits>'")
        })
    }
}

fn parse(text: &str) -> Option<TraceParent> {
    let mut fields = text.split('-');
    let mut hex = |digits: usize| {
        let field = fields.next()?;
        let is_hex = field.len() == digits
            && field
                .bytes()
                .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        is_hex.then(|| u128::from_str_radix(field, 16).ok()).flatten()
    };
    let (version, trace_id, span_id, flags) = (hex(2)?, hex(32)?, hex(16)?, hex(2)?);
    let has_more = fields.next().is_some();
    let is_valid = version != 0xff && trace_id != 0 && span_id != 0 && !(version == 0 && has_more);
    is_valid.then_some(TraceParent {
        trace_id,
        span_id: u64::try_from(span_id).ok()?,
        flags: u8::try_from(flags).ok()?,
    })
}

impl fmt::Display for TraceParent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "00-{:032x}-{:016x}-{:02x}",
            self.trace_id, self.span_id, self.flags
        )
    }
}

impl CallContext {
    /// Makes a span that was just created a child of the caller's span, where spans go to OpenTelemetry: by the
    /// feature `otel` and a `tracing_opentelemetry` layer. Otherwise it does nothing.
    ///
    /// A span that is created within the caller's trace already, in this process, stays where it is. A `traceparent`
    /// that cannot be read is no parent.
    pub fn adopt(&self, span: &Span) {
        #[cfg(feature = "otel")]
        otel::adopt(self, span);
        #[cfg(not(feature = "otel"))]
        let _nobody = span;
    }
}

#[cfg(feature = "otel")]
mod otel {
    use opentelemetry::Context;
    use opentelemetry::trace::{SpanContext, SpanId, TraceContextExt, TraceFlags, TraceId, TraceState};
    use tracing::Span;
    use tracing_opentelemetry::OpenTelemetrySpanExt;

    use super::TraceParent;
    use crate::options::CallContext;

    pub(super) fn adopt(context: &CallContext, span: &Span) {
        let parent = context.trace_parent.as_deref().map(str::parse::<TraceParent>);
        let Some(Ok(parent)) = parent else { return };
        let trace_id = TraceId::from_bytes(parent.trace_id.to_be_bytes());
        if Span::current().context().span().span_context().trace_id() == trace_id {
            return;
        }
        let remote = SpanContext::new(
            trace_id,
            SpanId::from_bytes(parent.span_id.to_be_bytes()),
            TraceFlags::new(parent.flags),
            true,
            TraceState::NONE,
        );
        // It fails where spans do not go to OpenTelemetry: nobody misses a parent there.
        let _ = span.set_parent(Context::new().with_remote_span_context(remote));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, is_valid: bool) {
        assert_eq!(text.parse::<TraceParent>().is_ok(), is_valid, "{text}");
    }

    #[test]
    fn a_trace_parent_is_as_the_recommendation_has_it() {
        let (trace, span) = ("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7");
        check(&format!("00-{trace}-{span}-00"), true);
        check(&format!("00-{trace}-{span}-01-more"), false);
        check(&format!("cc-{trace}-{span}-01-more"), true);
        check(&format!("ff-{trace}-{span}-01"), false);
        check(&format!("00-{}-{span}-01", trace.to_uppercase()), false);
        check(&format!("00-{}-{span}-01", "0".repeat(32)), false);
        check(&format!("00-{trace}-{}-01", "0".repeat(16)), false);
        check(&format!("00-{trace}-{span}-1"), false);
        check(&format!("00-{trace}-{span}"), false);
        check(&format!("00-+{}-{span}-01", &trace[1..]), false);
        check("", false);
    }

    #[test]
    fn a_trace_parent_is_read_as_it_was_written() {
        let text = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00";
        let parent: TraceParent = text.parse().expect("valid");
        assert_eq!(parent.trace_id(), 0x0af7_6519_16cd_43dd_8448_eb21_1c80_319c);
        assert_eq!(parent.span_id(), 0xb7ad_6b71_6920_3331);
        assert!(!parent.is_sampled());
        assert_eq!(parent.to_string(), text);
    }
}

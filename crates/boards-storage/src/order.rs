//! The layers of every provider: which ones the settings switch on, and their order. It is decided here and nowhere else.

use std::sync::Arc;

use boards_storage_core::{
    BreakerSettings, BreakerWindow, HedgeSettings, Layer, ResilienceSettings, RetrySettings, SharedProvider,
    Stack, TimeoutSettings, TrafficSettings,
};
use boards_storage_layers::{
    BreakerConfig, BreakerHandle, BreakerLayer, BreakerSpan, ContextLayer, DeadlineLayer, HedgeConfig,
    HedgeLayer, LimitsConfig, LimitsLayer, Metrics, MetricsLayer, RetryConfig, RetryLayer, TimeoutConfig,
    TimeoutLayer, TracingLayer,
};

/// Returns the layers that a provider gets by its settings, outermost first: what [`Storage::builder`] puts around
/// every provider.
///
/// The calls and attempts are counted in `metrics`, which all providers of a storage share.
///
/// The layers belong to one provider: its budget, its breaker and its limits are shared by all calls through them.
///
/// [`Storage::builder`]: crate::Storage::builder
///
/// # Examples
///
/// ```
/// use boards_storage::layers::Metrics;
/// use boards_storage::{default_layers, ResilienceSettings, SharedProvider, Stack};
///
/// fn as_configured(provider: SharedProvider) -> Stack {
///     default_layers(&ResilienceSettings::default(), Some(&Metrics::default())).around("main", provider)
/// }
/// ```
#[must_use]
pub fn default_layers(resilience: &ResilienceSettings, metrics: Option<&Metrics>) -> DefaultLayers {
    let mut layers: Vec<Arc<dyn Layer>> = vec![Arc::new(DeadlineLayer::new())];
    if let Some(metrics) = metrics {
        layers.push(Arc::new(MetricsLayer::call(metrics)));
    }
    layers.push(Arc::new(TracingLayer::call()));
    #[cfg(feature = "encryption")]
    let outside = layers.len();
    if resilience.hedge.enabled {
        layers.push(Arc::new(HedgeLayer::new(hedge_config(&resilience.hedge))));
    }
    if resilience.retry.enabled {
        layers.push(Arc::new(RetryLayer::new(retry_config(&resilience.retry))));
    }
    let breaker = resilience
        .breaker
        .enabled
        .then(|| BreakerLayer::new(&breaker_config(&resilience.breaker)));
    let handle = breaker.as_ref().map(BreakerLayer::handle);
    if let (Some(metrics), Some(handle)) = (metrics, &handle) {
        metrics.watch(handle);
    }
    layers.extend(breaker.map(|breaker| Arc::new(breaker) as Arc<dyn Layer>));
    if resilience.limits.enabled {
        layers.push(Arc::new(LimitsLayer::new(limits_config(&resilience.limits))));
    }
    if let Some(metrics) = metrics {
        layers.push(Arc::new(MetricsLayer::attempt(metrics)));
    }
    layers.push(Arc::new(TracingLayer::attempt()));
    if resilience.timeout.enabled {
        layers.push(Arc::new(TimeoutLayer::new(timeout_config(&resilience.timeout))));
    }
    layers.push(Arc::new(ContextLayer::new()));
    DefaultLayers {
        layers,
        #[cfg(feature = "encryption")]
        outside,
        breaker: handle,
    }
}

/// The [layers](default_layers) of one provider.
#[derive(Debug)]
pub struct DefaultLayers {
    layers: Vec<Arc<dyn Layer>>,
    /// How many of them see what the caller sees.
    #[cfg(feature = "encryption")]
    outside: usize,
    breaker: Option<BreakerHandle>,
}

impl DefaultLayers {
    /// Returns what reads the state of the circuit breaker; `None` if it is switched off.
    #[must_use]
    pub fn breaker(&self) -> Option<&BreakerHandle> {
        self.breaker.as_ref()
    }

    /// Encrypts: inside of what counts calls, outside of all that may keep or repeat bytes.
    #[cfg(feature = "encryption")]
    #[must_use]
    pub fn with_encryption(mut self, encryption: boards_storage_layers::EncryptionLayer) -> Self {
        self.layers.insert(self.outside, Arc::new(encryption));
        self
    }

    /// Returns the layers, outermost first.
    #[must_use]
    pub fn into_layers(self) -> Vec<Arc<dyn Layer>> {
        self.layers
    }

    /// Puts the layers around a provider that is known by `name`.
    #[must_use]
    pub fn around(self, name: impl Into<Arc<str>>, provider: SharedProvider) -> Stack {
        Stack::new(name, provider, self.layers)
    }
}

fn timeout_config(timeout: &TimeoutSettings) -> TimeoutConfig {
    TimeoutConfig::default()
        .with_control(timeout.control.into())
        .with_bulk(timeout.bulk.into())
        .with_idle(timeout.idle.into())
        .with_bytes_per_second_min(timeout.upload_per_second_min.bytes())
}

fn retry_config(retry: &RetrySettings) -> RetryConfig {
    // Without a budget only the attempts and the time bound the repeats.
    let tokens_max = if retry.budget.enabled {
        retry.budget.tokens_max
    } else {
        u32::MAX
    };
    RetryConfig::default()
        .with_budget_tokens_max(tokens_max)
        .with_attempts_max(retry.attempts_max)
        .with_time_max(retry.time_max.into())
        .with_resumes_max(retry.resumes_max)
        .with_delay_initial(retry.delay_initial.into())
        .with_delay_max(retry.delay_max.into())
}

fn breaker_config(breaker: &BreakerSettings) -> BreakerConfig {
    let window = match breaker.window {
        BreakerWindow::Time => BreakerSpan::Time(breaker.window_time.into()),
        BreakerWindow::Calls => BreakerSpan::Calls(breaker.window_calls),
    };
    BreakerConfig::default()
        .with_window(window)
        .with_calls_min(breaker.calls_min)
        .with_failure_rate_percent(breaker.failure_rate_percent)
        .with_slow_rate_percent(breaker.slow_rate_percent)
        .with_slow_time(breaker.slow_time.into())
        .with_open_time(breaker.open_time.into())
        .with_half_open_calls(breaker.half_open_calls)
}

fn limits_config(limits: &TrafficSettings) -> LimitsConfig {
    LimitsConfig::default()
        .with_concurrency(limits.concurrency)
        .with_queue_length(limits.queue_length)
        .with_queue_time(limits.queue_time.into())
        .with_requests_per_second(limits.requests_per_second)
        .with_upload_bytes_per_second(limits.upload_per_second.bytes())
        .with_download_bytes_per_second(limits.download_per_second.bytes())
}

fn hedge_config(hedge: &HedgeSettings) -> HedgeConfig {
    HedgeConfig::default()
        .with_percentile(hedge.percentile)
        .with_samples_min(hedge.samples_min)
        .with_delay_min(hedge.delay_min.into())
        .with_delay_max(hedge.delay_max.into())
        .with_extra_load_percent(hedge.extra_load_percent)
}

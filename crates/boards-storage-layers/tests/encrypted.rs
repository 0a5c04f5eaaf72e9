//! The encryption layer over the memory store: the conformance suite notices only what the layer's capabilities say.

use std::sync::Arc;

use boards_storage_core::{
    BoxFuture, Capability, Layer, Next, ObjectIdentity, Operation, Outcome, Result, SharedProvider, Stack,
    StorageKey, TenantId, async_trait,
};
use boards_storage_layers::{
    ContextLayer, EncryptionLayer, HedgeLayer, Keyring, MemoryTenantKeyStore, RetryLayer, SecretKey,
    TenantKeys, TimeoutLayer,
};
use boards_storage_testkit::MemoryProvider;
use boards_storage_testkit::conformance::{self, Fixture, Suite};

type Inner = fn() -> Vec<Arc<dyn Layer>>;

fn main() {
    let suites: [(&str, Inner); 2] = [
        ("encryption", Vec::new),
        ("encryption_outside_of_retry", || {
            vec![
                Arc::new(HedgeLayer::default()),
                Arc::new(RetryLayer::default()),
                Arc::new(TimeoutLayer::default()),
                Arc::new(ContextLayer::new()),
            ]
        }),
    ];
    conformance::run_all(suites.map(|(name, inner)| {
        let suite = Suite::new(name, move || fixture(inner)).leaves_out(
            "metadata::user_metadata_at_its_limit_is_kept",
            "sealed fields take a third more: the layer's own tests have the limit",
        );
        suite.requires(&[
            Capability::Range,
            Capability::Multipart,
            Capability::StreamingUpload,
            Capability::VerifiedRead,
            Capability::Copy,
        ])
    }));
}

/// A stack over a memory store. The second handle shares the layer: another process would not know the uploads in
/// parts, which is the layer's own test.
fn fixture(inner: Inner) -> BoxFuture<'static, Result<Fixture>> {
    Box::pin(async move {
        let memory = MemoryProvider::new();
        let keyring = Keyring::new("test", SecretKey::random()?)?;
        let keys = TenantKeys::new(Arc::new(keyring), Arc::new(MemoryTenantKeyStore::default()));
        let encryption = Arc::new(EncryptionLayer::new(keys));
        let stack = move |memory: &Arc<MemoryProvider>| {
            let mut layers: Vec<Arc<dyn Layer>> =
                vec![Arc::new(Identify), Arc::clone(&encryption) as Arc<dyn Layer>];
            layers.extend(inner());
            Arc::new(Stack::new("main", Arc::clone(memory) as SharedProvider, layers)) as SharedProvider
        };
        let (second, damaged) = (Arc::clone(&memory), Arc::clone(&memory));
        Ok(Fixture::new(stack(&memory))
            .with_executor(memory.executor())
            .with_second(move || {
                let second = stack(&second);
                Box::pin(async { Ok(second) })
            })
            .with_damage(move |key: StorageKey| {
                let damaged = Arc::clone(&damaged);
                Box::pin(async move { damaged.damage(&key) })
            }))
    })
}

/// Says of every call that it is about one object: copies keep it, whatever the key.
#[derive(Debug)]
struct Identify;

#[async_trait]
impl Layer for Identify {
    fn name(&self) -> &'static str {
        "identify"
    }

    async fn around(&self, mut operation: Operation, next: Next) -> Result<Outcome> {
        let identity = ObjectIdentity::new(TenantId::default(), "the object")?;
        operation.context_mut().object = Some(Arc::new(identity));
        next.run(operation).await
    }
}

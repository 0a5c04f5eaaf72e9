//! Which object a call is about, beside its key.

use std::sync::Arc;

use crate::error::{Error, Result};
use crate::scope::{TenantId, VersionId};

/// Which object a call is about, whatever its key is: what encryption binds the bytes to.
///
/// The same object keeps its identity where it is copied or moved; two objects never share one.
///
/// # Examples
///
/// ```
/// use boards_storage_core::{CallContext, ObjectIdentity, TenantId};
///
/// let identity = ObjectIdentity::new(TenantId::parse("acme")?, "01890a5d-ac96-774b-bcce-b302099a8057")?;
/// let context = CallContext::default().with_object(identity);
/// assert_eq!(context.object.expect("set").tenant().as_str(), "acme");
/// # Ok::<(), boards_storage_core::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ObjectIdentity {
    tenant: TenantId,
    object: Arc<str>,
}

impl ObjectIdentity {
    /// The longest object id, in bytes.
    pub const OBJECT_BYTES_MAX: usize = 256;

    /// Names an object of a tenant. The manager takes the version id.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if the object id is empty or longer than [`Self::OBJECT_BYTES_MAX`].
    pub fn new(tenant: TenantId, object: impl Into<Arc<str>>) -> Result<Self> {
        let object = object.into();
        if object.is_empty() || object.len() > Self::OBJECT_BYTES_MAX {
            return Err(Error::invalid_input(format!(
                "an object id has 1 to {} bytes, got {}",
                Self::OBJECT_BYTES_MAX,
                object.len()
            )));
        }
        Ok(Self { tenant, object })
    }

    /// Returns the identity of a version of an artifact.
    #[must_use]
    pub fn of_version(tenant: TenantId, version: VersionId) -> Self {
        Self {
            tenant,
            object: version.to_string().into(),
        }
    }

    /// Returns whose object it is.
    #[must_use]
    pub fn tenant(&self) -> &TenantId {
        &self.tenant
    }

    /// Returns the object's id within the tenant.
    #[must_use]
    pub fn object(&self) -> &str {
        &self.object
    }
}

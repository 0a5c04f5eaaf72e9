//! How a provider protects what it holds, and what an artifact demands: what decides whether one provider may stand in
//! for another.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::options::AccessClass;

/// Who can read the objects of a provider without asking us.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Reach {
    /// Nobody said. It is taken for public, which is the safe side.
    #[default]
    Undeclared,
    /// Anyone who knows, or guesses, an object's URL.
    Public,
    /// Nobody without credentials or a signature.
    Private,
}

impl Reach {
    /// Returns the reach's name, such as `private`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Undeclared => "undeclared",
            Self::Public => "public",
            Self::Private => "private",
        }
    }
}

impl fmt::Display for Reach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Whether what a rule stores must be encrypted at rest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum EncryptionDemand {
    /// It need not be.
    #[default]
    None,
    /// It must be, by the provider or by what stands between us and it. A provider that does not say so is refused.
    Required,
}

/// How a provider protects what it holds: what it says of itself by its settings.
///
/// A provider that says nothing promises nothing: it takes over nothing but public artifacts without a demand.
///
/// # Examples
///
/// ```
/// use boards_storage_core::{AccessClass, EncryptionDemand, Protection, Reach};
///
/// let silent = Protection::default();
/// assert!(silent.shortfall(AccessClass::Public, EncryptionDemand::None).is_none());
/// assert!(silent.shortfall(AccessClass::Private, EncryptionDemand::None).is_some());
/// let private = Protection::new(Reach::Private);
/// assert!(private.shortfall(AccessClass::Private, EncryptionDemand::None).is_none());
/// assert!(private.shortfall(AccessClass::Private, EncryptionDemand::Required).is_some());
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize)]
#[non_exhaustive]
pub struct Protection {
    /// Who can read the objects without asking us.
    pub reach: Reach,
    /// Whether every object is encrypted where it lies.
    pub is_encrypted: bool,
}

impl Protection {
    /// Says who can read the objects; nothing is said of encryption.
    #[must_use]
    pub fn new(reach: Reach) -> Self {
        Self {
            reach,
            is_encrypted: false,
        }
    }

    /// Says that every object is encrypted where it lies.
    #[must_use]
    pub fn with_encryption(mut self) -> Self {
        self.is_encrypted = true;
        self
    }

    /// Returns these with what the operator knows better.
    #[must_use]
    pub fn overridden_by(self, settings: &ProtectionSettings) -> Self {
        Self {
            reach: settings.reach.unwrap_or(self.reach),
            is_encrypted: settings.encrypted.unwrap_or(self.is_encrypted),
        }
    }

    /// Says why a provider that is protected so must not hold what another was meant to; `None` if it may.
    ///
    /// What is not public goes only where nobody reads it without us, whatever its own provider does.
    #[must_use]
    pub fn shortfall(self, access: AccessClass, demand: EncryptionDemand) -> Option<Shortfall> {
        match (access, self.reach) {
            (AccessClass::Public, _) | (_, Reach::Private) => {}
            (_, Reach::Public) => return Some(Shortfall::Public),
            (_, Reach::Undeclared) => return Some(Shortfall::ReachUndeclared),
        }
        match demand {
            EncryptionDemand::Required if !self.is_encrypted => Some(Shortfall::NotEncrypted),
            EncryptionDemand::Required | EncryptionDemand::None => None,
        }
    }
}

/// Why a provider must not hold an artifact.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Shortfall {
    /// Its objects are public, and the artifact is not.
    Public,
    /// Nobody says that its objects are private, and the artifact is not public.
    ReachUndeclared,
    /// Nobody says that it encrypts, and the rule demands it.
    NotEncrypted,
}

impl fmt::Display for Shortfall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Public => "its objects are public, the artifact is not",
            Self::ReachUndeclared => {
                "it does not declare that its objects are private, and the artifact is not public"
            }
            Self::NotEncrypted => "it does not declare that it encrypts at rest, and the rule demands it",
        })
    }
}

/// What the operator knows of a provider's protection and the provider itself cannot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct ProtectionSettings {
    /// Who can read its objects without asking us: `private` (nobody), `public` (anyone with the URL). By default as
    /// the provider's own settings say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reach: Option<Reach>,
    /// Whether what lies below the provider encrypts every object: the disk, the bucket by its own default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub encrypted: Option<bool>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_says_nothing_takes_nothing_but_what_is_public() {
        use EncryptionDemand::{None as Free, Required};
        let check = |protection: Protection, access, demand, expected: Option<Shortfall>| {
            assert_eq!(
                protection.shortfall(access, demand),
                expected,
                "{protection:?} {access} {demand:?}"
            );
        };
        let (silent, public, private) = (
            Protection::default(),
            Protection::new(Reach::Public),
            Protection::new(Reach::Private),
        );
        for access in AccessClass::ALL {
            let is_public = access == AccessClass::Public;
            check(
                silent,
                access,
                Free,
                (!is_public).then_some(Shortfall::ReachUndeclared),
            );
            check(public, access, Free, (!is_public).then_some(Shortfall::Public));
            check(private, access, Free, None);
            check(private, access, Required, Some(Shortfall::NotEncrypted));
            check(private.with_encryption(), access, Required, None);
        }
        check(public.with_encryption(), AccessClass::Public, Required, None);
        check(
            silent,
            AccessClass::Public,
            Required,
            Some(Shortfall::NotEncrypted),
        );
    }

    #[test]
    fn the_operator_has_the_last_word() {
        let settings = |reach, encrypted| ProtectionSettings { reach, encrypted };
        let private = Protection::new(Reach::Private).with_encryption();
        assert_eq!(private.overridden_by(&settings(None, None)), private);
        assert_eq!(
            private.overridden_by(&settings(Some(Reach::Public), Some(false))),
            Protection::new(Reach::Public)
        );
        assert_eq!(
            Protection::default().overridden_by(&settings(Some(Reach::Private), Some(true))),
            private
        );
    }
}

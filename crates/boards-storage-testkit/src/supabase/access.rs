//! Who may do what: roles, row-level security, and the failures of the database behind it.

use serde_json::Value;

use super::reply::Failure;
use super::{Shared, SupabaseFault, token};

/// Who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Role {
    Service,
    User(String),
    Nobody,
}

/// What is asked of a row of the table of objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    Select,
    Insert,
    Update,
    Delete,
}

impl Role {
    /// Returns whether the row-level security lets this role do it.
    pub(super) fn may(&self, shared: &Shared, action: Action, bucket: &str, key: &str) -> bool {
        match self {
            Self::Service => true,
            Self::Nobody => false,
            Self::User(id) => {
                if bucket != shared.options.user_bucket {
                    return false;
                }
                match key.split_once('/').map_or("", |(folder, _)| folder) {
                    "dropbox" => action == Action::Insert,
                    "readonly" => action == Action::Select,
                    folder => folder == id,
                }
            }
        }
    }

    pub(super) fn may_all(&self, shared: &Shared, actions: &[Action], bucket: &str, key: &str) -> bool {
        actions
            .iter()
            .all(|action| self.may(shared, *action, bucket, key))
    }

    pub(super) fn owner(&self) -> String {
        match self {
            Self::User(id) => id.clone(),
            Self::Service | Self::Nobody => String::new(),
        }
    }
}

impl Shared {
    /// Checks an `authorization` header's token.
    pub(super) fn role_of(&self, authorization: &str) -> Result<Role, Failure> {
        let token = match authorization.split_once(' ') {
            Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => token,
            Some(_) | None if authorization.eq_ignore_ascii_case("bearer") => "",
            Some(_) | None => authorization,
        };
        let claims = token::verify(&self.options.jwt_secret, token, self.now().as_second())
            .map_err(Failure::denied)?;
        role_of_claims(&claims)
    }

    /// Fails as the database does at the moment.
    pub(super) fn check_database(&self, writes: bool) -> Result<(), Failure> {
        match *self.fault.lock() {
            SupabaseFault::None | SupabaseFault::BackendDown => Ok(()),
            SupabaseFault::DatabaseReadOnly if writes => Err(Failure::read_only()),
            SupabaseFault::DatabaseReadOnly => Ok(()),
            SupabaseFault::DatabaseTimeout => Err(Failure::database_timeout()),
            SupabaseFault::DatabaseBusy => Err(Failure::slow_down()),
            SupabaseFault::DatabaseDown => Err(Failure::internal()),
        }
    }

    pub(super) fn is_backend_down(&self) -> bool {
        *self.fault.lock() == SupabaseFault::BackendDown
    }
}

fn role_of_claims(claims: &Value) -> Result<Role, Failure> {
    match claims["role"].as_str() {
        Some("service_role") => Ok(Role::Service),
        Some("authenticated") => Ok(Role::User(claims["sub"].as_str().unwrap_or_default().to_owned())),
        Some("anon") | None => Ok(Role::Nobody),
        // `SET ROLE` of an unknown role.
        Some(_) => Err(Failure::database_error("22023")),
    }
}

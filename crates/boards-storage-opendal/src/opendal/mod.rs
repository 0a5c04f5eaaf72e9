//! Any OpenDAL operator as a provider.

mod builder;
mod capabilities;
mod error;
mod list;
mod presign;
mod provider;
mod read;
mod settings;
mod write;

pub use builder::OpendalBuilder;
pub use capabilities::Guarantee;
pub use provider::OpendalProvider;
pub use settings::OpendalSettings;

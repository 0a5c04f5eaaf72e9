#![doc = include_str!("../README.md")]

mod validator;

mod agree;
mod family;
mod limits;
mod sniff;

mod image;
mod json;
mod markup;
mod model;
mod pickle;
mod polyglot;
mod text;
mod walk;
mod zip;

#[cfg(feature = "clamav")]
mod clamav;

pub use boards_storage_core::HEAD_SIZE_BYTES;
#[cfg(feature = "clamav")]
pub use clamav::ClamAv;
pub use validator::ContentValidator;

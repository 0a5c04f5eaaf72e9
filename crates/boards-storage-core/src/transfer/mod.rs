//! Big transfers: many provider calls that make one upload or one download.
//!
//! They live above the stack, so that each part and each range passes every layer by itself.

mod downloader;
mod uploader;

pub use downloader::{Downloader, DownloaderSettings};
pub use uploader::{Uploader, UploaderSettings};

//! Big transfers: many provider calls that make one upload or one download.
//!
//! They live above the stack, so that each part and each range passes every layer by itself.

mod downloader;
mod file;
mod journal;
mod parts;
mod uploader;

pub use downloader::{Downloader, DownloaderSettings};
pub use file::{DownloadState, FileDownloadOptions};
pub use journal::Journal;
pub use uploader::{BegunPart, UploadState, Uploader, UploaderSettings};

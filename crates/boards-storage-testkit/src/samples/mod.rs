//! Small files of many formats: sound ones, and ones that a storage must refuse.

mod hostile;
mod media;
mod model;

pub use hostile::{Hostile, hostile};
pub use media::{avif, bmp, flac, gif, jpeg, mp4, ogg, pdf, png, png_sized, tiff, wav, webm, webp};
pub use model::{gguf, pickle, safetensors, zip};

/// The harmless file that every malware scanner reports, made of two parts, so that none reports this program.
#[must_use]
pub fn eicar() -> Vec<u8> {
    [
        r"X5O!P%@AP[4\PZX54(P^)7CC)7}$EICAR-STANDARD",
        "-ANTIVIRUS-TEST-FILE!$H+H*",
    ]
    .concat()
    .into_bytes()
}

//! Inputs that a storage must refuse, each with the reason.

mod images;
mod media;
mod models;
mod names;
mod text;

use boards_storage_core::{ArtifactType, ContentType, ReasonKind, Validation};

/// One input that must be refused by the default policy.
#[derive(Clone, Debug)]
pub struct Hostile {
    /// What it is.
    pub name: &'static str,
    /// As what it is sent.
    pub artifact_type: ArtifactType,
    /// Its declared type; empty for none.
    pub content_type: &'static str,
    /// Its file name.
    pub file_name: &'static str,
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// Why it is refused.
    pub reason: ReasonKind,
}

impl Hostile {
    /// What a validator is told of it.
    ///
    /// # Panics
    ///
    /// If the table has a content type that is none.
    #[must_use]
    pub fn validation(&self) -> Validation {
        let known = Validation::new(self.artifact_type.clone()).with_file_name(self.file_name);
        if self.content_type.is_empty() {
            return known;
        }
        known.with_content_type(ContentType::parse(self.content_type).expect("the table is right"))
    }
}

const IMAGE: ArtifactType = ArtifactType::Image;
const VIDEO: ArtifactType = ArtifactType::Video;
const AUDIO: ArtifactType = ArtifactType::Audio;
const TEXT: ArtifactType = ArtifactType::Text;
const MODEL: ArtifactType = ArtifactType::Model;
const DATASET: ArtifactType = ArtifactType::Dataset;
const OTHER: ArtifactType = ArtifactType::Intermediate;

struct Table(Vec<Hostile>);

impl Table {
    fn add(
        &mut self,
        name: &'static str,
        artifact_type: ArtifactType,
        (content_type, file_name): (&'static str, &'static str),
        bytes: impl Into<Vec<u8>>,
        reason: ReasonKind,
    ) {
        self.0.push(Hostile {
            name,
            artifact_type,
            content_type,
            file_name,
            bytes: bytes.into(),
            reason,
        });
    }
}

/// All inputs, in a fixed order.
#[must_use]
pub fn hostile() -> Vec<Hostile> {
    let mut table = Table(Vec::new());
    names::add(&mut table);
    text::add(&mut table);
    images::add(&mut table);
    media::add(&mut table);
    models::add(&mut table);
    table.0
}

const PNG: (&str, &str) = ("image/png", "a.png");
const JPEG: (&str, &str) = ("image/jpeg", "a.jpg");
const GIF: (&str, &str) = ("image/gif", "a.gif");
const WEBP: (&str, &str) = ("image/webp", "a.webp");
const BMP: (&str, &str) = ("image/bmp", "a.bmp");
const AVIF: (&str, &str) = ("image/avif", "a.avif");
const MP4: (&str, &str) = ("video/mp4", "a.mp4");
const WEBM: (&str, &str) = ("video/webm", "a.webm");
const WAV: (&str, &str) = ("audio/wav", "a.wav");
const OGG: (&str, &str) = ("audio/ogg", "a.ogg");
const FLAC: (&str, &str) = ("audio/flac", "a.flac");
const PDF: (&str, &str) = ("application/pdf", "a.pdf");
const ZIP: (&str, &str) = ("application/zip", "a.zip");
const TXT: (&str, &str) = ("text/plain", "a.txt");
const JSON: (&str, &str) = ("application/json", "a.json");
const SVG: (&str, &str) = ("image/svg+xml", "a.svg");
const XML: (&str, &str) = ("application/xml", "a.xml");
const SAFETENSORS: (&str, &str) = ("application/vnd.safetensors", "a.safetensors");
const GGUF: (&str, &str) = ("application/vnd.gguf", "a.gguf");
const NOTHING: (&str, &str) = ("", "a");
const OCTETS: (&str, &str) = ("application/octet-stream", "a.bin");

const WINDOWS_PROGRAM: &[u8] =
    b"MZ\x90\0\x03\0\0\0\x04\0\0\0\xFF\xFF\0\0\xB8\0\0\0\0\0\0\0@\0\0\0\0\0\0\0\0\0\0\0\
\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x40\0\0\0PE\0\0L\x01\x01\0";
const LINUX_PROGRAM: &[u8] =
    b"\x7FELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x03\0\x3E\0\x01\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
const HTML: &[u8] = b"<!DOCTYPE html><html><body><script>alert(1)</script></body></html>";

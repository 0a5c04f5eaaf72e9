//! What the first bytes are, by two libraries and by the formats that neither knows.

use file_format::FileFormat;

use crate::family::Family;
use crate::{model, pickle};

/// What the sniffers say of the head.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sniffed {
    /// Each family that some sniffer is sure of. Two, if they disagree.
    pub(crate) families: Vec<Family>,
    /// A more precise content type, where a sniffer has one.
    pub(crate) content_type: Option<String>,
}

impl Sniffed {
    /// The family that the sniffers agree on.
    pub(crate) fn family(&self) -> Option<Family> {
        match self.families.as_slice() {
            [one] => Some(*one),
            _ => None,
        }
    }
}

/// Looks at the head. What both libraries call text says nothing here: text is checked as text.
pub(crate) fn sniff(head: &[u8]) -> Sniffed {
    if let Some(own) = own(head) {
        return Sniffed {
            families: vec![own],
            content_type: None,
        };
    }
    let by_infer = infer::get(head).map(|kind| kind.mime_type());
    let format = FileFormat::from_bytes(head);
    let mut families = Vec::new();
    let mut content_type = None;
    for answer in by_infer.into_iter().chain([format.media_type()]) {
        let Some(family) = Family::of_type(answer).filter(|family| !family.is_text()) else {
            continue;
        };
        let is_vague = |family: &Family| matches!(family, Family::OtherImage | Family::OtherMedia);
        // Of a name that only one of them has, the other's is the better one.
        if is_vague(&family) && !families.is_empty() {
            continue;
        }
        families.retain(|known| !is_vague(known));
        if !families.contains(&family) {
            families.push(family);
        }
        content_type.get_or_insert_with(|| answer.to_owned());
    }
    Sniffed {
        families,
        content_type,
    }
}

/// Formats that are told here alone, because the libraries do not know them or are not sure enough.
fn own(head: &[u8]) -> Option<Family> {
    if let Some(family) = iso_brand(head) {
        return Some(family);
    }
    if head.starts_with(&[0x1A, 0x45, 0xDF, 0xA3]) {
        return Some(Family::Matroska);
    }
    if head.starts_with(b"GGUF") {
        return Some(Family::Gguf);
    }
    if model::looks_like_safetensors(head) {
        return Some(Family::Safetensors);
    }
    if pickle::is_pickle(head) {
        return Some(Family::Pickle);
    }
    if head.starts_with(b"RIFF") && head.get(8..12) == Some(b"WEBP") {
        return Some(Family::WebP);
    }
    if head.starts_with(b"PK\x03\x04") || head.starts_with(b"PK\x05\x06") {
        return Some(Family::Zip);
    }
    if head.starts_with(&[0xD0, 0xCF, 0x11, 0xE0, 0xA1, 0xB1, 0x1A, 0xE1]) {
        return Some(Family::CompoundFile);
    }
    // Transport streams: the byte of synchronization begins each packet of 188 bytes.
    if head.len() > 376 && [0, 188, 376].iter().all(|at| head[*at] == 0x47) {
        return Some(Family::Mpeg);
    }
    None
}

/// The family of an ISO media file, by all brands of its first box: many files name a brand of both kinds.
fn iso_brand(head: &[u8]) -> Option<Family> {
    if head.get(4..8) != Some(b"ftyp") {
        return None;
    }
    let size = u32::from_be_bytes(head.get(..4)?.try_into().ok()?) as usize;
    let brands = head.get(8..size.clamp(12, 512).min(head.len()))?;
    if brands.starts_with(b"crx ") {
        // A camera's raw format, which the libraries know.
        return None;
    }
    let is_image = brands.chunks_exact(4).enumerate().any(|(index, brand)| {
        // The second is a version, not a brand.
        index != 1
            && [
                *b"avif", *b"avis", *b"heic", *b"heix", *b"heim", *b"heis", *b"hevc", *b"hevx", *b"mif1",
                *b"msf1",
            ]
            .contains(&[brand[0], brand[1], brand[2], brand[3]])
    });
    Some(if is_image {
        Family::IsoImage
    } else {
        Family::IsoMedia
    })
}

//! How large an image may be, by its header.

use boards_storage_core::{ContentFacts, ImageLimitSettings, Reason, ReasonKind};

/// Reads the dimensions from the head, where the format has them there.
pub(crate) fn measure(head: &[u8], facts: &mut ContentFacts) {
    let Ok(size) = imagesize::blob_size(head) else {
        return;
    };
    facts.width = facts.width.max(u32::try_from(size.width).ok().or(Some(u32::MAX)));
    facts.height = facts
        .height
        .max(u32::try_from(size.height).ok().or(Some(u32::MAX)));
}

/// Holds what is known of an image against the limits.
pub(crate) fn check(limits: &ImageLimitSettings, facts: &ContentFacts) -> Result<(), Reason> {
    let (width, height) = (facts.width.unwrap_or(0), facts.height.unwrap_or(0));
    let pixels = u64::from(width) * u64::from(height);
    if width > limits.width_max || height > limits.height_max || pixels > limits.pixels_max {
        let message = format!(
            "the image has {width} × {height} pixels; at most {} × {} and {} in all are allowed",
            limits.width_max, limits.height_max, limits.pixels_max
        );
        return Err(Reason::new(ReasonKind::TooManyPixels, message));
    }
    match facts.frames {
        Some(frames) if frames > limits.frames_max => Err(Reason::new(
            ReasonKind::TooManyFrames,
            format!(
                "the image has more than the {} frames that are allowed",
                limits.frames_max
            ),
        )),
        _ => Ok(()),
    }
}

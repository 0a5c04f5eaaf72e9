//! Images that are too large, or broken.

use boards_storage_core::ReasonKind::{Malformed, Polyglot, TooManyFrames, TooManyPixels};

use super::{AVIF, BMP, GIF, IMAGE, JPEG, OTHER, PNG, Table, WEBP};
use crate::samples::media::{chunk, iso_box};
use crate::samples::{bmp, gif, jpeg, png, png_sized, webp};

pub(super) fn add(table: &mut Table) {
    pixel_bombs(table);
    frame_bombs(table);
    broken_images(table);
    broken_pictures(table);
}

fn pixel_bombs(table: &mut Table) {
    table.add(
        "PNG of 50,000 × 50,000",
        IMAGE,
        PNG,
        png_sized(50_000, 50_000),
        TooManyPixels,
    );
    table.add(
        "PNG of 2³¹ − 1 pixels in a row",
        IMAGE,
        PNG,
        png_sized(0x7FFF_FFFF, 1),
        TooManyPixels,
    );
    table.add(
        "PNG of 30,000 × 30,000",
        IMAGE,
        PNG,
        png_sized(30_000, 30_000),
        TooManyPixels,
    );
    let mut big = gif();
    big[6..10].copy_from_slice(&[0xFF, 0xFF, 0xFF, 0xFF]);
    table.add("GIF of 65,535 × 65,535", IMAGE, GIF, big, TooManyPixels);
    let mut frame = gif();
    frame[24..28].copy_from_slice(&[0xFF, 0xFF, 0xFF, 0xFF]);
    table.add(
        "GIF with a frame of 65,535 × 65,535",
        IMAGE,
        GIF,
        frame,
        TooManyPixels,
    );
    let mut big = jpeg();
    big[25..29].copy_from_slice(&[0xFF, 0xFF, 0xFF, 0xFF]);
    table.add("JPEG of 65,535 × 65,535", IMAGE, JPEG, big, TooManyPixels);
    let mut big = bmp();
    big[18..26].copy_from_slice(b"\x00\x00\x10\x00\x00\x00\x10\x00");
    table.add("BMP of a million pixels each way", IMAGE, BMP, big, TooManyPixels);
    let mut big = bmp();
    big[18..26].copy_from_slice(b"\x00\x00\x10\x00\x00\x00\xF0\xFF");
    table.add(
        "BMP upside down, of a million pixels each way",
        IMAGE,
        BMP,
        big,
        TooManyPixels,
    );
    let canvas = b"RIFF\x2C\0\0\0WEBPVP8X\x0A\0\0\0\0\0\0\0\xFF\xFF\xFF\xFF\xFF\xFF";
    let canvas = [&canvas[..], &webp()[12..]].concat();
    table.add(
        "WebP of 16,777,216 × 16,777,216",
        IMAGE,
        WEBP,
        canvas,
        TooManyPixels,
    );
}

fn frame_bombs(table: &mut Table) {
    let animation = [
        png()[..33].to_vec(),
        chunk(*b"acTL", &[0xFF, 0xFF, 0xFF, 0xFF, 0, 0, 0, 0]),
        png()[33..].to_vec(),
    ];
    table.add(
        "PNG of 4,294,967,295 frames",
        IMAGE,
        PNG,
        animation.concat(),
        TooManyFrames,
    );
    let frames = [&gif()[..19], &gif()[19..gif().len() - 1].repeat(10_001), b";"].concat();
    table.add("GIF of 10,001 frames", IMAGE, GIF, frames, TooManyFrames);
    table.add(
        "a pixel bomb that is stored as something else",
        OTHER,
        PNG,
        png_sized(60_000, 60_000),
        TooManyPixels,
    );
}

fn broken_images(table: &mut Table) {
    table.add("PNG of no width", IMAGE, PNG, png_sized(0, 1), Malformed);
    table.add("PNG of no height", IMAGE, PNG, png_sized(1, 0), Malformed);
    table.add(
        "PNG without pixels",
        IMAGE,
        PNG,
        [&png()[..33], &chunk(*b"IEND", &[])].concat(),
        Malformed,
    );
    table.add(
        "PNG with a chunk of no name",
        IMAGE,
        PNG,
        [&png()[..33], b"\0\0\0\0\0\0\0\0\0\0\0\0"].concat(),
        Malformed,
    );
    table.add(
        "PNG with a chunk of 4 GiB",
        IMAGE,
        PNG,
        [&png()[..33], b"\xFF\xFF\xFF\xFFIDAT"].concat(),
        Malformed,
    );
    table.add(
        "PNG with two headers",
        IMAGE,
        PNG,
        [&png()[..33], &png()[8..]].concat(),
        Malformed,
    );
    table.add(
        "GIF with an unknown block",
        IMAGE,
        GIF,
        [&gif()[..19], b"<script>alert(1)</script>"].concat(),
        Polyglot,
    );
    table.add(
        "GIF with a block of no kind",
        IMAGE,
        GIF,
        [&gif()[..19], b"Zhello;"].concat(),
        Malformed,
    );
    table.add(
        "GIF without pictures",
        IMAGE,
        GIF,
        [&gif()[..19], b";"].concat(),
        Malformed,
    );
}

fn broken_pictures(table: &mut Table) {
    table.add(
        "JPEG without a frame",
        IMAGE,
        JPEG,
        &b"\xFF\xD8\xFF\xE0\0\x04ab\xFF\xD9"[..],
        Malformed,
    );
    table.add(
        "JPEG with a segment of no length",
        IMAGE,
        JPEG,
        &b"\xFF\xD8\xFF\xE0\0\0JFIF\0\xFF\xD9"[..],
        Malformed,
    );
    table.add(
        "JPEG that goes on as text",
        IMAGE,
        JPEG,
        &b"\xFF\xD8\xFF\xE0\0\x04abhello, world"[..],
        Malformed,
    );
    table.add(
        "WebP with a chunk that is longer than the file",
        IMAGE,
        WEBP,
        &b"RIFF\x1A\0\0\0WEBPVP8L\xFF\0\0\0/\0\0\0\x10\0\0\0"[..],
        Malformed,
    );
    table.add(
        "WebP without a picture",
        IMAGE,
        WEBP,
        &b"RIFF\x0C\0\0\0WEBPEXIF\0\0\0\0"[..],
        Malformed,
    );
    table.add(
        "WebP with a wrong signature",
        IMAGE,
        WEBP,
        &b"RIFF\x1A\0\0\0WEBPVP8L\x0D\0\0\0XXXXXXXXXXXXXX"[..],
        Malformed,
    );
    table.add(
        "BMP that is text",
        IMAGE,
        BMP,
        &b"BM this is no picture but a text"[..],
        Malformed,
    );
    table.add(
        "AVIF without dimensions",
        IMAGE,
        AVIF,
        iso_box(*b"ftyp", b"avif\0\0\0\0avifmif1"),
        Malformed,
    );
}

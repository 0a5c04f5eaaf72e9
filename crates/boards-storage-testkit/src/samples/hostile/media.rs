//! Broken media, files that end too early, and files that are two things.

use boards_storage_core::ReasonKind::{Malformed, Polyglot, Truncated};

use super::{
    AUDIO, BMP, DATASET, FLAC, GGUF, GIF, HTML, IMAGE, JPEG, MODEL, MP4, OGG, OTHER, PDF, PNG, SAFETENSORS,
    Table, VIDEO, WAV, WEBM, WEBP, ZIP,
};
use crate::samples::media::chunk;
use crate::samples::{bmp, flac, gguf, gif, jpeg, mp4, ogg, pdf, png, safetensors, wav, webm, webp, zip};

pub(super) fn add(table: &mut Table) {
    broken_media(table);
    truncated_images(table);
    truncated_files(table);
    archives_behind(table);
    scripts_within(table);
}

fn broken_media(table: &mut Table) {
    table.add(
        "MP4 with a box of no size",
        VIDEO,
        MP4,
        [&mp4()[..28], b"\0\0\0\x04moov"].concat(),
        Malformed,
    );
    table.add(
        "MP4 with a box of no name",
        VIDEO,
        MP4,
        [&mp4()[..28], b"\0\0\0\x10\0\0\0\0\0\0\0\0\0\0\0\0"].concat(),
        Malformed,
    );
    table.add(
        "MP4 with a long box of no size",
        VIDEO,
        MP4,
        [&mp4()[..28], b"\0\0\0\x01mdat\0\0\0\0\0\0\0\x02"].concat(),
        Malformed,
    );
    table.add(
        "MP4 that has no tracks",
        VIDEO,
        MP4,
        mp4()[..28].to_vec(),
        Truncated,
    );
    table.add(
        "WAV of no size",
        AUDIO,
        WAV,
        &b"RIFF\x02\0\0\0WAVEfmt \x10\0\0\0"[..],
        Malformed,
    );
    table.add(
        "WAV with a chunk of no name",
        AUDIO,
        WAV,
        &b"RIFF\x24\0\0\0WAVE\0\x01\x02\x03\x10\0\0\0\0\0\0\0"[..],
        Malformed,
    );
    table.add(
        "Ogg with a page that is none",
        AUDIO,
        OGG,
        [&ogg()[..], b"this is no page of Ogg at all"].concat(),
        Malformed,
    );
    table.add(
        "FLAC without its information",
        AUDIO,
        FLAC,
        &b"fLaC\x84\0\0\x04abcd"[..],
        Malformed,
    );
    table.add(
        "WebM with an element of no size",
        VIDEO,
        WEBM,
        [&webm()[..36], b"\x18\x53\x80\x67\0\0\0\0\0\0\0\0"].concat(),
        Malformed,
    );
}

fn truncated_images(table: &mut Table) {
    table.add("PNG without its end", IMAGE, PNG, cut(png(), 12), Truncated);
    table.add("PNG cut in its pixels", IMAGE, PNG, cut(png(), 20), Truncated);
    table.add(
        "PNG of its first bytes",
        IMAGE,
        PNG,
        png()[..16].to_vec(),
        Truncated,
    );
    table.add("JPEG without its end", IMAGE, JPEG, cut(jpeg(), 2), Truncated);
    table.add(
        "JPEG cut in its header",
        IMAGE,
        JPEG,
        jpeg()[..10].to_vec(),
        Truncated,
    );
    table.add("GIF without its end", IMAGE, GIF, cut(gif(), 1), Truncated);
    table.add("GIF cut in its pixels", IMAGE, GIF, cut(gif(), 4), Truncated);
    table.add("WebP cut", IMAGE, WEBP, cut(webp(), 5), Truncated);
    table.add("BMP cut", IMAGE, BMP, cut(bmp(), 3), Truncated);
    table.add("MP4 cut", VIDEO, MP4, cut(mp4(), 4), Truncated);
    table.add("WebM cut", VIDEO, WEBM, cut(webm(), 3), Truncated);
    table.add("WAV cut", AUDIO, WAV, cut(wav(), 2), Truncated);
    table.add("Ogg cut", AUDIO, OGG, cut(ogg(), 9), Truncated);
}

fn truncated_files(table: &mut Table) {
    table.add("FLAC cut", AUDIO, FLAC, cut(flac(), 9), Truncated);
    table.add("PDF cut", OTHER, PDF, cut(pdf(), 8), Truncated);
    table.add("ZIP cut", DATASET, ZIP, cut(zip(&[("a", b"abc")]), 40), Truncated);
    table.add(
        "safetensors cut",
        MODEL,
        SAFETENSORS,
        cut(safetensors(), 1),
        Truncated,
    );
    table.add(
        "safetensors cut in the header",
        MODEL,
        SAFETENSORS,
        safetensors()[..30].to_vec(),
        Truncated,
    );
    table.add("GGUF cut", MODEL, GGUF, gguf()[..60].to_vec(), Truncated);
    table.add(
        "GGUF without its data",
        MODEL,
        GGUF,
        gguf()[..150].to_vec(),
        Truncated,
    );
}

fn archives_behind(table: &mut Table) {
    let archive = zip(&[("Main.class", b"\xCA\xFE\xBA\xBE")]);
    table.add(
        "GIF and Java archive",
        IMAGE,
        GIF,
        [gif(), archive.clone()].concat(),
        Polyglot,
    );
    table.add(
        "PNG and ZIP",
        IMAGE,
        PNG,
        [png(), archive.clone()].concat(),
        Polyglot,
    );
    table.add(
        "JPEG and ZIP",
        IMAGE,
        JPEG,
        [jpeg(), archive.clone()].concat(),
        Polyglot,
    );
    table.add(
        "WebP and ZIP",
        IMAGE,
        WEBP,
        [webp(), archive.clone()].concat(),
        Polyglot,
    );
    table.add(
        "WAV and ZIP",
        AUDIO,
        WAV,
        [wav(), archive.clone()].concat(),
        Polyglot,
    );
    table.add("PDF and ZIP", OTHER, PDF, [pdf(), archive].concat(), Polyglot);
}

fn scripts_within(table: &mut Table) {
    table.add(
        "PNG with a page behind it",
        IMAGE,
        PNG,
        [&png()[..], HTML].concat(),
        Polyglot,
    );
    table.add(
        "GIF with a page behind it",
        IMAGE,
        GIF,
        [&gif()[..], HTML].concat(),
        Polyglot,
    );
    table.add(
        "JPEG with a page behind it",
        IMAGE,
        JPEG,
        [&jpeg()[..], HTML].concat(),
        Polyglot,
    );
    let comment = [
        &jpeg()[..2],
        b"\xFF\xFE\0\x1A<script>alert(1)</script",
        &jpeg()[2..],
    ]
    .concat();
    table.add(
        "JPEG with a script in its comment",
        IMAGE,
        JPEG,
        comment,
        Polyglot,
    );
    let text = chunk(*b"tEXt", b"Comment\0<?php system($_GET['c']); ?>");
    table.add(
        "PNG with PHP in its text",
        IMAGE,
        PNG,
        [&png()[..33], &text, &png()[33..]].concat(),
        Polyglot,
    );
    let script = [&b"GIF89a=0;/*"[..], b"*/alert(1);<script src=x></script>"].concat();
    table.add("GIF that is a script", IMAGE, GIF, script, Polyglot);
    table.add(
        "PNG with bytes behind it",
        IMAGE,
        PNG,
        [&png()[..], b"secret"].concat(),
        Polyglot,
    );
    table.add(
        "safetensors with bytes behind them",
        MODEL,
        SAFETENSORS,
        [&safetensors()[..], b"x"].concat(),
        Polyglot,
    );
}

/// The bytes without their last ones.
fn cut(bytes: Vec<u8>, by: usize) -> Vec<u8> {
    bytes[..bytes.len() - by].to_vec()
}

//! Types and names that do not agree.

use boards_storage_core::ReasonKind::{Malformed, TypeMismatch};

use super::{
    AUDIO, AVIF, DATASET, FLAC, GIF, HTML, IMAGE, JPEG, JSON, LINUX_PROGRAM, MODEL, MP4, NOTHING, OCTETS,
    OGG, OTHER, PDF, PNG, SAFETENSORS, TEXT, TXT, Table, VIDEO, WAV, WEBM, WEBP, WINDOWS_PROGRAM, ZIP,
};
use crate::samples::{bmp, flac, gif, jpeg, mp4, ogg, pdf, png, wav, webm, webp, zip};

pub(super) fn add(table: &mut Table) {
    programs_and_pages(table);
    other_formats(table);
    wrong_names(table);
    wrong_artifacts(table);
}

fn programs_and_pages(table: &mut Table) {
    table.add(
        "a Windows program as PNG",
        IMAGE,
        PNG,
        WINDOWS_PROGRAM,
        TypeMismatch,
    );
    table.add("a Linux program as PNG", IMAGE, PNG, LINUX_PROGRAM, TypeMismatch);
    table.add(
        "a Linux program as JPEG",
        IMAGE,
        JPEG,
        LINUX_PROGRAM,
        TypeMismatch,
    );
    table.add(
        "a Windows program as MP4",
        VIDEO,
        MP4,
        WINDOWS_PROGRAM,
        TypeMismatch,
    );
    table.add(
        "a Windows program as WAV",
        AUDIO,
        WAV,
        WINDOWS_PROGRAM,
        TypeMismatch,
    );
    table.add(
        "a Windows program as PDF",
        OTHER,
        PDF,
        WINDOWS_PROGRAM,
        TypeMismatch,
    );
    table.add(
        "a Windows program as ZIP",
        DATASET,
        ZIP,
        WINDOWS_PROGRAM,
        TypeMismatch,
    );
    table.add("a Linux program as text", TEXT, TXT, LINUX_PROGRAM, TypeMismatch);
    table.add("HTML as PNG", IMAGE, PNG, HTML, TypeMismatch);
    table.add("HTML as JPEG", IMAGE, JPEG, HTML, TypeMismatch);
}

fn other_formats(table: &mut Table) {
    table.add("HTML as MP4", VIDEO, MP4, HTML, TypeMismatch);
    table.add("HTML as PDF", OTHER, PDF, HTML, TypeMismatch);
    table.add(
        "a script of PHP as GIF",
        IMAGE,
        GIF,
        &b"<?php system($_GET['c']); ?>"[..],
        TypeMismatch,
    );
    table.add(
        "a shell script as PNG",
        IMAGE,
        PNG,
        &b"#!/bin/sh\nrm -rf /\n"[..],
        TypeMismatch,
    );
    table.add("GIF as PNG", IMAGE, PNG, gif(), TypeMismatch);
    table.add("PNG as JPEG", IMAGE, JPEG, png(), TypeMismatch);
    table.add("JPEG as WebP", IMAGE, WEBP, jpeg(), TypeMismatch);
    table.add("WebP as PNG", IMAGE, PNG, webp(), TypeMismatch);
    table.add("BMP as PNG", IMAGE, PNG, bmp(), TypeMismatch);
    table.add("MP4 as AVIF", IMAGE, AVIF, mp4(), TypeMismatch);
    table.add("WebM as MP4", VIDEO, MP4, webm(), TypeMismatch);
    table.add("MP4 as WebM", VIDEO, WEBM, mp4(), TypeMismatch);
    table.add("WAV as Ogg", AUDIO, OGG, wav(), TypeMismatch);
    table.add("Ogg as FLAC", AUDIO, FLAC, ogg(), TypeMismatch);
    table.add("FLAC as WAV", AUDIO, WAV, flac(), TypeMismatch);
    table.add(
        "a playlist as MP4",
        VIDEO,
        MP4,
        &b"#EXTM3U\n#EXT-X-MEDIA-SEQUENCE:0\nfile:///etc/passwd\n"[..],
        TypeMismatch,
    );
    table.add("ZIP as PNG", IMAGE, PNG, zip(&[("a.txt", b"a")]), TypeMismatch);
    table.add("PDF as text", TEXT, TXT, pdf(), TypeMismatch);
    table.add("PNG as PDF", OTHER, PDF, png(), TypeMismatch);
    table.add("zeros as PNG", IMAGE, PNG, vec![0; 512], TypeMismatch);
    table.add(
        "a Windows program as safetensors",
        MODEL,
        SAFETENSORS,
        WINDOWS_PROGRAM,
        TypeMismatch,
    );
}

fn wrong_names(table: &mut Table) {
    table.add(
        "PNG named JPEG",
        IMAGE,
        ("image/png", "a.jpg"),
        png(),
        TypeMismatch,
    );
    table.add(
        "PNG named HTML",
        IMAGE,
        ("image/png", "a.html"),
        png(),
        TypeMismatch,
    );
    table.add(
        "PNG named SVG",
        IMAGE,
        ("image/png", "a.svg"),
        png(),
        TypeMismatch,
    );
    table.add(
        "PNG with two extensions",
        IMAGE,
        ("image/png", "a.png.exe"),
        png(),
        TypeMismatch,
    );
    table.add(
        "a program named PNG",
        OTHER,
        ("", "a.png"),
        WINDOWS_PROGRAM,
        TypeMismatch,
    );
    table.add(
        "a program named PDF, declared as bytes",
        OTHER,
        ("application/octet-stream", "a.pdf"),
        WINDOWS_PROGRAM,
        TypeMismatch,
    );
    table.add("PNG named MP4", OTHER, ("", "a.mp4"), png(), TypeMismatch);
    table.add(
        "text named HTML",
        TEXT,
        ("text/plain", "a.html"),
        &b"hello"[..],
        TypeMismatch,
    );
    table.add(
        "JSON named HTML",
        TEXT,
        ("application/json", "a.html"),
        &b"{}"[..],
        TypeMismatch,
    );
    table.add(
        "text named PNG",
        TEXT,
        ("text/plain", "a.png"),
        &b"hello"[..],
        TypeMismatch,
    );
    table.add(
        "MP4 named MP3",
        AUDIO,
        ("video/mp4", "a.mp3"),
        mp4(),
        TypeMismatch,
    );
    table.add(
        "ZIP named PDF",
        DATASET,
        ("application/zip", "a.pdf"),
        zip(&[("a", b"a")]),
        TypeMismatch,
    );
}

fn wrong_artifacts(table: &mut Table) {
    table.add("text as image", IMAGE, NOTHING, &b"hello"[..], TypeMismatch);
    table.add("bytes as image", IMAGE, OCTETS, vec![0x17; 100], TypeMismatch);
    table.add("PDF as image", IMAGE, NOTHING, pdf(), TypeMismatch);
    table.add(
        "a playlist as video",
        VIDEO,
        NOTHING,
        &b"#EXTM3U\n#EXT-X-MEDIA-SEQUENCE:0\nhttp://169.254.169.254/\n"[..],
        TypeMismatch,
    );
    table.add(
        "a playlist as audio",
        AUDIO,
        ("audio/x-mpegurl", "a.m3u"),
        &b"#EXTM3U\nfile:///etc/passwd\n"[..],
        TypeMismatch,
    );
    table.add("WAV as image", IMAGE, NOTHING, wav(), TypeMismatch);
    table.add("a program as image", IMAGE, NOTHING, LINUX_PROGRAM, TypeMismatch);
    table.add("PNG as video", VIDEO, PNG, png(), TypeMismatch);
    table.add("text as video", VIDEO, TXT, &b"hello"[..], TypeMismatch);
    table.add("PNG as audio", AUDIO, NOTHING, png(), TypeMismatch);
    table.add("ZIP as audio", AUDIO, NOTHING, zip(&[("a", b"a")]), TypeMismatch);
    table.add("PNG as an artifact of text", TEXT, PNG, png(), TypeMismatch);
    table.add("MP4 as an artifact of text", TEXT, NOTHING, mp4(), TypeMismatch);
    table.add("nothing as image", IMAGE, PNG, Vec::new(), Malformed);
    table.add("nothing as video", VIDEO, NOTHING, Vec::new(), Malformed);
    table.add("nothing as audio", AUDIO, WAV, Vec::new(), Malformed);
    table.add("nothing as model", MODEL, SAFETENSORS, Vec::new(), Malformed);
    table.add("nothing as JSON", TEXT, JSON, Vec::new(), Malformed);
    table.add("nothing as PDF", OTHER, PDF, Vec::new(), Malformed);
}

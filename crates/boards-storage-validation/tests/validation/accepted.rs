//! What must pass: sound files under each name that people give them.

use boards_storage_core::{ArtifactType, ValidationSettings};
use boards_storage_testkit::samples::{
    avif, bmp, flac, gguf, gif, jpeg, mp4, ogg, pdf, png, safetensors, tiff, wav, webm, webp, zip,
};

use crate::support::{inspector, judge, judge_bytes, known};

const IMAGE: ArtifactType = ArtifactType::Image;
const VIDEO: ArtifactType = ArtifactType::Video;
const AUDIO: ArtifactType = ArtifactType::Audio;
const TEXT: ArtifactType = ArtifactType::Text;
const MODEL: ArtifactType = ArtifactType::Model;
const OTHER: ArtifactType = ArtifactType::Intermediate;

#[expect(clippy::too_many_lines, reason = "one table, a line for each case")]
fn table() -> Vec<(ArtifactType, &'static str, &'static str, Vec<u8>)> {
    let text = |text: &str| text.as_bytes().to_vec();
    let heic = avif();
    let quicktime = [&b"\0\0\0\x14ftypqt  \0\0\0\0qt  "[..], &mp4()[28..]].concat();
    let audio_mp4 = [&b"\0\0\0\x14ftypM4A \0\0\0\0M4A "[..], &mp4()[28..]].concat();
    vec![
        (IMAGE, "image/png", "a.png", png()),
        (IMAGE, "image/png", "a.apng", png()),
        (IMAGE, "image/png", "a", png()),
        (IMAGE, "", "a.PNG", png()),
        (IMAGE, "", "a", png()),
        (IMAGE, "application/octet-stream", "a.bin", png()),
        (IMAGE, "image/jpeg", "a.jpg", jpeg()),
        (IMAGE, "image/jpg", "a.jpeg", jpeg()),
        (IMAGE, "image/pjpeg", "a.jfif", jpeg()),
        (IMAGE, "image/jpeg", "a.jpg", [&jpeg()[..], &jpeg()].concat()),
        (IMAGE, "image/gif", "a.gif", gif()),
        (IMAGE, "image/webp", "a.webp", webp()),
        (IMAGE, "image/bmp", "a.bmp", bmp()),
        (IMAGE, "image/x-ms-bmp", "a.bmp", bmp()),
        (IMAGE, "image/tiff", "a.tif", tiff()),
        (IMAGE, "image/avif", "a.avif", heic.clone()),
        (IMAGE, "image/heic", "a.heic", heic.clone()),
        (IMAGE, "image/heif", "a.heif", heic),
        (
            IMAGE,
            "image/svg+xml",
            "a.svg",
            text("<?xml version=\"1.0\"?>\n<svg xmlns=\"x\"><rect/></svg>"),
        ),
        (IMAGE, "image/svg+xml", "a.svg", text("\u{feff}<!-- c --><svg/>")),
        (
            IMAGE,
            "image/svg+xml",
            "a.svg",
            text("<!DOCTYPE svg [<!ENTITY ns_svg \"http://www.w3.org/2000/svg\">]><svg xmlns=\"&ns_svg;\"/>"),
        ),
        (VIDEO, "video/mp4", "a.mp4", mp4()),
        (VIDEO, "video/mp4", "a.m4v", mp4()),
        (VIDEO, "video/quicktime", "a.mov", quicktime.clone()),
        (VIDEO, "video/quicktime", "a.mov", mp4()),
        (VIDEO, "video/mp4", "a.mp4", quicktime),
        (AUDIO, "audio/mp4", "a.m4a", audio_mp4.clone()),
        (AUDIO, "audio/x-m4a", "a.m4a", audio_mp4),
        (VIDEO, "video/webm", "a.webm", webm()),
        (VIDEO, "video/x-matroska", "a.mkv", webm()),
        (AUDIO, "audio/webm", "a.webm", webm()),
        (AUDIO, "audio/wav", "a.wav", wav()),
        (AUDIO, "audio/x-wav", "a.wav", wav()),
        (AUDIO, "audio/vnd.wave", "a.wav", wav()),
        (AUDIO, "audio/ogg", "a.ogg", ogg()),
        (AUDIO, "application/ogg", "a.oga", ogg()),
        (AUDIO, "audio/opus", "a.opus", ogg()),
        (VIDEO, "video/ogg", "a.ogv", ogg()),
        (AUDIO, "audio/flac", "a.flac", flac()),
        (
            AUDIO,
            "audio/mpeg",
            "a.mp3",
            b"ID3\x04\0\0\0\0\0\0\xFF\xFB\x90\x64\0\0\0\0".to_vec(),
        ),
        (
            AUDIO,
            "audio/mpeg",
            "a.mp3",
            b"\xFF\xFB\x90\x64\0\0\0\0\0\0\0\0".to_vec(),
        ),
        (
            AUDIO,
            "audio/aac",
            "a.aac",
            b"\xFF\xF1\x50\x80\0\x1F\xFC\0\0".to_vec(),
        ),
        (TEXT, "text/plain", "a.txt", text("hello")),
        (TEXT, "", "a.txt", text("hello")),
        (TEXT, "", "a", text("hello")),
        (TEXT, "text/plain", "a.txt", Vec::new()),
        (TEXT, "text/csv", "a.csv", Vec::new()),
        (TEXT, "", "", Vec::new()),
        (
            TEXT,
            "text/plain; charset=utf-8",
            "a.txt",
            text("\u{feff}naïve ☃ 🦀"),
        ),
        (TEXT, "text/plain", "a.txt", b"\xFF\xFEh\0i\0".to_vec()),
        (TEXT, "text/plain", "a.txt", b"\xFE\xFF\0h\0i".to_vec()),
        (
            TEXT,
            "text/plain; charset=iso-8859-1",
            "a.txt",
            b"caf\xE9".to_vec(),
        ),
        (
            TEXT,
            "text/plain",
            "a.json",
            text("{\"a\": [1, 2.5e3, \"\\u00e9\", null]}"),
        ),
        (TEXT, "application/json", "a.json", text(" \n{}\n")),
        (TEXT, "application/json", "a.json", text("\u{feff}{}")),
        (TEXT, "text/json", "a.json", text("[]")),
        (TEXT, "application/geo+json", "a.geojson", text("{}")),
        (TEXT, "application/json", "a.txt", text("{}")),
        (
            TEXT,
            "application/jsonl",
            "a.jsonl",
            text("{\"a\":1}\n{\"a\":2}\n"),
        ),
        (TEXT, "application/x-ndjson", "a.ndjson", text("1\n2")),
        (
            TEXT,
            "text/markdown",
            "a.md",
            text("<p align=\"center\"><img src=\"x\"></p>\n# Title"),
        ),
        (TEXT, "text/markdown", "a.md", text("<html>")),
        (TEXT, "text/html", "a.html", text("<!doctype html><p>hello")),
        (TEXT, "text/html", "a.htm", text("hello")),
        (
            TEXT,
            "application/xml",
            "a.xml",
            text("<?xml version=\"1.0\"?><a/>"),
        ),
        (TEXT, "text/xml", "a.xml", text("<a/>")),
        (
            TEXT,
            "text/xml",
            "a.xml",
            text("<?xml version='1.0' encoding='utf-16'?><a>é</a>"),
        ),
        (
            TEXT,
            "application/xml",
            "a.xml",
            b"<?xml version=\"1.0\" encoding=\"ISO-8859-1\"?><a>caf\xE9</a>".to_vec(),
        ),
        (
            TEXT,
            "text/html",
            "a.html",
            b"<!doctype html><meta charset=windows-1252><p>caf\xE9".to_vec(),
        ),
        (TEXT, "text/csv", "a.csv", text("a,b\n1,2\n")),
        (
            TEXT,
            "text/vtt",
            "a.vtt",
            text("WEBVTT\n\n00:00.000 --> 00:01.000\nhi"),
        ),
        (
            TEXT,
            "application/x-subrip",
            "a.srt",
            text("1\n00:00:00,000 --> 00:00:01,000\nhi\n"),
        ),
        (
            TEXT,
            "text/plain",
            "a.srt",
            text("1\n00:00:00,000 --> 00:00:01,000\nhi\n"),
        ),
        (TEXT, "application/yaml", "a.yaml", text("a: 1\n")),
        (
            TEXT,
            "video/vnd.dlna.mpeg-tts",
            "main.ts",
            text("export const a = 1;"),
        ),
        (TEXT, "", "main.ts", text("export const a = 1;")),
        (IMAGE, "image/x-adobe-dng", "a.dng", tiff()),
        (VIDEO, "video/mp4", "a.mp4", [&mp4()[..], &[0; 16]].concat()),
        (
            OTHER,
            "application/vnd.ms-package.3dmanufacturing-3dmodel+xml",
            "a.3mf",
            zip(&[("3D/3dmodel.model", b"<model/>")]),
        ),
        (
            TEXT,
            "text/x-python",
            "a.py",
            text("#!/usr/bin/env python3\nimport os\n"),
        ),
        (TEXT, "text/plain", "a.log", text("a < b\n<notapage>")),
        (
            MODEL,
            "application/vnd.safetensors",
            "a.safetensors",
            safetensors(),
        ),
        (MODEL, "application/octet-stream", "a.safetensors", safetensors()),
        (MODEL, "", "a.safetensors", safetensors()),
        (MODEL, "", "a.gguf", gguf()),
        (
            MODEL,
            "application/octet-stream",
            "a.onnx",
            b"\x08\x07\x12\x04test".to_vec(),
        ),
        (MODEL, "application/json", "config.json", text("{\"layers\": 2}")),
        (OTHER, "application/pdf", "a.pdf", pdf()),
        (
            OTHER,
            "application/zip",
            "a.zip",
            zip(&[("a.txt", b"a"), ("b/c.txt", b"b")]),
        ),
        (OTHER, "application/x-zip-compressed", "a.zip", zip(&[])),
        (
            OTHER,
            "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
            "a.docx",
            zip(&[
                ("[Content_Types].xml", b"<Types/>"),
                ("word/document.xml", b"<w/>"),
            ]),
        ),
        (
            OTHER,
            "application/epub+zip",
            "a.epub",
            zip(&[("mimetype", b"application/epub+zip")]),
        ),
        (
            OTHER,
            "application/gzip",
            "a.tar.gz",
            b"\x1F\x8B\x08\0\0\0\0\0\0\x03".to_vec(),
        ),
        (OTHER, "application/octet-stream", "a.bin", vec![0x17; 100]),
        (OTHER, "application/octet-stream", "a.bin", Vec::new()),
        (OTHER, "", "a.unheard-of", vec![0; 10]),
        (OTHER, "application/x-own", "a.own", vec![1, 2, 3]),
        (OTHER, "image/png", "a.png", png()),
        (
            ArtifactType::Dataset,
            "",
            "a.npy",
            b"\x93NUMPY\x01\0v\0{'descr': '<f4', }".to_vec(),
        ),
        (
            ArtifactType::Dataset,
            "",
            "a.parquet",
            b"PAR1\x15\x04PAR1".to_vec(),
        ),
        (
            ArtifactType::Dataset,
            "text/plain",
            "words.txt",
            text("cats\ndogs\n(mice)"),
        ),
    ]
}

#[tokio::test]
async fn sound_files_pass_under_each_of_their_names() {
    let inspector = inspector(&ValidationSettings::default());
    let mut wrong = Vec::new();
    for (artifact_type, content_type, file_name, bytes) in table() {
        let known = known(artifact_type, content_type, file_name);
        for findings in [
            judge_bytes(&inspector, &known, &bytes).await,
            judge(&inspector, &known, &bytes, 1).await,
        ] {
            if let Some(reason) = findings.verdict.reason() {
                wrong.push(format!("{content_type} {file_name}: {reason:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test]
async fn facts_come_from_the_header() {
    let inspector = inspector(&ValidationSettings::default());
    for (bytes, content_type, width, height, frames) in [
        (png(), "image/png", 1, 1, Some(1)),
        (gif(), "image/gif", 1, 1, Some(1)),
        (jpeg(), "image/jpeg", 16, 8, Some(1)),
        (webp(), "image/webp", 1, 1, Some(1)),
        (bmp(), "image/bmp", 1, 1, Some(1)),
        (tiff(), "image/tiff", 1, 1, None),
    ] {
        let known = known(IMAGE, "", "");
        let facts = judge_bytes(&inspector, &known, &bytes).await.facts;
        assert_eq!(
            (facts.width, facts.height, facts.frames),
            (Some(width), Some(height), frames),
            "{content_type}"
        );
        assert_eq!(
            facts
                .content_type
                .map(|found| found.essence().to_owned())
                .as_deref(),
            Some(content_type)
        );
        assert_eq!(facts.size_bytes, Some(bytes.len() as u64));
    }
}

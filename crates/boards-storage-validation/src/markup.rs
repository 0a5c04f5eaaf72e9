//! Markup by its beginning: what is HTML, XML or SVG, whatever it calls itself.

use boards_storage_core::{Reason, ReasonKind};
use memchr::memmem;

use crate::walk::malformed;

/// The text of the head, without its mark and the white space before it, in lower case. UTF-16 is narrowed.
pub(crate) fn beginning(head: &[u8]) -> Vec<u8> {
    let narrowed: Vec<u8> = match head {
        [0xFF, 0xFE, rest @ ..] | [0xFE, 0xFF, rest @ ..] => {
            rest.iter().copied().filter(|byte| *byte != 0).collect()
        }
        [0xEF, 0xBB, 0xBF, rest @ ..] | rest => rest.to_vec(),
    };
    narrowed.trim_ascii_start().to_ascii_lowercase()
}

/// The encoding that XML names in its declaration, or HTML in its first kilobyte; `None` if neither does.
pub(crate) fn named_charset(beginning: &[u8], is_html: bool) -> Option<String> {
    let (place, name): (&[u8], &[u8]) = if is_html {
        (&beginning[..beginning.len().min(1024)], b"charset=")
    } else if beginning.starts_with(b"<?xml") {
        let end = memmem::find(beginning, b"?>")?;
        (&beginning[..end], b"encoding=")
    } else {
        return None;
    };
    let rest = &place[memmem::find(place, name)? + name.len()..];
    let is_of_name = |byte: &&u8| byte.is_ascii_alphanumeric() || b"-_.:".contains(byte);
    let value: Vec<u8> = rest
        .trim_ascii_start()
        .iter()
        .skip_while(|byte| matches!(byte, b'"' | b'\''))
        .take_while(is_of_name)
        .copied()
        .collect();
    // What can be read so far is not UTF-16, whatever it says.
    let is_told = |name: &String| !name.is_empty() && !name.starts_with("utf-16");
    String::from_utf8(value).ok().filter(is_told)
}

/// Says whether text is a document of HTML or SVG, or a script of a page, that a browser would run.
pub(crate) fn is_page(beginning: &[u8]) -> bool {
    const STARTS: [&[u8]; 8] = [
        b"<!doctype html",
        b"<html",
        b"<head",
        b"<body",
        b"<script",
        b"<iframe",
        b"<svg",
        b"<!doctype svg",
    ];
    let text = without_prolog(beginning);
    STARTS.iter().any(|start| text.starts_with(start))
}

/// Skips comments, and the declaration of XML.
fn without_prolog(mut text: &[u8]) -> &[u8] {
    loop {
        text = text.trim_ascii_start();
        let end: &[u8] = if text.starts_with(b"<!--") {
            b"-->"
        } else if text.starts_with(b"<?xml") {
            b"?>"
        } else {
            return text;
        };
        let Some(at) = memmem::find(text, end) else {
            return text;
        };
        text = &text[at + end.len()..];
    }
}

/// Checks the beginning of XML: an element, and no entities that expand or fetch.
pub(crate) fn check_xml(beginning: &[u8], is_svg: bool) -> Result<(), Reason> {
    let name = if is_svg { "SVG" } else { "XML" };
    if !beginning.starts_with(b"<") {
        return Err(malformed(name, "it does not begin with an element"));
    }
    if is_svg && memmem::find(beginning, b"<svg").is_none() {
        return Err(Reason::new(
            ReasonKind::TypeMismatch,
            "the content is declared as SVG, and has no <svg> element at its beginning",
        ));
    }
    let mut rest = beginning;
    while let Some(at) = memmem::find(rest, b"<!entity") {
        rest = &rest[at + 8..];
        let declaration = &rest[..memchr::memchr(b'>', rest).unwrap_or(rest.len())];
        let fetches =
            memmem::find(declaration, b"system").is_some() || memmem::find(declaration, b"public").is_some();
        if fetches || declaration.contains(&b'&') || declaration.contains(&b'%') {
            return Err(entities(name));
        }
    }
    Ok(())
}

/// The reason for entities.
pub(crate) fn entities(name: &str) -> Reason {
    Reason::new(
        ReasonKind::Bomb,
        format!("the {name} file declares entities that expand into each other or fetch other files"),
    )
}

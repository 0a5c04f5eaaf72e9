//! Text that is none, JSON that does not parse, and markup under other names.

use boards_storage_core::ReasonKind::{Bomb, Malformed, NotText, Truncated, TypeMismatch};

use super::{DATASET, HTML, IMAGE, JSON, SVG, TEXT, TXT, Table, XML};
use crate::samples::png;

pub(super) fn add(table: &mut Table) {
    text_encodings(table);
    json(table);
    markup(table);
}

fn text_encodings(table: &mut Table) {
    table.add(
        "text that is not UTF-8",
        TEXT,
        TXT,
        &b"caf\xE9 au lait"[..],
        NotText,
    );
    table.add(
        "text of a lone continuation byte",
        TEXT,
        TXT,
        &b"a\x80b"[..],
        NotText,
    );
    table.add(
        "text of an overlong slash",
        TEXT,
        TXT,
        &b"..\xC0\xAFetc"[..],
        NotText,
    );
    table.add("text of a surrogate", TEXT, TXT, &b"\xED\xA0\x80"[..], NotText);
    table.add("text cut within a character", TEXT, TXT, &b"caf\xC3"[..], NotText);
    table.add("text with zero bytes", TEXT, TXT, &b"hello\0world"[..], NotText);
    table.add(
        "UTF-16 cut within a character",
        TEXT,
        TXT,
        &b"\xFF\xFEa\0b"[..],
        NotText,
    );
    table.add(
        "UTF-16 with a lone surrogate",
        TEXT,
        TXT,
        &b"\xFE\xFF\xD8\0\0a"[..],
        NotText,
    );
    table.add(
        "CSV that is not UTF-8",
        DATASET,
        ("text/csv", "a.csv"),
        &b"a,b\n\xFF,1\n"[..],
        NotText,
    );
    table.add(
        "JSON that is not UTF-8",
        TEXT,
        JSON,
        &b"{\"a\":\"\xFF\"}"[..],
        NotText,
    );
    table.add(
        "JSON without its end",
        TEXT,
        JSON,
        &b"{\"a\": [1, 2"[..],
        Truncated,
    );
}

fn json(table: &mut Table) {
    table.add(
        "JSON with a comma too many",
        TEXT,
        JSON,
        &b"[1, 2,]"[..],
        Malformed,
    );
    table.add(
        "JSON with something behind it",
        TEXT,
        JSON,
        &b"{} <script>"[..],
        Malformed,
    );
    table.add("two JSON values as one", TEXT, JSON, &b"{}\n{}"[..], Malformed);
    table.add("JSON of single quotes", TEXT, JSON, &b"{'a': 1}"[..], Malformed);
    table.add("JSON with a comment", TEXT, JSON, &b"// hello\n{}"[..], Malformed);
    table.add("JSON with NaN", TEXT, JSON, &b"[NaN]"[..], Malformed);
    table.add(
        "JSON with a raw line break in a text",
        TEXT,
        JSON,
        &b"[\"a\nb\"]"[..],
        Malformed,
    );
    table.add(
        "JSON with an unknown escape",
        TEXT,
        JSON,
        &b"[\"\\x41\"]"[..],
        Malformed,
    );
    table.add("JSON nested without end", TEXT, JSON, vec![b'['; 100_000], Bomb);
    table.add(
        "JSON of nested objects",
        TEXT,
        JSON,
        b"{\"a\":".repeat(10_000),
        Bomb,
    );
    table.add(
        "JSON lines with a broken one",
        DATASET,
        ("application/jsonl", "a.jsonl"),
        &b"{\"a\":1}\n{\"a\":}\n"[..],
        Malformed,
    );
    table.add(
        "text named JSON",
        TEXT,
        ("text/plain", "a.json"),
        &b"hello"[..],
        Malformed,
    );
}

fn markup(table: &mut Table) {
    table.add("HTML as text", TEXT, TXT, HTML, TypeMismatch);
    table.add("HTML as CSV", DATASET, ("text/csv", "a.csv"), HTML, TypeMismatch);
    table.add(
        "HTML behind white space as text",
        TEXT,
        TXT,
        &b"\n\n  \t<HTML><body>"[..],
        TypeMismatch,
    );
    table.add(
        "HTML behind a mark as text",
        TEXT,
        TXT,
        &b"\xEF\xBB\xBF<script>1</script>"[..],
        TypeMismatch,
    );
    table.add(
        "HTML behind a comment as text",
        TEXT,
        TXT,
        &b"<!-- hello --><html>"[..],
        TypeMismatch,
    );
    table.add(
        "HTML in UTF-16 as text",
        TEXT,
        TXT,
        &b"\xFF\xFE<\0s\0c\0r\0i\0p\0t\0>\0"[..],
        TypeMismatch,
    );
    table.add(
        "SVG as text",
        TEXT,
        TXT,
        &b"<?xml version=\"1.0\"?><svg onload=\"alert(1)\"/>"[..],
        TypeMismatch,
    );
    table.add("XML without an element", TEXT, XML, &b"hello"[..], Malformed);
    table.add("HTML as SVG", IMAGE, SVG, HTML, TypeMismatch);
    table.add(
        "XML that names UTF-8 and is not",
        TEXT,
        XML,
        &b"<?xml version=\"1.0\" encoding=\"UTF-8\"?><a>caf\xE9</a>"[..],
        NotText,
    );
    table.add("text as SVG", IMAGE, SVG, &b"hello"[..], Malformed);
    table.add(
        "SVG that is not UTF-8",
        IMAGE,
        SVG,
        &b"<svg>\xFF</svg>"[..],
        NotText,
    );
    table.add("PNG as SVG", IMAGE, SVG, png(), TypeMismatch);
    table.add(
        "XML of a billion laughs",
        TEXT,
        XML,
        &b"<?xml version=\"1.0\"?><!DOCTYPE l [<!ENTITY a \"lol\"><!ENTITY b \"&a;&a;&a;\">]><l>&b;</l>"[..],
        Bomb,
    );
    table.add(
        "XML that reads a file",
        TEXT,
        XML,
        &b"<!DOCTYPE x [<!ENTITY f SYSTEM \"file:///etc/passwd\">]><x>&f;</x>"[..],
        Bomb,
    );
    table.add(
        "SVG that reads a file",
        IMAGE,
        SVG,
        &b"<!DOCTYPE svg [<!ENTITY f SYSTEM \"file:///etc/passwd\">]><svg><text>&f;</text></svg>"[..],
        Bomb,
    );
    table.add(
        "XML with parameter entities",
        TEXT,
        XML,
        &b"<!DOCTYPE x [<!ENTITY % p SYSTEM \"http://10.0.0.1/x\">%p;]><x/>"[..],
        Bomb,
    );
}

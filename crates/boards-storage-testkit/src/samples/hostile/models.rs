//! Model files and archives.

use boards_storage_core::ReasonKind::{Bomb, Malformed, Pickle, Truncated, TypeMismatch};

use super::{DATASET, GGUF, MODEL, NOTHING, OCTETS, OTHER, SAFETENSORS, Table, ZIP};
use crate::samples::model::{gguf_with, safetensors_with, zip_claiming};
use crate::samples::{gguf, pickle, safetensors, zip};

pub(super) fn add(table: &mut Table) {
    safetensors_headers(table);
    model_files(table);
    pickles(table);
    pickles_within(table);
    archives(table);
}

fn safetensors_headers(table: &mut Table) {
    let mut add = |name, header: &str, data, reason| {
        table.add(name, MODEL, SAFETENSORS, safetensors_with(header, data), reason);
    };
    add(
        "safetensors whose header is no JSON",
        "{\"weight\":nonsense}",
        8,
        Malformed,
    );
    add(
        "safetensors that overlap",
        r#"{"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},"b":{"dtype":"U8","shape":[4],"data_offsets":[2,6]}}"#,
        6,
        Malformed,
    );
    add(
        "safetensors with a gap",
        r#"{"a":{"dtype":"U8","shape":[4],"data_offsets":[4,8]}}"#,
        8,
        Malformed,
    );
    add(
        "safetensors of the wrong shape",
        r#"{"a":{"dtype":"F32","shape":[100],"data_offsets":[0,8]}}"#,
        8,
        Malformed,
    );
    add(
        "safetensors of an unknown type",
        r#"{"a":{"dtype":"OBJECT","shape":[8],"data_offsets":[0,8]}}"#,
        8,
        Malformed,
    );
    add(
        "safetensors of an endless shape",
        r#"{"a":{"dtype":"F64","shape":[4294967296,4294967296,4294967296],"data_offsets":[0,8]}}"#,
        8,
        Malformed,
    );
    add(
        "safetensors with offsets turned round",
        r#"{"a":{"dtype":"U8","shape":[4],"data_offsets":[8,4]}}"#,
        8,
        Malformed,
    );
    add(
        "safetensors with metadata that are no texts",
        r#"{"__metadata__":{"a":1}}"#,
        0,
        Malformed,
    );
    add(
        "safetensors whose data are not there",
        r#"{"a":{"dtype":"U8","shape":[1000000],"data_offsets":[0,1000000]}}"#,
        8,
        Truncated,
    );
}

fn model_files(table: &mut Table) {
    let mut endless = safetensors();
    endless[..8].copy_from_slice(&90_000_000_u64.to_le_bytes());
    table.add(
        "safetensors with a header of 90 MB",
        MODEL,
        SAFETENSORS,
        endless,
        Malformed,
    );
    let mut endless = safetensors();
    endless[..8].copy_from_slice(&u64::MAX.to_le_bytes());
    table.add(
        "safetensors with an endless header",
        MODEL,
        SAFETENSORS,
        endless,
        TypeMismatch,
    );
    table.add(
        "text as safetensors",
        MODEL,
        SAFETENSORS,
        &b"hello"[..],
        TypeMismatch,
    );
    table.add(
        "GGUF of an unknown version",
        MODEL,
        GGUF,
        gguf_with(77, 1, 2),
        Malformed,
    );
    table.add(
        "GGUF of endless tensors",
        MODEL,
        GGUF,
        gguf_with(3, u64::MAX, 2),
        Malformed,
    );
    table.add(
        "GGUF of endless metadata",
        MODEL,
        GGUF,
        gguf_with(3, 1, 1 << 40),
        Malformed,
    );
    let mut endless = gguf();
    endless[24..32].copy_from_slice(&u64::MAX.to_le_bytes());
    table.add("GGUF with an endless key", MODEL, GGUF, endless, Malformed);
    table.add("safetensors as GGUF", MODEL, GGUF, safetensors(), TypeMismatch);
}

fn pickles(table: &mut Table) {
    table.add("a pickle named .pkl", MODEL, ("", "a.pkl"), pickle(), Pickle);
    table.add(
        "a pickle named .pt",
        MODEL,
        ("application/octet-stream", "a.pt"),
        pickle(),
        Pickle,
    );
    table.add("a pickle named .ckpt", MODEL, ("", "a.ckpt"), pickle(), Pickle);
    table.add("anything named .pth", MODEL, ("", "a.pth"), vec![1; 10], Pickle);
    table.add("a pickle without a name", MODEL, NOTHING, pickle(), Pickle);
    table.add("a pickle named .bin", MODEL, OCTETS, pickle(), Pickle);
    table.add("a pickle as dataset", DATASET, OCTETS, pickle(), Pickle);
    table.add("a pickle as intermediate", OTHER, NOTHING, pickle(), Pickle);
    table.add("a pickle as safetensors", MODEL, SAFETENSORS, pickle(), Pickle);
    table.add(
        "a pickle declared as one",
        MODEL,
        ("application/x-pickle", "a.bin"),
        vec![1; 10],
        Pickle,
    );
    table.add(
        "a pickle of protocol 4",
        MODEL,
        OCTETS,
        &b"\x80\x04\x95\x1d\0\0\0\0\0\0\0\x8c\x05posix\x94."[..],
        Pickle,
    );
    table.add(
        "a pickle of text",
        MODEL,
        OCTETS,
        &b"cos\nsystem\n(S'id'\ntR."[..],
        Pickle,
    );
    table.add(
        "a checkpoint of torch, old",
        MODEL,
        OCTETS,
        &b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9\x03."[..],
        Pickle,
    );
}

fn pickles_within(table: &mut Table) {
    let torch = zip(&[("archive/data.pkl", &pickle()), ("archive/version", b"3")]);
    table.add("a checkpoint of torch", MODEL, OCTETS, torch.clone(), Pickle);
    table.add(
        "a checkpoint of torch as ZIP",
        DATASET,
        ZIP,
        torch.clone(),
        Pickle,
    );
    let late = zip(&[("a.bin", &[7; 100_000]), ("b/data.pkl", &pickle())]);
    table.add(
        "a ZIP with a pickle far behind its beginning",
        MODEL,
        OCTETS,
        late,
        Pickle,
    );
    let array = b"\x93NUMPY\x01\0v\0{'descr': '|O', 'fortran_order': False, 'shape': (1,), }";
    table.add(
        "an array of NumPy that holds objects",
        DATASET,
        ("", "a.npy"),
        &array[..],
        Pickle,
    );
    table.add(
        "a compressed pickle",
        MODEL,
        ("", "a.pkl.gz"),
        &b"\x1F\x8B\x08\0\0\0\0\0\0\x03"[..],
        Pickle,
    );
}

fn archives(table: &mut Table) {
    table.add(
        "ZIP with an entry above its folder",
        DATASET,
        ZIP,
        zip(&[("../../etc/cron.d/x", b"x")]),
        Malformed,
    );
    table.add(
        "ZIP with an entry at the root",
        DATASET,
        ZIP,
        zip(&[("/etc/passwd", b"x")]),
        Malformed,
    );
    table.add(
        "ZIP with an entry on a drive",
        DATASET,
        ZIP,
        zip(&[("C:\\windows\\x", b"x")]),
        Malformed,
    );
    table.add(
        "ZIP with backslashes that lead out",
        DATASET,
        ZIP,
        zip(&[("a\\..\\..\\x", b"x")]),
        Malformed,
    );
    let bomb = zip_claiming(&[("zeros", &[0; 1000])], Some(4_000_000_000));
    table.add("ZIP bomb", DATASET, ZIP, bomb.clone(), Bomb);
    table.add(
        "ZIP bomb as a document",
        OTHER,
        (
            "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
            "a.docx",
        ),
        bomb,
        Bomb,
    );
    table.add(
        "RAR as ZIP",
        DATASET,
        ZIP,
        &b"Rar!\x1A\x07\x01\0\x33\x92\xB5\xE5\x0A\x01\x05\x06"[..],
        TypeMismatch,
    );
    table.add(
        "gzip as ZIP",
        DATASET,
        ZIP,
        &b"\x1F\x8B\x08\0\0\0\0\0\0\x03\x03\0\0\0\0\0\0\0\0\0"[..],
        TypeMismatch,
    );
}

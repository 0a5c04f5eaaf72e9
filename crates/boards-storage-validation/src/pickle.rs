//! Pickles, which run code when they are loaded.

use boards_storage_core::{Reason, ReasonKind};

/// Extensions of files that are pickles, or archives of pickles.
const EXTENSIONS: &[&str] = &["pkl", "pickle", "pt", "pth", "ckpt", "joblib", "dill"];

/// The reason for a pickle.
pub(crate) fn refused(what: &str) -> Reason {
    Reason::new(
        ReasonKind::Pickle,
        format!("{what}: loading it can run any code, so it is refused"),
    )
}

/// Says whether a file name is that of a pickle, compressed or not.
pub(crate) fn is_pickle_name(name: &str) -> bool {
    let name = name
        .rsplit(['/', '\\'])
        .next()
        .unwrap_or_default()
        .to_ascii_lowercase();
    let mut parts = name.rsplit('.');
    let last = parts.next().unwrap_or_default();
    let before = parts.next();
    if before.is_none() {
        return false;
    }
    let is_packed = ["gz", "bz2", "xz", "zst", "z", "lz4"].contains(&last);
    EXTENSIONS.contains(&last)
        || (is_packed && parts.next().is_some() && before.is_some_and(|name| EXTENSIONS.contains(&name)))
}

/// Says whether an entry of an archive is a pickle by its name.
pub(crate) fn is_pickle_entry(name: &[u8]) -> bool {
    let name = String::from_utf8_lossy(name).to_ascii_lowercase();
    name.ends_with(".pkl") || name.ends_with(".pickle") || name.ends_with(".joblib")
}

/// Says whether bytes begin as a pickle does, or as an array of `NumPy` that holds pickled objects.
pub(crate) fn is_pickle(head: &[u8]) -> bool {
    match head {
        // Since protocol 4 a frame follows, with its length in eight bytes.
        [0x80, 4..=5, 0x95, frame @ ..] => frame
            .get(5..8)
            .is_none_or(|high| high.iter().all(|byte| *byte == 0)),
        // The opcodes that can begin an object.
        [0x80, 2..=5, opcode, ..] => b"}](c)XKJMGNU\x88\x89\x8a\x8cCBT\x8e\x8f".contains(opcode),
        [0x93, b'N', b'U', b'M', b'P', b'Y', ..] => {
            let header = &head[..head.len().min(512)];
            memchr::memmem::find(header, b"'|O'").is_some() || memchr::memmem::find(header, b"'O'").is_some()
        }
        _ => false,
    }
}

/// Protocols 0 and 1 are text: `c`, the name of a module, the name of a function, and an opcode that uses it.
pub(crate) fn is_text_pickle(head: &[u8]) -> bool {
    let head = match head {
        [b'(', rest @ ..] | rest => rest,
    };
    let Some(rest) = head.strip_prefix(b"c") else {
        return false;
    };
    let is_name = |name: &[u8]| {
        !name.is_empty()
            && name.len() <= 100
            && name
                .iter()
                .all(|byte| byte.is_ascii_alphanumeric() || b"._".contains(byte))
    };
    let mut lines = rest.splitn(3, |byte| *byte == b'\n');
    let (Some(module), Some(function), Some(after)) = (lines.next(), lines.next(), lines.next()) else {
        return false;
    };
    is_name(module) && is_name(function) && after.first().is_some_and(|opcode| b"(pq)]}S".contains(opcode))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pickles_are_known_by_name() {
        for name in ["a.pkl", "A.PT", "model.ckpt", "x/y.pth", "x.pkl.gz", "m.joblib"] {
            assert!(is_pickle_name(name), "{name}");
        }
        for name in [
            "pkl",
            "a.png",
            "pt.safetensors",
            "x.gz",
            "pkl.gz",
            "",
            "a.pkl.txt",
        ] {
            assert!(!is_pickle_name(name), "{name}");
        }
    }

    #[test]
    fn pickles_are_known_by_their_bytes() {
        assert!(is_text_pickle(b"cos\nsystem\n(S'id'\ntR."));
        assert!(!is_text_pickle(b"cats\ndogs\nmice"));
        for bytes in [
            &b"\x80\x04\x95\x10\0\0\0\0\0\0\0\x8c"[..],
            b"\x80\x02}q\0.",
            b"\x80\x02\x8a\nl\xfc\x9c\x46\xf9\x20\x6a\xa8P\x19.",
            b"\x93NUMPY\x01\0v\0{'descr': '|O', 'fortran_order': False",
        ] {
            assert!(is_pickle(bytes));
        }
        for bytes in [
            &b""[..],
            b"\x80",
            b"\x93NUMPY\x01\0v\0{'descr': '<f4'",
            b"\x80\x04\0\0",
        ] {
            assert!(!is_pickle(bytes));
        }
    }
}

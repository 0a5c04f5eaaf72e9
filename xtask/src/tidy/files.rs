//! What no file of the repository has: unfinished business, somebody's home, a megabyte, endless code.

use super::{File, Problem, Tree};

/// The largest file, in bytes.
const FILE_SIZE_BYTES_MAX: u64 = 1024 * 1024;

/// The longest Rust file, in lines.
const RUST_LINES_MAX: usize = 800;

/// Text that no file has, and what to do instead. Spelt in two halves, so that this file passes.
const FORBIDDEN: &[Forbidden] = &[
    Forbidden {
        text: concat!("TO", "DO"),
        matched: Matched::Word,
        remedy: DO_IT,
    },
    Forbidden {
        text: concat!("FIX", "ME"),
        matched: Matched::Word,
        remedy: DO_IT,
    },
    Forbidden {
        text: concat!("XX", "X"),
        matched: Matched::Word,
        remedy: DO_IT,
    },
    Forbidden {
        text: concat!("to", "do!("),
        matched: Matched::Anywhere,
        remedy: WRITE_IT,
    },
    Forbidden {
        text: concat!("unimple", "mented!("),
        matched: Matched::Anywhere,
        remedy: WRITE_IT,
    },
    Forbidden {
        text: concat!("/ro", "ot/"),
        matched: Matched::Anywhere,
        remedy: RELATIVE_PATH,
    },
    Forbidden {
        text: concat!("/ho", "me/"),
        matched: Matched::Anywhere,
        remedy: RELATIVE_PATH,
    },
];

const DO_IT: &str = "do it now, or file an issue";
const WRITE_IT: &str = "write the code, or return an `Unsupported` error";
const RELATIVE_PATH: &str = "use a relative path, or one that is made up";

#[derive(Debug)]
struct Forbidden {
    text: &'static str,
    matched: Matched,
    remedy: &'static str,
}

/// Where a forbidden text counts.
#[derive(Debug, Clone, Copy)]
enum Matched {
    /// As a word of its own.
    Word,
    Anywhere,
}

pub(super) fn check(tree: &Tree) -> Vec<Problem> {
    tree.files.iter().flat_map(check_file).collect()
}

fn check_file(file: &File) -> Vec<Problem> {
    let mut problems = Vec::new();
    if file.size_bytes > FILE_SIZE_BYTES_MAX {
        let message = format!(
            "has {} bytes, expected at most {FILE_SIZE_BYTES_MAX}: make the data in a test, or leave it out",
            file.size_bytes
        );
        problems.push(Problem::in_file(&file.path, message));
    }
    let Some(text) = &file.text else { return problems };
    let lines = text.lines().count();
    if file.path.ends_with(".rs") && lines > RUST_LINES_MAX {
        let message = format!("has {lines} lines, expected at most {RUST_LINES_MAX}: split it by subject");
        problems.push(Problem::in_file(&file.path, message));
    }
    for (number, line) in (1..).zip(text.lines()) {
        for Forbidden {
            text,
            matched,
            remedy,
        } in FORBIDDEN
        {
            if contains(line, text, *matched) {
                problems.push(Problem::at_line(
                    &file.path,
                    number,
                    format!("has `{text}`: {remedy}"),
                ));
            }
        }
    }
    problems
}

fn contains(line: &str, text: &str, matched: Matched) -> bool {
    let is_part_of_word = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(text).any(|(start, _)| match matched {
        Matched::Anywhere => true,
        Matched::Word => {
            let before = line[..start].chars().next_back();
            let after = line[start + text.len()..].chars().next();
            !before.is_some_and(is_part_of_word) && !after.is_some_and(is_part_of_word)
        }
    })
}

#[cfg(test)]
mod tests {
    use super::{FILE_SIZE_BYTES_MAX, File, RUST_LINES_MAX, check_file};

    fn file(path: &str, size_bytes: u64, text: Option<String>) -> File {
        File {
            path: path.to_owned(),
            size_bytes,
            text,
        }
    }

    #[track_caller]
    fn check_line(line: &str, is_clean: bool) {
        let problems = check_file(&file("a.md", 1, Some(format!("first\n{line}\n"))));
        assert_eq!(problems.is_empty(), is_clean, "{problems:?}");
        assert!(
            problems.iter().all(|problem| problem.line == Some(2)),
            "{problems:?}"
        );
    }

    #[test]
    fn unfinished_business_is_found() {
        check_line(concat!("// TO", "DO: later"), false);
        check_line(concat!("(FIX", "ME)"), false);
        check_line(concat!("    unimple", "mented!(\"later\")"), false);
        check_line(concat!("let x = to", "do!();"), false);
    }

    #[test]
    fn longer_words_are_clean() {
        check_line(concat!("mktemp boards.XX", "XXXX"), true);
        check_line(concat!("AUTO", "TO", "DOR"), true);
    }

    #[test]
    fn somebodys_home_is_found() {
        check_line(concat!("/ho", "me/alice/data"), false);
        check_line(concat!("path = \"/ro", "ot/x\""), false);
        check_line("/srv/homes/data", true);
    }

    #[track_caller]
    fn check_size(size_bytes: u64, is_clean: bool) {
        assert_eq!(
            check_file(&file("photo.png", size_bytes, None)).is_empty(),
            is_clean
        );
    }

    #[test]
    fn a_file_has_at_most_a_mebibyte() {
        check_size(FILE_SIZE_BYTES_MAX, true);
        check_size(FILE_SIZE_BYTES_MAX + 1, false);
    }

    #[track_caller]
    fn check_lines(path: &str, lines: usize, is_clean: bool) {
        assert_eq!(
            check_file(&file(path, 1, Some("//\n".repeat(lines)))).is_empty(),
            is_clean
        );
    }

    #[test]
    fn rust_code_has_a_length_limit() {
        check_lines("a.rs", RUST_LINES_MAX, true);
        check_lines("a.rs", RUST_LINES_MAX + 1, false);
        check_lines("Cargo.lock", RUST_LINES_MAX + 1, true);
    }
}

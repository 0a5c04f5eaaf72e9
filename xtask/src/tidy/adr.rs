//! Each decision in `docs/adr/` is listed in its index.

use super::{Problem, Tree};

const FOLDER: &str = "docs/adr/";
const INDEX: &str = "docs/adr/README.md";

pub(super) fn check(tree: &Tree) -> Vec<Problem> {
    let Some(index) = tree.file(INDEX).and_then(|file| file.text.as_deref()) else {
        return vec![Problem::in_file(
            INDEX,
            "is missing: write the index of the decisions",
        )];
    };
    let pages = tree
        .files
        .iter()
        .filter_map(|file| file.path.strip_prefix(FOLDER));
    pages
        .filter(|page| *page != "README.md")
        .filter_map(|page| check_page(index, page))
        .collect()
}

fn check_page(index: &str, page: &str) -> Option<Problem> {
    let is_listed = index.contains(&format!("]({page})"));
    let message = format!("is not in the index: add a line with `[title]({page})` to {INDEX}");
    (!is_listed).then(|| Problem::in_file(&format!("{FOLDER}{page}"), message))
}

#[cfg(test)]
mod tests {
    use super::check_page;

    const INDEX: &str = "# Decisions\n- [0001: one error](0001-one-error.md)\n";

    #[test]
    fn a_listed_page_is_accepted() {
        assert_eq!(check_page(INDEX, "0001-one-error.md"), None);
    }

    #[test]
    fn an_unlisted_page_is_reported() {
        let problem = check_page(INDEX, "0002-two-errors.md").unwrap();
        assert_eq!(problem.path, "docs/adr/0002-two-errors.md");
        assert!(check_page("0001-one-error.md without a link", "0001-one-error.md").is_some());
    }
}

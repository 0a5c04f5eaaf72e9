//! No signature, token or user name of a URL stands in an error.

/// Cuts the queries and the user names off all URLs: signatures and tokens are there.
pub(crate) fn redacted(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("://") {
        let (before, after) = rest.split_at(at + 3);
        shown.push_str(before);
        let is_end = |c: char| c.is_whitespace() || c.is_control() || "\"'<>{}|,)".contains(c);
        let end = after.find(is_end).unwrap_or(after.len());
        let (url, behind) = after.split_at(end);
        let plain = url.split(['?', '#']).next().unwrap_or_default();
        let host = plain.split('/').next().unwrap_or_default();
        match host.rsplit_once('@') {
            Some((user, _)) => shown.push_str(plain.get(user.len() + 1..).unwrap_or_default()),
            None => shown.push_str(plain),
        }
        if plain.len() < url.len() {
            shown.push_str("?…");
        }
        rest = behind;
    }
    shown.push_str(rest);
    shown
}

#[cfg(test)]
mod tests {
    use super::redacted;

    #[track_caller]
    fn check(text: &str, shown: &str) {
        assert_eq!(redacted(text), shown);
    }

    #[test]
    fn queries_and_users_are_cut_off() {
        check("no address: a?b", "no address: a?b");
        check(
            "at {uri: https://user:s3cret@host/a?sig=s3cret#x, b} http://host/c",
            "at {uri: https://host/a?…, b} http://host/c",
        );
        check("(http://host?x=s3cret)", "(http://host?…)");
    }
}

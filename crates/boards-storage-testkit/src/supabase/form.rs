//! Uploads as `multipart/form-data`, as browsers and the official clients send them.

use bytes::Bytes;

use super::reply::Failure;

/// The fields that matter, and the first file.
#[derive(Debug, Default)]
pub(super) struct Form {
    pub(super) cache_control: Option<String>,
    pub(super) content_type: Option<String>,
    pub(super) metadata: Option<String>,
    pub(super) file: Option<(Option<String>, Bytes)>,
}

/// Returns the boundary of a form's content type; `None` if it is no form.
pub(super) fn boundary(content_type: &str) -> Option<Result<String, Failure>> {
    let parameters = content_type.strip_prefix("multipart/form-data")?;
    let boundary = parameters
        .split(';')
        .find_map(|parameter| parameter.trim().strip_prefix("boundary="))
        .map(|boundary| boundary.trim_matches('"').to_owned());
    Some(boundary.ok_or_else(|| Failure::request("Multipart: Boundary not found")))
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}

pub(super) fn parse(body: &Bytes, boundary: &str) -> Result<Form, Failure> {
    let broken = || Failure::request("Unexpected end of multipart data");
    let delimiter = format!("--{boundary}");
    let end = format!("\r\n{delimiter}");
    let mut rest = body.slice(find(body, delimiter.as_bytes()).ok_or_else(broken)? + delimiter.len()..);
    let mut form = Form::default();
    while !rest.starts_with(b"--") {
        let head_end = find(&rest, b"\r\n\r\n").ok_or_else(broken)?;
        let head = String::from_utf8_lossy(&rest[..head_end]).into_owned();
        let content_start = head_end + 4;
        let length = find(&rest[content_start..], end.as_bytes()).ok_or_else(broken)?;
        take(
            &mut form,
            &head,
            rest.slice(content_start..content_start + length),
        );
        rest = rest.slice(content_start + length + end.len()..);
    }
    Ok(form)
}

fn take(form: &mut Form, head: &str, content: Bytes) {
    let line = |name: &str| {
        head.lines().find_map(|line| {
            let (known, value) = line.split_once(':')?;
            known.trim().eq_ignore_ascii_case(name).then(|| value.trim())
        })
    };
    let disposition = line("content-disposition").unwrap_or_default();
    let parameter = |name: &str| {
        disposition
            .split(';')
            .find_map(|part| part.trim().strip_prefix(name)?.strip_prefix('='))
            .map(|value| value.trim_matches('"'))
    };
    if parameter("filename").is_some() {
        let content_type = line("content-type").map(str::to_owned);
        form.file.get_or_insert((content_type, content));
        return;
    }
    let text = String::from_utf8_lossy(&content).into_owned();
    match parameter("name") {
        Some("cacheControl") => form.cache_control = Some(text),
        Some("contentType") => form.content_type = Some(text),
        Some("metadata" | "userMetadata") => form.metadata = Some(text),
        Some(_) | None => {}
    }
}

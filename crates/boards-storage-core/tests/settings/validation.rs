//! `storage.validation`: what content must be.

use std::time::Duration;

use boards_storage_core::{
    ContentType, Disposition, RefusedContent, ScanFailure, ScanMode, ScannerSettings, ValidationSettings,
};

use super::load;

fn text(validation: &str) -> String {
    format!(
        "storage:\n  default_provider: local\n  providers:\n    local: {{type: local, config: {{base_path: /tmp}}}}\n  \
         validation: {validation}\n"
    )
}

/// Checks the problems that are told, each as its path and its message.
#[track_caller]
fn check(validation: &str, expected: &[&str]) {
    let told = match load(&text(validation), &[]) {
        Ok(_) => Vec::new(),
        Err(error) => error
            .problems
            .iter()
            .map(|problem| format!("{}: {}", problem.path, problem.message))
            .collect(),
    };
    assert_eq!(told, expected, "{validation}");
}

#[test]
fn it_is_on_by_default_and_nothing_is_scanned() {
    let loaded = load(&text("{}"), &[]).expect("valid").settings.storage.validation;
    assert_eq!(loaded, ValidationSettings::default());
    assert!(loaded.enabled && !loaded.allow_pickle && loaded.scan.scanner.is_none());
    assert_eq!(loaded.scan.on_failure, ScanFailure::Closed);
}

#[test]
fn everything_can_be_set() {
    let text = text(
        "{on_mismatch: quarantine, allow_pickle: true, quarantine_prefix: aside/x, inline: [image/png], \
         image: {width_max: 10, pixels_max: 100}, \
         types: {image: {extensions: [png], content_types: [image/png], size_max: 10MB}, own: {}}, \
         scan: {mode: later, on_infected: quarantine, on_failure: open, \
         scanner: {type: clamav, address: 'unix:/run/clamd.sock', timeout: 5s, size_max: 25MB}}}",
    );
    let loaded = load(&text, &[]).expect("valid").settings.storage.validation;
    assert_eq!(loaded.on_mismatch, RefusedContent::Quarantine);
    assert_eq!((loaded.image.width_max, loaded.image.pixels_max), (10, 100));
    assert_eq!(
        loaded.types["image"].size_max.map(|size| size.bytes()),
        Some(10_000_000)
    );
    assert_eq!(
        (loaded.scan.mode, loaded.scan.on_failure),
        (ScanMode::Later, ScanFailure::Open)
    );
    let Some(ScannerSettings::Clamav { address, timeout, .. }) = &loaded.scan.scanner else {
        panic!("it has a scanner");
    };
    assert_eq!(
        (address.as_str(), timeout.get()),
        ("unix:/run/clamd.sock", Duration::from_secs(5))
    );
    let disposition = |text: &str| {
        let content_type = ContentType::parse(text).expect("valid");
        loaded.inline_policy().disposition(&content_type)
    };
    assert_eq!(disposition("image/png"), Disposition::Inline);
    assert_eq!(disposition("image/gif"), Disposition::Attachment);
}

#[test]
fn what_the_schema_cannot_say_is_told() {
    check(
        "{types: {Image: {}}}",
        &["storage.validation.types.Image: expected the name of an artifact type, found \"Image\""],
    );
    check(
        "{types: {image: {extensions: [png, .jpg]}}}",
        &["storage.validation.types.image.extensions[1]: expected a file name extension, found \".jpg\""],
    );
    check(
        "{inline: [image/png, image/svg+xml, text/html]}",
        &[
            "storage.validation.inline[1]: expected a content type that may be served inline, found \"image/svg+xml\"",
            "storage.validation.inline[2]: expected a content type that may be served inline, found \"text/html\"",
        ],
    );
    for prefix in ["/a", "a/", "../a", ".boards-storage"] {
        let expected = format!(
            "storage.validation.quarantine_prefix: expected the beginning of a storage key, found {prefix:?}"
        );
        check(&format!("{{quarantine_prefix: {prefix}}}"), &[&expected]);
    }
    for address in ["localhost", "localhost:0", "localhost:x", ":3310", "unix:run"] {
        let expected = format!(
            "storage.validation.scan.scanner.address: expected 'host:port' or 'unix:/path', found {address:?}"
        );
        check(
            &format!("{{scan: {{scanner: {{type: clamav, address: '{address}'}}}}}}"),
            &[&expected],
        );
    }
    check("{scan: {scanner: {type: clamav, address: 'clamd:3310'}}}", &[]);
}

//! How a test asks the policy.

use std::sync::Arc;

use boards_storage_core::{
    ArtifactType, ByteStream, Content, ContentType, ContentVerdict, Findings, Inspector, Result, Validation,
    ValidationSettings,
};
use boards_storage_validation::ContentValidator;
use futures_util::StreamExt;

pub(crate) fn inspector(settings: &ValidationSettings) -> Inspector {
    Inspector::default().with_validator(Arc::new(ContentValidator::new(settings)))
}

pub(crate) fn known(artifact_type: ArtifactType, content_type: &str, file_name: &str) -> Validation {
    let known = Validation::new(artifact_type).with_file_name(file_name);
    match content_type {
        "" => known,
        _ => known.with_content_type(ContentType::parse(content_type).expect("a content type")),
    }
}

/// The bytes as a stream of pieces of this size.
pub(crate) fn in_pieces(bytes: &[u8], size: usize) -> ByteStream {
    let pieces: Vec<Result<_>> = bytes
        .chunks(size.max(1))
        .map(|piece| Ok(piece.to_vec().into()))
        .collect();
    Box::pin(futures_util::stream::iter(pieces))
}

/// What the policy says of bytes that come in pieces of this size.
pub(crate) async fn judge(inspector: &Inspector, known: &Validation, bytes: &[u8], size: usize) -> Findings {
    let mut stream = inspector.inspect_stream(known, in_pieces(bytes, size));
    let mut passed = 0;
    while let Some(Ok(piece)) = stream.next().await {
        passed += piece.len();
    }
    let findings = stream.findings().expect("the stream has ended");
    if !matches!(findings.verdict, ContentVerdict::Rejected { .. }) {
        assert_eq!(
            passed,
            bytes.len(),
            "everything that is not rejected flows through"
        );
    }
    findings
}

/// What the policy says of bytes as content that is held in memory.
pub(crate) async fn judge_bytes(inspector: &Inspector, known: &Validation, bytes: &[u8]) -> Findings {
    let inspected = inspector
        .inspect_content(known, Content::from(bytes.to_vec()))
        .await
        .expect("bytes can be read");
    inspected.head().clone()
}

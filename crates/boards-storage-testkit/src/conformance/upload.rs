//! Uploads: every shape of content, what is checked while it flows, and what is left when it fails.

use boards_storage_core::{
    Capability, Content, Digest, DigestAlgorithm, DownloadOptions, Error, ErrorKind, Result, UploadOptions,
};
use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};

use super::case::{Case, broken, pattern, pieces, refused, replayable, same_bytes, streamed};
use super::conformance_tests;
use super::need::Need::{Has, Second};

conformance_tests! {
    "upload" needs [] {
        bytes_come_back []
        one_byte_comes_back []
        an_empty_object_comes_back []
        an_empty_stream_comes_back []
        a_stream_of_known_length_comes_back []
        a_stream_of_unknown_length_comes_back []
        replayable_content_comes_back []
        many_tiny_pieces_make_one_object []
        one_huge_piece_makes_one_object []
        empty_pieces_are_nothing []
        a_big_object_streams_both_ways [Has(Capability::StreamingUpload)]
        a_big_object_of_known_length_streams_both_ways []
        the_answer_describes_the_object []
        overwriting_replaces_the_bytes []
        a_shorter_overwrite_leaves_no_tail []
        an_overwrite_by_nothing_leaves_nothing []
        a_failing_source_leaves_nothing []
        a_failing_source_leaves_the_old_object []
        a_source_that_cannot_be_opened_leaves_the_old_object []
        a_spent_stream_is_refused []
        a_stream_shorter_than_declared_is_refused []
        a_stream_longer_than_declared_is_refused []
        an_expected_length_is_held_to []
        the_right_digest_is_accepted []
        a_wrong_digest_stores_nothing []
        a_wrong_digest_leaves_the_old_object []
        many_keys_at_once []
        writers_of_one_key_leave_one_whole_object []
        another_handle_sees_what_was_written [Second]
    }
}

async fn comes_back(case: &Case, content: Content, bytes: &[u8]) -> Result<()> {
    case.put("a", content).await?;
    case.assert_holds("a", bytes).await
}

async fn bytes_come_back(case: Case) -> Result<()> {
    let bytes = pattern(100_000, 1);
    comes_back(&case, bytes.clone().into(), &bytes).await
}

async fn one_byte_comes_back(case: Case) -> Result<()> {
    comes_back(&case, "x".into(), b"x").await
}

async fn an_empty_object_comes_back(case: Case) -> Result<()> {
    comes_back(&case, "".into(), b"").await
}

async fn an_empty_stream_comes_back(case: Case) -> Result<()> {
    comes_back(&case, streamed(&Bytes::new(), 1, None), b"").await?;
    comes_back(&case, streamed(&Bytes::new(), 1, Some(0)), b"").await
}

async fn a_stream_of_known_length_comes_back(case: Case) -> Result<()> {
    let bytes = pattern(300_000, 2);
    comes_back(&case, streamed(&bytes, 7_001, Some(300_000)), &bytes).await
}

async fn a_stream_of_unknown_length_comes_back(case: Case) -> Result<()> {
    let bytes = pattern(300_000, 3);
    comes_back(&case, streamed(&bytes, 7_001, None), &bytes).await
}

async fn replayable_content_comes_back(case: Case) -> Result<()> {
    let bytes = pattern(50_000, 4);
    comes_back(&case, replayable(&bytes, Some(50_000)), &bytes).await?;
    comes_back(&case, replayable(&bytes, None), &bytes).await
}

async fn many_tiny_pieces_make_one_object(case: Case) -> Result<()> {
    let bytes = pattern(20_000, 5);
    comes_back(&case, streamed(&bytes, 1, None), &bytes).await
}

async fn one_huge_piece_makes_one_object(case: Case) -> Result<()> {
    let bytes = pattern(12 << 20, 6);
    comes_back(&case, streamed(&bytes, usize::MAX, None), &bytes).await
}

async fn empty_pieces_are_nothing(case: Case) -> Result<()> {
    let bytes = pattern(10_000, 7);
    let with_empty =
        || pieces(&bytes, 999).flat_map(|piece| stream::iter([Ok(Bytes::new()), piece, Ok(Bytes::new())]));
    comes_back(&case, Content::from_stream(None, with_empty()), &bytes).await?;
    comes_back(&case, Content::from_stream(Some(10_000), with_empty()), &bytes).await
}

async fn streams_both_ways(case: &Case, declared: Option<u64>) -> Result<()> {
    const PIECE: usize = 64 * 1024;
    let bytes = pattern(32 << 20, 8);
    case.put("big", streamed(&bytes, PIECE, declared)).await?;
    let download = case
        .provider
        .download(&case.key("big"), &DownloadOptions::default())
        .await?
        .into_object()?;
    assert_eq!(download.length(), bytes.len() as u64);
    let mut stream = download.into_stream();
    let mut position = 0;
    while let Some(piece) = stream.next().await.transpose()? {
        assert!(position + piece.len() <= bytes.len(), "more bytes than there are");
        same_bytes(&piece, &bytes[position..position + piece.len()], "a piece");
        position += piece.len();
    }
    assert_eq!(position, bytes.len());
    Ok(())
}

async fn a_big_object_streams_both_ways(case: Case) -> Result<()> {
    streams_both_ways(&case, None).await
}

async fn a_big_object_of_known_length_streams_both_ways(case: Case) -> Result<()> {
    streams_both_ways(&case, Some(32 << 20)).await
}

async fn the_answer_describes_the_object(case: Case) -> Result<()> {
    let options = case.options_of("one");
    let answer = case.put_with("a", "hello", &options).await?;
    let head = case.head("a").await?;
    assert_eq!((&answer.key, answer.size_bytes), (&case.key("a"), 5));
    assert_eq!((&answer.key, answer.size_bytes), (&head.key, head.size_bytes));
    assert_eq!(answer.etag, head.etag);
    assert_eq!(answer.attributes, head.attributes);
    assert_eq!(answer.version, head.version);
    assert_eq!(answer.checksum, head.checksum);
    Ok(())
}

async fn overwriting_replaces_the_bytes(case: Case) -> Result<()> {
    for text in ["first", "other", "a longer third one"] {
        case.put("a", text).await?;
        case.assert_holds("a", text.as_bytes()).await?;
    }
    Ok(())
}

async fn a_shorter_overwrite_leaves_no_tail(case: Case) -> Result<()> {
    case.put("a", pattern(500_000, 9)).await?;
    let short = pattern(10, 10);
    comes_back(&case, streamed(&short, 3, None), &short).await
}

async fn an_overwrite_by_nothing_leaves_nothing(case: Case) -> Result<()> {
    case.put("a", "something").await?;
    comes_back(&case, "".into(), b"").await
}

async fn a_failing_source_leaves_nothing(case: Case) -> Result<()> {
    for (length, declared) in [
        (0, None),
        (10, None),
        (10, Some(20)),
        (9 << 20, None),
        (9 << 20, Some(10 << 20)),
    ] {
        let content = broken(&pattern(length, 11), 64 * 1024, declared);
        refused(case.put("a", content).await, ErrorKind::Storage);
        case.assert_absent("a").await?;
    }
    Ok(())
}

async fn a_failing_source_leaves_the_old_object(case: Case) -> Result<()> {
    let options = case.options_of("old");
    case.put_with("a", "old", &options).await?;
    let before = case.head("a").await?;
    for length in [0, 10, 300_000] {
        let content = broken(&pattern(length, 12), 4096, None);
        refused(
            case.put_with("a", content, &case.options_of("other")).await,
            ErrorKind::Storage,
        );
        case.assert_holds("a", b"old").await?;
        assert_eq!(case.head("a").await?, before);
    }
    Ok(())
}

async fn a_source_that_cannot_be_opened_leaves_the_old_object(case: Case) -> Result<()> {
    case.put("a", "old").await?;
    let content = Content::from_factory(Some(5), || {
        Box::pin(async { Err(Error::new(ErrorKind::AccessDenied, "the source may not be read")) })
    });
    refused(case.put("a", content).await, ErrorKind::AccessDenied);
    case.assert_holds("a", b"old").await
}

async fn a_spent_stream_is_refused(case: Case) -> Result<()> {
    let content = streamed(&pattern(10, 13), 3, None);
    case.put("a", content.clone()).await?;
    refused(case.put("b", content).await, ErrorKind::InvalidInput);
    case.assert_absent("b").await
}

/// Checks that the length is refused and that neither nothing nor something changes by it.
async fn length_is_refused(
    case: &Case,
    content: impl Fn() -> Content,
    options: &UploadOptions,
) -> Result<()> {
    refused(
        case.put_with("new", content(), options).await,
        ErrorKind::InvalidInput,
    );
    case.assert_absent("new").await?;
    case.put("old", "old").await?;
    refused(
        case.put_with("old", content(), options).await,
        ErrorKind::InvalidInput,
    );
    case.assert_holds("old", b"old").await
}

async fn a_stream_shorter_than_declared_is_refused(case: Case) -> Result<()> {
    for length in [0, 9, 99_999] {
        let declared = Some(length as u64 + 1);
        let bytes = pattern(length, 14);
        length_is_refused(
            &case,
            || streamed(&bytes, 1000, declared),
            &UploadOptions::default(),
        )
        .await?;
    }
    Ok(())
}

async fn a_stream_longer_than_declared_is_refused(case: Case) -> Result<()> {
    for length in [1, 10, 100_000] {
        let declared = Some(length as u64 - 1);
        let bytes = pattern(length, 15);
        length_is_refused(
            &case,
            || streamed(&bytes, 1000, declared),
            &UploadOptions::default(),
        )
        .await?;
        length_is_refused(&case, || replayable(&bytes, declared), &UploadOptions::default()).await?;
    }
    Ok(())
}

async fn an_expected_length_is_held_to(case: Case) -> Result<()> {
    let bytes = pattern(10_000, 16);
    let right = UploadOptions::default().with_length(10_000);
    case.put_with("a", bytes.clone(), &right).await?;
    case.put_with("a", streamed(&bytes, 999, None), &right).await?;
    case.assert_holds("a", &bytes).await?;
    for wrong in [0, 9_999, 10_001] {
        let wrong = UploadOptions::default().with_length(wrong);
        length_is_refused(&case, || bytes.clone().into(), &wrong).await?;
        length_is_refused(&case, || streamed(&bytes, 999, None), &wrong).await?;
    }
    Ok(())
}

async fn the_right_digest_is_accepted(case: Case) -> Result<()> {
    let bytes = pattern(100_000, 17);
    for algorithm in [DigestAlgorithm::Blake3, DigestAlgorithm::Sha256] {
        let options = UploadOptions::default().with_digest(Digest::of(algorithm, &bytes));
        case.put_with("bytes", bytes.clone(), &options).await?;
        case.assert_holds("bytes", &bytes).await?;
        case.put_with("stream", streamed(&bytes, 999, None), &options)
            .await?;
        case.assert_holds("stream", &bytes).await?;
    }
    let nothing = UploadOptions::default().with_digest(Digest::of(DigestAlgorithm::Blake3, b""));
    case.put_with("nothing", streamed(&Bytes::new(), 1, None), &nothing)
        .await?;
    case.assert_holds("nothing", b"").await
}

async fn a_wrong_digest_stores_nothing(case: Case) -> Result<()> {
    let bytes = pattern(100_000, 18);
    let options = UploadOptions::default().with_digest(Digest::of(DigestAlgorithm::Blake3, b"other"));
    let known = Some(bytes.len() as u64);
    for content in [
        bytes.clone().into(),
        streamed(&bytes, 999, None),
        streamed(&bytes, 999, known),
        "".into(),
    ] {
        refused(case.put_with("a", content, &options).await, ErrorKind::Corruption);
        case.assert_absent("a").await?;
    }
    Ok(())
}

async fn a_wrong_digest_leaves_the_old_object(case: Case) -> Result<()> {
    case.put_with("a", "old", &case.options_of("old")).await?;
    let before = case.head("a").await?;
    let bytes = pattern(100_000, 19);
    let options = UploadOptions::default().with_digest(Digest::of(DigestAlgorithm::Sha256, b"other"));
    for content in [bytes.clone().into(), streamed(&bytes, 999, None)] {
        refused(case.put_with("a", content, &options).await, ErrorKind::Corruption);
        case.assert_holds("a", b"old").await?;
        assert_eq!(case.head("a").await?, before);
    }
    Ok(())
}

async fn many_keys_at_once(case: Case) -> Result<()> {
    let case = &case;
    let numbers = || stream::iter(0..64_u64).map(Ok::<_, Error>);
    let bytes = |number: u64| pattern(1000 + usize::try_from(number).unwrap_or_default(), number);
    numbers()
        .try_for_each_concurrent(16, |number| async move {
            case.put(&format!("n{number}"), streamed(&bytes(number), 100, None))
                .await
                .map(drop)
        })
        .await?;
    numbers()
        .try_for_each_concurrent(16, |number| async move {
            case.assert_holds(&format!("n{number}"), &bytes(number)).await
        })
        .await
}

async fn writers_of_one_key_leave_one_whole_object(case: Case) -> Result<()> {
    let case = &case;
    let writer = |number: u64| async move {
        let bytes = pattern(50_000, number);
        case.put_with(
            "a",
            streamed(&bytes, 500, None),
            &case.options_of(&format!("w{number}")),
        )
        .await
        .map(drop)
    };
    stream::iter(0..16_u64)
        .map(Ok::<_, Error>)
        .try_for_each_concurrent(8, writer)
        .await?;
    let found = case.read("a").await?;
    let head = case.head("a").await?;
    let winner = (0..16_u64)
        .find(|number| pattern(50_000, *number) == found)
        .expect("one writer's bytes, whole");
    assert_eq!(
        head.attributes,
        case.attributes(&format!("w{winner}")),
        "the attributes of the same writer"
    );
    Ok(())
}

async fn another_handle_sees_what_was_written(case: Case) -> Result<()> {
    let second = case.second().await?;
    let key = case.key("a");
    case.put_with("a", "one", &case.options_of("one")).await?;
    let seen = second
        .metadata(&key, &boards_storage_core::CallOptions::default())
        .await?;
    assert_eq!(seen, case.head("a").await?);
    second
        .upload(&key, "two".into(), &UploadOptions::default())
        .await?;
    case.assert_holds("a", b"two").await?;
    second
        .delete(&key, &boards_storage_core::DeleteOptions::default())
        .await?;
    case.assert_absent("a").await
}

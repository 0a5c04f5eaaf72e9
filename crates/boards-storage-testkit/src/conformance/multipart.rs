//! Uploads in parts.

use std::sync::Arc;

use boards_storage_core::{
    Capability, Checksum, CompleteUploadOptions, CreateUploadOptions, Digest, DigestAlgorithm, ErrorKind,
    MultipartUpload, ObjectMetadata, OperationKind, Part, PartPlace, Precondition, PreconditionKind, Result,
    UploadPartOptions, WriteId,
};
use bytes::Bytes;
use futures_util::future::try_join_all;

use super::case::{Case, broken, pattern, refused, replayable, streamed};
use super::conformance_tests;
use super::need::Need::{
    Decides, EqualParts, Has, LeastPartSize, OtherBytesAgain, PartsInAnyOrder, PartsInSequence,
    SameBytesAgain,
};

const COMPLETE: OperationKind = OperationKind::CompleteUpload;

conformance_tests! {
    "multipart" needs [Has(Capability::Multipart)] {
        one_part_is_an_object []
        two_parts_are_an_object []
        three_parts_are_an_object []
        parts_from_streams []
        nothing_is_visible_before_completion []
        the_answer_describes_the_object []
        attributes_are_kept []
        a_write_id_is_kept [Has(Capability::WriteId)]
        a_digest_is_kept [Has(Capability::Digest)]
        completion_replaces_the_old_object []
        parts_out_of_order [PartsInAnyOrder]
        parts_at_the_same_time [PartsInAnyOrder]
        a_part_can_be_replaced [PartsInAnyOrder, OtherBytesAgain]
        other_bytes_in_the_place_of_a_part_are_refused [SameBytesAgain]
        parts_must_come_in_sequence [PartsInSequence]
        parts_are_listed []
        a_part_that_was_not_sent_is_refused []
        no_parts_are_refused []
        a_small_part_that_is_not_last_is_refused [LeastPartSize]
        parts_of_other_sizes_are_refused [EqualParts]
        a_part_with_a_wrong_checksum_is_corruption []
        a_part_from_a_failing_source_is_not_stored []
        an_aborted_upload_leaves_nothing []
        aborting_twice_is_no_error []
        an_unknown_upload_is_not_found []
        a_completed_upload_is_not_found []
        an_upload_of_another_key_is_not_found []
        two_uploads_of_one_key_do_not_mix []
        a_stored_upload_is_gone_on_with []
        if_absent_completes_to_nothing [Decides(COMPLETE, PreconditionKind::IfAbsent)]
        if_absent_leaves_what_is_there [Decides(COMPLETE, PreconditionKind::IfAbsent)]
        if_absent_has_one_winner [Decides(COMPLETE, PreconditionKind::IfAbsent)]
        if_match_completes_the_right_state [Decides(COMPLETE, PreconditionKind::IfMatch)]
        if_match_leaves_another_state [Decides(COMPLETE, PreconditionKind::IfMatch)]
    }
}

/// An upload in parts of the name `a`, part by part.
pub(super) struct Upload<'a> {
    case: &'a Case,
    pub(super) upload: MultipartUpload,
    pub(super) parts: Vec<Part>,
    offset: u64,
}

impl<'a> Upload<'a> {
    pub(super) async fn begin(case: &'a Case, options: &CreateUploadOptions) -> Result<Self> {
        let upload = case.provider.create_upload(&case.key("a"), options).await?;
        assert_eq!(upload.key, case.key("a"));
        assert_eq!(Some(upload.part_rules), case.provider.capabilities().part_rules);
        Ok(Self {
            case,
            upload,
            parts: Vec::new(),
            offset: 0,
        })
    }

    /// Sends the next part.
    pub(super) async fn send(&mut self, bytes: &Bytes, is_last: bool) -> Result<()> {
        let number = u32::try_from(self.parts.len()).unwrap_or_default() + 1;
        let place = PartPlace::new(number, self.offset);
        let place = if is_last { place.last() } else { place };
        let options = UploadPartOptions::default();
        let part = self
            .case
            .provider
            .upload_part(&self.upload, place, bytes.clone().into(), &options)
            .await?;
        assert_eq!((part.number, part.size_bytes), (number, bytes.len() as u64));
        self.offset += bytes.len() as u64;
        self.parts.push(part);
        Ok(())
    }

    pub(super) async fn complete(&self, precondition: Precondition) -> Result<ObjectMetadata> {
        let options = CompleteUploadOptions::default().with_precondition(precondition);
        self.case
            .provider
            .complete_upload(&self.upload, &self.parts, &options)
            .await
    }

    pub(super) async fn abort(&self) -> Result<()> {
        self.case
            .provider
            .abort_upload(&self.upload, &Default::default())
            .await
    }
}

/// The least size that every part may have, at least 1000 bytes.
pub(super) fn part_size(case: &Case) -> usize {
    let rules = case
        .provider
        .capabilities()
        .part_rules
        .expect("the test needs parts");
    let size = rules
        .size_bytes_min
        .max(1000)
        .next_multiple_of(rules.multiple_of_bytes);
    usize::try_from(size).expect("parts fit in memory")
}

/// Returns the byte of the whole that a part begins with, from part 1 on.
pub(super) fn part_start(case: &Case, number: u32) -> usize {
    let rules = case
        .provider
        .capabilities()
        .part_rules
        .expect("the test needs parts");
    let less = if number > 1 { rules.first_less_bytes } else { 0 };
    let less = usize::try_from(less).expect("parts fit in memory");
    part_size(case) * (number as usize - 1) - less
}

/// Sends `count` parts, the last one smaller, and returns all their bytes.
async fn send_all(upload: &mut Upload<'_>, count: u32) -> Result<Bytes> {
    let start = |number| part_start(upload.case, number);
    let whole = pattern(start(count) + 777, 70);
    let ends: Vec<usize> = (2..=count).map(start).chain([whole.len()]).collect();
    let mut sent = 0;
    for end in ends {
        upload.send(&whole.slice(sent..end), end == whole.len()).await?;
        sent = end;
    }
    Ok(whole)
}

async fn makes_an_object(case: &Case, count: u32) -> Result<()> {
    let mut upload = Upload::begin(case, &CreateUploadOptions::default()).await?;
    let whole = send_all(&mut upload, count).await?;
    upload.complete(Precondition::None).await?;
    case.assert_holds("a", &whole).await
}

async fn one_part_is_an_object(case: Case) -> Result<()> {
    makes_an_object(&case, 1).await
}

async fn two_parts_are_an_object(case: Case) -> Result<()> {
    makes_an_object(&case, 2).await
}

async fn three_parts_are_an_object(case: Case) -> Result<()> {
    makes_an_object(&case, 3).await
}

async fn parts_from_streams(case: Case) -> Result<()> {
    let upload = case
        .provider
        .create_upload(&case.key("a"), &Default::default())
        .await?;
    let start = |number| part_start(&case, number);
    let whole = pattern(start(3) + 5, 71);
    let known = |bytes: &Bytes| Some(bytes.len() as u64);
    let (first, second, third) = (
        whole.slice(..start(2)),
        whole.slice(start(2)..start(3)),
        whole.slice(start(3)..),
    );
    let contents = [
        replayable(&first, known(&first)),
        streamed(&second, 999, known(&second)),
        streamed(&third, 2, known(&third)),
    ];
    let mut parts = Vec::new();
    for (number, content) in (1..).zip(contents) {
        let place = PartPlace::new(number, start(number) as u64);
        let place = if number == 3 { place.last() } else { place };
        parts.push(
            case.provider
                .upload_part(&upload, place, content, &Default::default())
                .await?,
        );
    }
    case.provider
        .complete_upload(&upload, &parts, &Default::default())
        .await?;
    case.assert_holds("a", &whole).await
}

async fn nothing_is_visible_before_completion(case: Case) -> Result<()> {
    let mut upload = Upload::begin(&case, &CreateUploadOptions::default()).await?;
    case.assert_absent("a").await?;
    let whole = send_all(&mut upload, 2).await?;
    case.assert_absent("a").await?;
    upload.complete(Precondition::None).await?;
    case.assert_holds("a", &whole).await
}

async fn the_answer_describes_the_object(case: Case) -> Result<()> {
    let options = CreateUploadOptions::default().with_attributes(case.attributes("one"));
    let mut upload = Upload::begin(&case, &options).await?;
    let whole = send_all(&mut upload, 2).await?;
    let answer = upload.complete(Precondition::None).await?;
    let head = case.head("a").await?;
    assert_eq!(
        (&answer.key, answer.size_bytes),
        (&case.key("a"), whole.len() as u64)
    );
    assert_eq!((answer.etag, answer.attributes), (head.etag, head.attributes));
    Ok(())
}

async fn attributes_are_kept(case: Case) -> Result<()> {
    case.put_with("a", "old", &case.options_of("other2")).await?;
    let options = CreateUploadOptions::default().with_attributes(case.attributes("one"));
    let mut upload = Upload::begin(&case, &options).await?;
    send_all(&mut upload, 2).await?;
    upload.complete(Precondition::None).await?;
    assert_eq!(case.head("a").await?.attributes, case.attributes("one"));
    Ok(())
}

async fn a_write_id_is_kept(case: Case) -> Result<()> {
    let id = WriteId::fresh();
    let mut upload = Upload::begin(&case, &CreateUploadOptions::default().with_write_id(id)).await?;
    send_all(&mut upload, 1).await?;
    upload.complete(Precondition::None).await?;
    assert_eq!(case.head("a").await?.write_id, Some(id));
    Ok(())
}

async fn a_digest_is_kept(case: Case) -> Result<()> {
    let bytes = pattern(10, 72);
    let digest = Digest::of(DigestAlgorithm::Blake3, &bytes);
    let mut upload = Upload::begin(&case, &CreateUploadOptions::default().with_digest(digest)).await?;
    upload.send(&bytes, true).await?;
    upload.complete(Precondition::None).await?;
    assert_eq!(case.head("a").await?.digest, Some(digest));
    Ok(())
}

async fn completion_replaces_the_old_object(case: Case) -> Result<()> {
    case.put("a", "old").await?;
    let mut upload = Upload::begin(&case, &CreateUploadOptions::default()).await?;
    let whole = send_all(&mut upload, 2).await?;
    case.assert_holds("a", b"old").await?;
    upload.complete(Precondition::None).await?;
    case.assert_holds("a", &whole).await
}

/// Sends three parts in the given order, or all at once, and completes them by number.
async fn sends_three(case: &Case, order: [u32; 3], at_once: bool) -> Result<()> {
    let upload = case
        .provider
        .create_upload(&case.key("a"), &Default::default())
        .await?;
    let whole = pattern(part_start(case, 3) + 100, 73);
    let send = |number: u32| {
        let (upload, whole) = (&upload, &whole);
        async move {
            let start = part_start(case, number);
            let bytes = whole.slice(start..whole.len().min(part_start(case, number + 1)));
            let place = PartPlace::new(number, start as u64);
            let place = if number == 3 { place.last() } else { place };
            case.provider
                .upload_part(upload, place, bytes.into(), &Default::default())
                .await
        }
    };
    let mut parts = if at_once {
        try_join_all(order.map(send)).await?
    } else {
        let mut parts = Vec::new();
        for number in order {
            parts.push(send(number).await?);
        }
        parts
    };
    parts.sort_by_key(|part| part.number);
    case.provider
        .complete_upload(&upload, &parts, &Default::default())
        .await?;
    case.assert_holds("a", &whole).await
}

async fn parts_out_of_order(case: Case) -> Result<()> {
    sends_three(&case, [3, 1, 2], false).await
}

async fn parts_at_the_same_time(case: Case) -> Result<()> {
    sends_three(&case, [1, 2, 3], true).await
}

async fn a_part_can_be_replaced(case: Case) -> Result<()> {
    let mut upload = Upload::begin(&case, &CreateUploadOptions::default()).await?;
    let size = part_size(&case);
    upload.send(&pattern(size, 74), false).await?;
    let (first, second) = (pattern(size, 75), pattern(10, 76));
    let options = UploadPartOptions::default();
    let again = case.provider.upload_part(
        &upload.upload,
        PartPlace::new(1, 0),
        first.clone().into(),
        &options,
    );
    upload.parts[0] = again.await?;
    upload.send(&second, true).await?;
    assert_eq!(
        case.provider
            .list_parts(&upload.upload, &Default::default())
            .await?
            .len(),
        2
    );
    upload.complete(Precondition::None).await?;
    case.assert_holds("a", &[&first[..], &second[..]].concat()).await
}

async fn other_bytes_in_the_place_of_a_part_are_refused(case: Case) -> Result<()> {
    let mut upload = Upload::begin(&case, &CreateUploadOptions::default()).await?;
    let size = part_start(&case, 2);
    let (first, second) = (pattern(size, 75), pattern(10, 76));
    upload.send(&first, false).await?;
    let again = |bytes: Bytes| {
        let (place, upload) = (PartPlace::new(1, 0), &upload.upload);
        let provider = &case.provider;
        async move {
            provider
                .upload_part(upload, place, bytes.into(), &Default::default())
                .await
        }
    };
    refused(again(pattern(size, 74)).await, ErrorKind::InvalidInput);
    let part = again(first.clone()).await?;
    upload.parts[0] = part;
    upload.send(&second, true).await?;
    upload.complete(Precondition::None).await?;
    case.assert_holds("a", &[&first[..], &second[..]].concat()).await
}

async fn parts_must_come_in_sequence(case: Case) -> Result<()> {
    let mut upload = Upload::begin(&case, &CreateUploadOptions::default()).await?;
    let size = part_size(&case);
    let early = PartPlace::new(2, size as u64);
    let sent = case
        .provider
        .upload_part(
            &upload.upload,
            early,
            pattern(size, 77).into(),
            &Default::default(),
        )
        .await;
    refused(sent, ErrorKind::InvalidInput);
    let whole = send_all(&mut upload, 3).await?;
    upload.complete(Precondition::None).await?;
    case.assert_holds("a", &whole).await
}

async fn parts_are_listed(case: Case) -> Result<()> {
    let mut upload = Upload::begin(&case, &CreateUploadOptions::default()).await?;
    assert!(
        case.provider
            .list_parts(&upload.upload, &Default::default())
            .await?
            .is_empty()
    );
    send_all(&mut upload, 3).await?;
    let listed = case
        .provider
        .list_parts(&upload.upload, &Default::default())
        .await?;
    let shape = |parts: &[Part]| {
        parts
            .iter()
            .map(|part| (part.number, part.size_bytes, part.etag.clone()))
            .collect::<Vec<_>>()
    };
    assert_eq!(shape(&listed), shape(&upload.parts));
    // What the list tells is good for completing.
    upload.parts = listed;
    upload.complete(Precondition::None).await.map(drop)
}

async fn a_part_that_was_not_sent_is_refused(case: Case) -> Result<()> {
    case.put("a", "old").await?;
    let mut upload = Upload::begin(&case, &CreateUploadOptions::default()).await?;
    send_all(&mut upload, 2).await?;
    let sent = upload.parts.clone();
    let mut invented = sent[1].clone();
    invented.number = 3;
    upload.parts.push(invented);
    refused(upload.complete(Precondition::None).await, ErrorKind::InvalidInput);
    case.assert_holds("a", b"old").await?;
    upload.parts = sent;
    upload.parts[0].etag = upload.parts[0]
        .etag
        .as_ref()
        .map(|_| "0123456789abcdef0123456789abcdef".to_owned());
    if upload.parts[0].etag.is_some() {
        refused(upload.complete(Precondition::None).await, ErrorKind::InvalidInput);
    }
    case.assert_holds("a", b"old").await?;
    upload.abort().await
}

async fn no_parts_are_refused(case: Case) -> Result<()> {
    let upload = Upload::begin(&case, &CreateUploadOptions::default()).await?;
    refused(upload.complete(Precondition::None).await, ErrorKind::InvalidInput);
    case.assert_absent("a").await?;
    upload.abort().await
}

/// Checks that parts of these sizes are refused when they are sent or, at the latest, when they are completed.
async fn sizes_are_refused(case: &Case, sizes: &[usize]) -> Result<()> {
    let mut upload = Upload::begin(case, &CreateUploadOptions::default()).await?;
    let mut outcome = Ok(());
    for (index, size) in sizes.iter().enumerate() {
        outcome = upload.send(&pattern(*size, 78), index + 1 == sizes.len()).await;
        if outcome.is_err() {
            break;
        }
    }
    if outcome.is_ok() {
        outcome = upload.complete(Precondition::None).await.map(drop);
    }
    refused(outcome, ErrorKind::InvalidInput);
    case.assert_absent("a").await?;
    upload.abort().await
}

async fn a_small_part_that_is_not_last_is_refused(case: Case) -> Result<()> {
    let least = part_size(&case);
    let min = usize::try_from(
        case.provider
            .capabilities()
            .part_rules
            .expect("needed")
            .size_bytes_min,
    )
    .unwrap_or(least);
    sizes_are_refused(&case, &[min - 1, 10]).await
}

async fn parts_of_other_sizes_are_refused(case: Case) -> Result<()> {
    let size = part_size(&case);
    sizes_are_refused(&case, &[size, size * 2, 10]).await
}

async fn a_part_with_a_wrong_checksum_is_corruption(case: Case) -> Result<()> {
    let upload = Upload::begin(&case, &CreateUploadOptions::default()).await?;
    let bytes = pattern(10, 79);
    let send = |checksum: Checksum| {
        let options = UploadPartOptions::default().with_checksum(checksum);
        let (upload, bytes, case) = (&upload.upload, bytes.clone(), &case);
        async move {
            case.provider
                .upload_part(upload, PartPlace::new(1, 0).last(), bytes.into(), &options)
                .await
        }
    };
    match send(Checksum::crc64_nvme(b"other")).await {
        // A store that checks by another function says so.
        Err(error) if error.kind() == ErrorKind::Unsupported => {}
        outcome => {
            refused(outcome, ErrorKind::Corruption);
            assert!(
                case.provider
                    .list_parts(&upload.upload, &Default::default())
                    .await?
                    .is_empty()
            );
            send(Checksum::crc64_nvme(&bytes)).await?;
        }
    }
    upload.abort().await
}

async fn a_part_from_a_failing_source_is_not_stored(case: Case) -> Result<()> {
    let mut upload = Upload::begin(&case, &CreateUploadOptions::default()).await?;
    let size = part_start(&case, 2);
    let content = broken(&pattern(size / 2, 80), 100, Some(size as u64));
    let sent = case
        .provider
        .upload_part(&upload.upload, PartPlace::new(1, 0), content, &Default::default())
        .await;
    refused(sent, ErrorKind::Storage);
    assert!(
        case.provider
            .list_parts(&upload.upload, &Default::default())
            .await?
            .is_empty()
    );
    let whole = send_all(&mut upload, 2).await?;
    upload.complete(Precondition::None).await?;
    case.assert_holds("a", &whole).await
}

async fn an_aborted_upload_leaves_nothing(case: Case) -> Result<()> {
    let mut upload = Upload::begin(&case, &CreateUploadOptions::default()).await?;
    send_all(&mut upload, 2).await?;
    upload.abort().await?;
    case.assert_absent("a").await?;
    refused(
        case.provider
            .list_parts(&upload.upload, &Default::default())
            .await,
        ErrorKind::NotFound,
    );
    refused(upload.complete(Precondition::None).await, ErrorKind::NotFound);
    refused(upload.send(&pattern(10, 81), true).await, ErrorKind::NotFound);
    case.assert_absent("a").await
}

async fn aborting_twice_is_no_error(case: Case) -> Result<()> {
    case.put("a", "old").await?;
    let upload = Upload::begin(&case, &CreateUploadOptions::default()).await?;
    upload.abort().await?;
    upload.abort().await?;
    case.assert_holds("a", b"old").await
}

async fn an_unknown_upload_is_not_found(case: Case) -> Result<()> {
    let mut upload = Upload::begin(&case, &CreateUploadOptions::default()).await?;
    upload.abort().await?;
    let known = upload.upload.id.clone();
    for id in [
        known.chars().rev().collect::<String>(),
        "../../etc".to_owned(),
        String::new(),
        "nonsense".to_owned(),
    ] {
        upload.upload.id = id;
        refused(upload.send(&pattern(10, 82), true).await, ErrorKind::NotFound);
        refused(
            case.provider
                .list_parts(&upload.upload, &Default::default())
                .await,
            ErrorKind::NotFound,
        );
        upload.parts = vec![Part::new(1, 10)];
        refused(upload.complete(Precondition::None).await, ErrorKind::NotFound);
        upload.parts.clear();
        upload.abort().await?;
    }
    case.assert_absent("a").await
}

async fn a_completed_upload_is_not_found(case: Case) -> Result<()> {
    let mut upload = Upload::begin(&case, &CreateUploadOptions::default()).await?;
    let whole = send_all(&mut upload, 1).await?;
    upload.complete(Precondition::None).await?;
    refused(
        case.provider
            .list_parts(&upload.upload, &Default::default())
            .await,
        ErrorKind::NotFound,
    );
    upload.abort().await?;
    case.assert_holds("a", &whole).await
}

async fn an_upload_of_another_key_is_not_found(case: Case) -> Result<()> {
    let mut upload = Upload::begin(&case, &CreateUploadOptions::default()).await?;
    send_all(&mut upload, 1).await?;
    upload.upload.key = case.key("b");
    refused(upload.complete(Precondition::None).await, ErrorKind::NotFound);
    case.assert_absent("b").await?;
    upload.upload.key = case.key("a");
    upload.abort().await
}

async fn two_uploads_of_one_key_do_not_mix(case: Case) -> Result<()> {
    let mut first = Upload::begin(&case, &CreateUploadOptions::default()).await?;
    let mut second = Upload::begin(&case, &CreateUploadOptions::default()).await?;
    assert_ne!(first.upload.id, second.upload.id);
    let (one, two) = (pattern(100, 83), pattern(200, 84));
    first.send(&one, true).await?;
    second.send(&two, true).await?;
    second.complete(Precondition::None).await?;
    case.assert_holds("a", &two).await?;
    first.complete(Precondition::None).await?;
    case.assert_holds("a", &one).await
}

async fn a_stored_upload_is_gone_on_with(case: Case) -> Result<()> {
    let mut upload = Upload::begin(&case, &CreateUploadOptions::default()).await?;
    let size = part_start(&case, 2);
    let whole = pattern(size + 10, 85);
    upload.send(&whole.slice(..size), false).await?;
    let text = serde_json::to_string(&upload.upload).expect("an upload can be stored");
    let stored: MultipartUpload = serde_json::from_str(&text).expect("an upload can be read back");
    assert_eq!(stored, upload.upload);
    let second = case.second_or_same().await?;
    let mut parts = second.list_parts(&stored, &Default::default()).await?;
    assert_eq!(parts.len(), 1);
    let place = PartPlace::new(2, size as u64).last();
    parts.push(
        second
            .upload_part(&stored, place, whole.slice(size..).into(), &Default::default())
            .await?,
    );
    second
        .complete_upload(&stored, &parts, &Default::default())
        .await?;
    case.assert_holds("a", &whole).await
}

/// Uploads ten bytes in one part under a precondition.
async fn completes(case: &Case, precondition: Precondition) -> Result<Bytes> {
    let options = CreateUploadOptions::default().with_precondition(precondition.clone());
    let bytes = pattern(10, 86);
    // The store may decide at once or at the end; what counts is the end.
    let mut upload = Upload::begin(case, &options).await?;
    upload.send(&bytes, true).await?;
    match upload.complete(precondition).await {
        Ok(_) => Ok(bytes),
        Err(error) => {
            upload.abort().await?;
            Err(error)
        }
    }
}

async fn if_absent_completes_to_nothing(case: Case) -> Result<()> {
    let bytes = completes(&case, Precondition::IfAbsent).await?;
    case.assert_holds("a", &bytes).await
}

async fn if_absent_leaves_what_is_there(case: Case) -> Result<()> {
    case.put("a", "old").await?;
    refused(
        completes(&case, Precondition::IfAbsent).await,
        ErrorKind::AlreadyExists,
    );
    case.assert_holds("a", b"old").await
}

async fn if_absent_has_one_winner(case: Case) -> Result<()> {
    for name in ["a", "b", "c", "d"] {
        let mut completions = Vec::new();
        for seed in 0..4 {
            let options = CreateUploadOptions::default().with_precondition(Precondition::IfAbsent);
            let upload = case.provider.create_upload(&case.key(name), &options).await?;
            let place = PartPlace::new(1, 0).last();
            let bytes = pattern(1_000, seed);
            let part = case
                .provider
                .upload_part(&upload, place, bytes.clone().into(), &Default::default())
                .await?;
            let provider = Arc::clone(&case.provider);
            completions.push(async move {
                let options = CompleteUploadOptions::default().with_precondition(Precondition::IfAbsent);
                let outcome = provider.complete_upload(&upload, &[part], &options).await;
                if outcome.is_err() {
                    provider.abort_upload(&upload, &Default::default()).await?;
                }
                outcome.map(|_| bytes)
            });
        }
        let mut winners = Vec::new();
        for outcome in try_join_all(completions.into_iter().map(tokio::spawn))
            .await
            .expect("no writer panics")
        {
            match outcome {
                Ok(bytes) => winners.push(bytes),
                Err(error) => assert_eq!(error.kind(), ErrorKind::AlreadyExists, "{error}"),
            }
        }
        assert_eq!(winners.len(), 1, "winners for {name}");
        case.assert_holds(name, &winners[0]).await?;
    }
    Ok(())
}

async fn if_match_completes_the_right_state(case: Case) -> Result<()> {
    case.put("a", "old").await?;
    let etag = case.etag("a").await?;
    let bytes = completes(&case, Precondition::IfMatch(etag)).await?;
    case.assert_holds("a", &bytes).await
}

async fn if_match_leaves_another_state(case: Case) -> Result<()> {
    case.put("a", "one").await?;
    let old = Precondition::IfMatch(case.etag("a").await?);
    case.put("a", "two").await?;
    refused(completes(&case, old.clone()).await, ErrorKind::PreconditionFailed);
    case.assert_holds("a", b"two").await?;
    case.provider.delete(&case.key("a"), &Default::default()).await?;
    refused(completes(&case, old).await, ErrorKind::PreconditionFailed);
    case.assert_absent("a").await
}

//! Reading back from either end, across files, while others write.

use std::io::Write;

use boards_storage_layers::{AuditOrder, AuditReader};

use super::{Log, append, file, name_of};

async fn names(log: &Log, order: AuditOrder) -> Vec<String> {
    let mut reader = AuditReader::open(log.path(), order).await.expect("opened");
    let mut names = Vec::new();
    while let Some(entry) = reader.next().await.expect("read") {
        names.push(name_of(&entry.event));
    }
    names
}

#[tokio::test]
async fn events_come_in_order_from_either_end() {
    let log = Log::new();
    assert!(
        names(&log, AuditOrder::OldestFirst).await.is_empty(),
        "there is no log yet"
    );
    assert!(names(&log, AuditOrder::NewestFirst).await.is_empty());
    let sink = log.open_with(log.config().with_size_bytes_max(100 << 10));
    // Several files, and several pages of a file.
    let mut expected = Vec::new();
    for round in 0..30 {
        let some: Vec<String> = (0..100).map(|index| format!("e-{round}-{index}")).collect();
        append(&sink, &some.iter().map(String::as_str).collect::<Vec<_>>()).await;
        expected.extend(some);
    }
    assert!(log.files().len() > 3, "{:?}", log.files());
    assert_eq!(names(&log, AuditOrder::OldestFirst).await, expected);
    expected.reverse();
    assert_eq!(names(&log, AuditOrder::NewestFirst).await, expected);
}

#[tokio::test]
async fn a_large_file_is_read_backwards_in_pages() {
    let log = Log::new();
    let sink = log.open();
    let all: Vec<String> = (0..2000).map(|index| format!("event-{index}")).collect();
    append(&sink, &all.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let mut expected = all;
    expected.reverse();
    assert_eq!(names(&log, AuditOrder::NewestFirst).await, expected);
}

#[tokio::test]
async fn what_comes_later_is_read_too_also_in_another_file() {
    let log = Log::new();
    let sink = log.open();
    append(&sink, &["a"]).await;
    let end = AuditReader::end_of(log.path()).await.expect("read");
    let mut reader = AuditReader::open_at(log.path(), AuditOrder::OldestFirst, end);
    assert_eq!(reader.next().await.expect("read"), None);
    append(&sink, &["b"]).await;
    assert_eq!(
        name_of(&reader.next().await.expect("read").expect("one").event),
        "b"
    );
    assert_eq!(reader.next().await.expect("read"), None);
    log.next_day();
    append(&sink, &["c"]).await;
    assert_eq!(
        name_of(&reader.next().await.expect("read").expect("one").event),
        "c"
    );
    assert_eq!(reader.next().await.expect("read"), None);
    let mut before = AuditReader::open_at(log.path(), AuditOrder::NewestFirst, end);
    assert_eq!(
        name_of(&before.next().await.expect("read").expect("one").event),
        "a"
    );
}

#[tokio::test]
async fn a_line_that_is_no_entry_is_left_out_and_counted() {
    let log = Log::new();
    append(&log.open(), &["a"]).await;
    let mut damaged = std::fs::OpenOptions::new()
        .append(true)
        .open(log.path().join(file(1)))
        .expect("opened");
    damaged.write_all(b"nonsense\n{\"half\": 1").expect("written");
    for order in [AuditOrder::OldestFirst, AuditOrder::NewestFirst] {
        let mut reader = AuditReader::open(log.path(), order).await.expect("opened");
        assert_eq!(
            name_of(&reader.next().await.expect("read").expect("one").event),
            "a"
        );
        assert_eq!(reader.next().await.expect("read"), None);
        assert_eq!(reader.unreadable(), 1, "{order:?}");
    }
}

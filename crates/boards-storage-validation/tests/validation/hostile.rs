//! The table of hostile inputs: each is refused for its very reason, however it comes.

use boards_storage_core::{ContentVerdict, RefusedContent, ValidationSettings};
use boards_storage_testkit::samples::hostile;

use crate::support::{inspector, judge, judge_bytes};

#[tokio::test]
async fn each_hostile_input_is_refused_for_its_reason() {
    let inspector = inspector(&ValidationSettings::default());
    let table = hostile();
    assert!(table.len() >= 120, "the table has {} inputs", table.len());
    let mut wrong = Vec::new();
    for input in table {
        let known = input.validation();
        let whole = judge_bytes(&inspector, &known, &input.bytes).await;
        let streamed = judge(&inspector, &known, &input.bytes, 7).await;
        for (how, findings) in [("bytes", whole), ("stream", streamed)] {
            let kind = findings.verdict.reason().map(|reason| reason.kind);
            if kind != Some(input.reason) || !matches!(findings.verdict, ContentVerdict::Rejected { .. }) {
                wrong.push(format!(
                    "{} ({how}): expected {}, got {:?}",
                    input.name, input.reason, findings.verdict
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test]
async fn names_in_the_table_are_unique() {
    let mut names: Vec<_> = hostile().into_iter().map(|input| input.name).collect();
    names.sort_unstable();
    let count = names.len();
    names.dedup();
    assert_eq!(names.len(), count);
}

#[tokio::test]
async fn quarantine_keeps_what_is_broken_but_no_pickle() {
    let settings = ValidationSettings::default().with_on_mismatch(RefusedContent::Quarantine);
    let inspector = inspector(&settings);
    for input in hostile() {
        let findings = judge_bytes(&inspector, &input.validation(), &input.bytes).await;
        let reason = findings.verdict.reason().expect(input.name).kind;
        assert_eq!(reason, input.reason, "{}", input.name);
        let is_kept = matches!(findings.verdict, ContentVerdict::Quarantined { .. });
        let never_kept = [
            "pickle",
            "too_many_pixels",
            "too_many_frames",
            "too_large",
            "type_not_allowed",
        ];
        assert_eq!(is_kept, !never_kept.contains(&reason.name()), "{}", input.name);
    }
}

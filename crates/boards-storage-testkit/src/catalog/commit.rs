//! The record: every field of it, and who may write it.

use boards_storage_core::{
    AccessClass, ArtifactRecord, ArtifactType, BoardId, DeleteMode, DeleteTarget, DigestState, ErrorKind,
    NewIntent, ObjectAttributes, Result, StoredObject, VariantIdentity, VersionId, VersionSelector,
};
use jiff::{SignedDuration, Timestamp};

use super::case::{
    Case, artifact_id, artifact_type, at, identity, intent, intent_of, key, numbers, object, overwrite,
    refused, rich_object, tenant, variant_name,
};

super::catalog_tests! { "commit" {
    every_field_is_kept
    what_is_not_known_stays_unknown
    every_type_and_class_is_kept
    ids_are_kept_to_the_byte
    the_longest_ids_and_keys_are_kept
    user_metadata_is_kept_at_its_limits
    sizes_are_kept_at_their_limits
    times_are_the_same_in_every_answer
    a_repeat_answers_the_same_record
    a_repeat_after_an_overwrite_answers_its_own_record
    a_repeat_after_a_deletion_is_refused
    what_was_never_begun_is_refused
    what_was_abandoned_is_refused
    whoever_comes_second_is_refused_and_keeps_its_intent
    whoever_calls_the_artifact_otherwise_is_refused
    versions_are_numbered_from_one
    an_overwrite_keeps_what_it_replaced
} }

/// Commits, and checks that every way of looking answers the same.
async fn committed(case: &Case, new: &NewIntent, object: &StoredObject) -> Result<ArtifactRecord> {
    let intent = case.start(new).await?;
    let record = case.catalog.commit(intent.version, object, at(1)).await?;
    assert_eq!(record.variant, new.variant);
    assert_eq!(record.artifact_type, new.artifact_type);
    assert_eq!(record.board, new.board);
    assert_eq!(record.access, new.access);
    assert_eq!(record.version, new.version);
    assert!(record.is_current);
    assert_eq!(record.size_bytes, object.size_bytes);
    assert_eq!(record.attributes, object.attributes);
    assert_eq!(record.digest, object.digest);
    assert_eq!(record.digest_state, object.digest_state);
    assert_eq!(record.created_at, at(1));
    assert_eq!(record.replicas.len(), 1);
    let replica = record.primary();
    assert_eq!((&replica.provider, &replica.key), (&new.provider, &intent.key));
    assert_eq!(replica.etag, object.etag);
    assert_eq!(replica.store_version, object.store_version);
    assert_eq!(replica.checksum, object.checksum);
    assert_eq!(replica.verified_at, None);
    let selectors = [
        VersionSelector::Current,
        VersionSelector::Number(record.number),
        VersionSelector::Id(record.version),
    ];
    for selector in selectors {
        assert_eq!(
            case.catalog.find(&new.variant, selector).await?.as_ref(),
            Some(&record),
            "{selector:?}"
        );
    }
    assert_eq!(
        case.second.find_by_key(&intent.key).await?.as_ref(),
        Some(&record)
    );
    Ok(record)
}

async fn every_field_is_kept(case: Case) -> Result<()> {
    let new = NewIntent {
        board: Some(BoardId::parse("board ü").expect("valid")),
        access: AccessClass::Public,
        provider: "cold storage".to_owned(),
        ..intent("a")
    };
    let record = committed(&case, &new, &rich_object()).await?;
    assert_eq!(case.list_all(&Default::default(), 10).await?, [record]);
    Ok(())
}

async fn what_is_not_known_stays_unknown(case: Case) -> Result<()> {
    let record = committed(&case, &intent("a"), &object("")).await?;
    assert_eq!(record.attributes, ObjectAttributes::default());
    assert_eq!(
        (record.size_bytes, record.digest_state),
        (0, DigestState::Verified)
    );
    Ok(())
}

async fn every_type_and_class_is_kept(case: Case) -> Result<()> {
    let own = ["mesh", "3d-scene_2", "x"].map(artifact_type);
    for (index, artifact_type) in ArtifactType::BUILT_IN.into_iter().chain(own).enumerate() {
        let access = AccessClass::ALL[index % AccessClass::ALL.len()];
        let new = NewIntent {
            artifact_type,
            access,
            ..intent(&format!("a{index}"))
        };
        committed(&case, &new, &object("x")).await?;
    }
    Ok(())
}

async fn ids_are_kept_to_the_byte(case: Case) -> Result<()> {
    // The last two look alike: one letter, and a letter with a combining mark.
    let names = [
        "a b",
        "'; DROP TABLE artifacts; --",
        "%_*?",
        "日本語 🎨",
        "A",
        "a",
        "..x",
        "\u{e9}",
        "e\u{301}",
    ];
    for name in names {
        let variant = VariantIdentity {
            tenant: tenant(name),
            artifact: artifact_id(name),
            variant: variant_name(&name.replace('.', "-")),
        };
        committed(&case, &intent_of(variant), &object(name)).await?;
    }
    assert_eq!(case.list_all(&Default::default(), 4).await?.len(), names.len());
    Ok(())
}

async fn the_longest_ids_and_keys_are_kept(case: Case) -> Result<()> {
    let long = "ü".repeat(64);
    let variant = VariantIdentity {
        tenant: tenant(&long),
        artifact: artifact_id(&long),
        variant: variant_name(&long),
    };
    let key_of = |first: &str| key(&format!("{first}{}", "x".repeat(1023)));
    let new = NewIntent {
        plain_key: key_of("p"),
        versioned_key: key_of("v"),
        ..intent_of(variant)
    };
    committed(&case, &new, &object("x")).await?;
    Ok(())
}

async fn user_metadata_is_kept_at_its_limits(case: Case) -> Result<()> {
    let mut many = object("x");
    for index in 0..200 {
        many.attributes = many
            .attributes
            .with_user_metadata(format!("n{index}"), format!("{index}"));
    }
    committed(&case, &intent("many"), &many).await?;
    let mut long = object("x");
    long.attributes = long.attributes.with_user_metadata("a", "🎨".repeat(511));
    committed(&case, &intent("long"), &long).await?;
    let mut odd = object("x");
    for (name, value) in [
        ("a", "\u{2028}"),
        ("b", "null"),
        ("c", "1.50"),
        ("d", "\u{feff}x"),
        ("e", "\\u0000"),
    ] {
        odd.attributes = odd.attributes.with_user_metadata(name, value);
    }
    committed(&case, &intent("odd"), &odd).await?;
    Ok(())
}

async fn sizes_are_kept_at_their_limits(case: Case) -> Result<()> {
    for (index, size_bytes) in [0, 1, u64::from(u32::MAX) + 1, i64::MAX.unsigned_abs()]
        .into_iter()
        .enumerate()
    {
        let object = StoredObject {
            size_bytes,
            ..object("x")
        };
        committed(&case, &intent(&format!("a{index}")), &object).await?;
    }
    Ok(())
}

async fn times_are_the_same_in_every_answer(case: Case) -> Result<()> {
    let odd: Timestamp = at(0)
        .checked_add(SignedDuration::from_nanos(123_456_789))
        .expect("in range");
    let new = NewIntent {
        lease_until: odd,
        ..intent("a")
    };
    let begun = case.start(&new).await?;
    assert!(
        begun.lease_until <= odd && odd.duration_since(begun.lease_until) < SignedDuration::from_micros(1)
    );
    assert_eq!(case.catalog.reap_intents(odd, None, 1).await?, [begun]);
    let new = intent("b");
    case.start(&new).await?;
    let record = case.catalog.commit(new.version, &object("x"), odd).await?;
    assert!(
        record.created_at <= odd && odd.duration_since(record.created_at) < SignedDuration::from_micros(1)
    );
    assert_eq!(case.present("b").await?, Some(record));
    let target = DeleteTarget::Variant(new.variant);
    let dead = case.catalog.tombstone(&target, DeleteMode::Final, odd).await?;
    assert_eq!(case.catalog.tombstones(at(1), None, 10).await?, dead);
    Ok(())
}

async fn a_repeat_answers_the_same_record(case: Case) -> Result<()> {
    let new = intent("a");
    case.start(&new).await?;
    let first = case.catalog.commit(new.version, &rich_object(), at(1)).await?;
    // Even if the caller measured again.
    let second = case.second.commit(new.version, &object("other"), at(2)).await?;
    assert_eq!(first, second);
    assert_eq!(case.catalog.versions(&new.variant).await?, [first]);
    Ok(())
}

async fn a_repeat_after_an_overwrite_answers_its_own_record(case: Case) -> Result<()> {
    let records = case.store_versions("a", 2).await?;
    let again = case
        .catalog
        .commit(records[0].version, &object("content"), at(5))
        .await?;
    assert_eq!(
        (again.version, again.number, again.is_current),
        (records[0].version, 1, false)
    );
    assert_eq!(case.present("a").await?.as_ref(), records.last());
    Ok(())
}

async fn a_repeat_after_a_deletion_is_refused(case: Case) -> Result<()> {
    let record = case.store(&intent("a")).await?;
    case.delete("a").await?;
    refused(
        case.catalog.commit(record.version, &object("x"), at(2)).await,
        ErrorKind::PreconditionFailed,
    );
    assert_eq!(case.present("a").await?, None);
    Ok(())
}

async fn what_was_never_begun_is_refused(case: Case) -> Result<()> {
    refused(
        case.catalog.commit(VersionId::fresh(), &object("x"), at(0)).await,
        ErrorKind::PreconditionFailed,
    );
    Ok(())
}

async fn what_was_abandoned_is_refused(case: Case) -> Result<()> {
    let new = intent("a");
    case.start(&new).await?;
    case.catalog.abandon(new.version).await?;
    case.catalog.abandon(new.version).await?;
    refused(
        case.catalog.commit(new.version, &object("x"), at(0)).await,
        ErrorKind::PreconditionFailed,
    );
    // Its lease is gone with it.
    case.store(&intent("a")).await?;
    Ok(())
}

async fn whoever_comes_second_is_refused_and_keeps_its_intent(case: Case) -> Result<()> {
    let slow = intent("a");
    case.start(&slow).await?;
    let fast = case.store(&overwrite("a")).await?;
    for _ in 0..2 {
        refused(
            case.catalog.commit(slow.version, &object("x"), at(0)).await,
            ErrorKind::AlreadyExists,
        );
    }
    assert_eq!(case.present("a").await?, Some(fast));
    // So that the cleanup knows its key.
    let reaped = case.catalog.reap_intents(at(1000), None, 10).await?;
    assert_eq!(
        reaped.iter().map(|intent| intent.version).collect::<Vec<_>>(),
        [slow.version]
    );
    Ok(())
}

async fn whoever_calls_the_artifact_otherwise_is_refused(case: Case) -> Result<()> {
    let mut video = NewIntent {
        artifact_type: ArtifactType::Video,
        ..intent("a")
    };
    video.variant.variant = variant_name("preview");
    case.start(&video).await?;
    case.store(&intent("a")).await?;
    refused(
        case.catalog.commit(video.version, &object("x"), at(0)).await,
        ErrorKind::InvalidInput,
    );
    assert_eq!(case.catalog.versions(&video.variant).await?, []);
    Ok(())
}

async fn versions_are_numbered_from_one(case: Case) -> Result<()> {
    let records = case.store_versions("a", 5).await?;
    assert_eq!(numbers(&records), [1, 2, 3, 4, 5]);
    assert_eq!(numbers(&case.store_versions("b", 1).await?), [1]);
    let failed = overwrite("a");
    case.start(&failed).await?;
    case.catalog.abandon(failed.version).await?;
    assert_eq!(
        numbers(&case.store_versions("a", 1).await?),
        [6],
        "a write that failed takes no number"
    );
    Ok(())
}

async fn an_overwrite_keeps_what_it_replaced(case: Case) -> Result<()> {
    let old = committed(&case, &overwrite("a"), &rich_object()).await?;
    let new = committed(&case, &overwrite("a"), &object("new")).await?;
    let found = case
        .catalog
        .find(&identity("a"), VersionSelector::Id(old.version))
        .await?;
    assert_eq!(
        found,
        Some(ArtifactRecord {
            is_current: false,
            ..old
        })
    );
    assert_eq!(case.present("a").await?, Some(new));
    Ok(())
}

//! What an operator can do as a provider: what OpenDAL says of its service, as far as somebody stands for it.
//!
//! OpenDAL tells which calls and options a service has. It does not tell whether a failed write leaves half an object,
//! whether a condition is decided by the write itself, or in which order a listing comes. That is known here of a few
//! services; of the others whoever builds the provider guarantees it.

use std::collections::BTreeSet;

use boards_storage_core::{Capabilities, Capability, KeyRules, OperationKind, PreconditionKind};
use opendal::Capability as Native;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a service keeps that OpenDAL cannot tell of it.
///
/// Known services need none: `memory` keeps all of it, the big object stores write and list as they should.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Guarantee {
    /// An object is there as a whole or not at all, and an overwrite that fails leaves the old one.
    WholeWrites,
    /// So is a copy, and it has the attributes of its source. It counts only where no user metadata are kept: the copy
    /// would carry its source's write id.
    WholeCopies,
    /// The write itself decides its condition, in a race too.
    AtomicConditions,
    /// Recursive listings come in byte order.
    OrderedList,
}

/// Returns what is known of the service of that name.
pub(super) fn known(scheme: &str) -> BTreeSet<Guarantee> {
    use Guarantee::{AtomicConditions, OrderedList, WholeWrites};
    let kept: &[_] = match scheme {
        "memory" => &[WholeWrites, AtomicConditions, OrderedList],
        // Whether conditions are decided is a matter of the server: some that speak S3 ignore them.
        "s3" | "gcs" | "azblob" | "oss" | "cos" | "obs" => &[WholeWrites, OrderedList],
        _ => &[],
    };
    kept.iter().copied().collect()
}

/// What the builder knows beside the operator.
#[derive(Clone, Debug)]
pub(super) struct Terms {
    pub(super) guarantees: BTreeSet<Guarantee>,
    pub(super) sorted_list_max: Option<usize>,
    pub(super) buffer_bytes_max: u64,
    /// How many bytes of the service's own keys stand before ours.
    pub(super) prefix_bytes: usize,
}

/// Derives the capabilities.
pub(super) fn capabilities(scheme: &str, native: &Native, terms: &Terms) -> Capabilities {
    let has = |guarantee| terms.guarantees.contains(&guarantee);
    let is_listed = native.list && (has(Guarantee::OrderedList) || terms.sorted_list_max.is_some());
    // The file system's user metadata is set after the bytes are visible.
    let has_fields = native.write_with_user_metadata && scheme != "fs";
    let declared = [
        (true, Capability::Range),
        (native.read_with_if_match, Capability::ConditionalDownload),
        (is_listed, Capability::List),
        (is_listed, Capability::ListDelimiter),
        (is_listed, Capability::ListStartAfter),
        (
            // A copy would carry its source's write id.
            native.copy && has(Guarantee::WholeCopies) && !has_fields,
            Capability::Copy,
        ),
        (native.write_can_multi, Capability::StreamingUpload),
        (
            native.presign && native.presign_write,
            Capability::PresignedUpload,
        ),
        (
            native.presign && native.presign_read,
            Capability::PresignedDownload,
        ),
        (native.write_with_content_type, Capability::ContentType),
        (
            native.write_with_content_disposition,
            Capability::ContentDisposition,
        ),
        (native.write_with_content_encoding, Capability::ContentEncoding),
        (native.write_with_cache_control, Capability::CacheControl),
        (has_fields, Capability::UserMetadata),
        (has_fields, Capability::Digest),
        (has_fields, Capability::WriteId),
    ];
    let mut capabilities = Capabilities::default()
        .with_key_rules(key_rules(scheme, terms))
        .with_reason(Capability::List, NO_LIST)
        .with_reason(Capability::Multipart, NO_PARTS);
    for (_, capability) in declared.into_iter().filter(|(is_there, _)| *is_there) {
        capabilities = capabilities.with(&[capability]);
    }
    let decided = [
        (
            native.write_with_if_not_exists,
            OperationKind::Upload,
            PreconditionKind::IfAbsent,
        ),
        (
            native.write_with_if_match,
            OperationKind::Upload,
            PreconditionKind::IfMatch,
        ),
        (
            native.delete_with_if_match,
            OperationKind::Delete,
            PreconditionKind::IfMatch,
        ),
    ];
    let is_decided = has(Guarantee::AtomicConditions);
    for (_, operation, kind) in decided
        .into_iter()
        .filter(|(is_there, ..)| is_decided && *is_there)
    {
        capabilities = capabilities.with_precondition(operation, kind);
    }
    let total = native.write_total_max_size.map(|size| size as u64);
    capabilities.object_size_bytes_max = if native.write_can_multi {
        total
    } else {
        Some(total.unwrap_or(u64::MAX).min(terms.buffer_bytes_max))
    };
    capabilities
}

const NO_LIST: &str = "nobody guarantees the order of the service's listings: guarantee 'ordered_list', or let \
                       them be sorted with a limit (sorted_list_max)";
const NO_PARTS: &str = "OpenDAL does not show the parts of its uploads; upload the whole as a stream";

/// What OpenDAL's file system appends to a name while the file is written.
const STAGING_SUFFIX_BYTES: usize = 9;

fn key_rules(scheme: &str, terms: &Terms) -> KeyRules {
    let mut rules = KeyRules::default();
    rules.bytes_max -= terms.prefix_bytes;
    // OpenDAL trims paths, and its file system the names of a listing.
    rules.trimmed = true;
    if scheme == "fs" {
        rules.segment_bytes_max = Some(255 - STAGING_SUFFIX_BYTES);
        rules.file_or_folder = true;
    }
    rules
}

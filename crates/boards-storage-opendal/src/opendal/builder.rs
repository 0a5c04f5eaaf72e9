//! From an operator to a provider: what is guaranteed, and the limits.

use std::collections::BTreeSet;
use std::sync::Arc;

use boards_storage_core::{Error, Result, StorageKey};
use opendal::Operator;

use super::capabilities::{Guarantee, Terms, capabilities, known};
use super::provider::OpendalProvider;

/// The size of the pieces in which content is written, where nothing else is said.
pub(super) const PART_BYTES: u64 = 8 << 20;
/// The most bytes of one object that are held in memory, where nothing else is said.
pub(super) const BUFFER_BYTES_MAX: u64 = 64 << 20;

/// Describes an [`OpendalProvider`].
///
/// # Examples
///
/// ```
/// use boards_storage_core::{Capability, StorageProvider};
/// use boards_storage_opendal::OpendalProvider;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let operator = opendal::Operator::new(opendal::services::Memory::default())?;
/// let provider = OpendalProvider::builder(operator).with_prefix("artifacts").build()?;
/// assert!(provider.capabilities().has(Capability::List));
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct OpendalBuilder {
    operator: Operator,
    name: Arc<str>,
    prefix: String,
    guarantees: BTreeSet<Guarantee>,
    sorted_list_max: Option<usize>,
    part_bytes: u64,
    buffer_bytes_max: u64,
}

impl OpendalBuilder {
    pub(super) fn new(operator: Operator) -> Self {
        Self {
            operator,
            name: Arc::from("opendal"),
            prefix: String::new(),
            guarantees: BTreeSet::new(),
            sorted_list_max: None,
            part_bytes: PART_BYTES,
            buffer_bytes_max: BUFFER_BYTES_MAX,
        }
    }

    /// Sets how errors call the provider; `opendal` by default.
    #[must_use]
    pub fn with_name(mut self, name: impl Into<Arc<str>>) -> Self {
        self.name = name.into();
        self
    }

    /// Keeps all objects below this folder of the operator.
    #[must_use]
    pub fn with_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// Stands for what the service keeps, beside what is known of it. A guarantee that does not hold breaks the
    /// promises of every provider: objects may be seen half written, or two writers may both be the first.
    #[must_use]
    pub fn with_guarantees(mut self, guarantees: &[Guarantee]) -> Self {
        self.guarantees.extend(guarantees);
        self
    }

    /// Sorts listings of services that have no order, in memory: at most so many keys, more are refused.
    #[must_use]
    pub fn with_sorted_list_max(mut self, keys: usize) -> Self {
        self.sorted_list_max = Some(keys);
        self
    }

    /// Sets the size in bytes of the pieces in which content is written: 8 MiB by default, 5 MiB to 5 GiB. Where the
    /// length is known, it grows so that 10,000 pieces suffice.
    #[must_use]
    pub fn with_part_size(mut self, bytes: u64) -> Self {
        self.part_bytes = bytes;
        self
    }

    /// Sets the greatest object in bytes where the service takes an object only in one piece, which is held in memory:
    /// 64 MiB by default.
    #[must_use]
    pub fn with_buffer_max(mut self, bytes: u64) -> Self {
        self.buffer_bytes_max = bytes;
        self
    }

    /// Builds the provider.
    ///
    /// # Errors
    ///
    /// `Configuration` if nobody guarantees whole writes, a guarantee is known to be wrong, the operator cannot read,
    /// write, look and delete, or a limit or the prefix is out of bounds.
    pub fn build(self) -> Result<OpendalProvider> {
        let name = Arc::clone(&self.name);
        self.build_unnamed().map_err(|error| error.with_provider(name))
    }

    fn build_unnamed(self) -> Result<OpendalProvider> {
        let info = self.operator.info();
        let (scheme, native) = (info.scheme(), info.capability());
        if !(native.read && native.write && native.stat && native.delete) {
            return Err(Error::configuration(format!(
                "OpenDAL's service '{scheme}' cannot do all of read, write, stat and delete"
            )));
        }
        let mut guarantees = self.guarantees;
        guarantees.extend(known(scheme));
        check_guarantees(scheme, &guarantees)?;
        if !(5 << 20..=5 << 30).contains(&self.part_bytes) {
            return Err(Error::configuration(format!(
                "part_size must be 5 MiB to 5 GiB, got {} bytes",
                self.part_bytes
            )));
        }
        if self.sorted_list_max == Some(0) {
            return Err(Error::configuration("sorted_list_max must be at least 1, got 0"));
        }
        let prefix = match self.prefix.trim_end_matches('/') {
            "" => String::new(),
            prefix => format!("{}/", check_prefix(prefix)?),
        };
        let is_sorted = !guarantees.contains(&Guarantee::OrderedList);
        let terms = Terms {
            guarantees,
            sorted_list_max: self.sorted_list_max.filter(|_| is_sorted),
            buffer_bytes_max: self.buffer_bytes_max,
            prefix_bytes: prefix.len() + root_bytes(scheme, &info.root()),
        };
        let capabilities = capabilities(scheme, &native, &terms);
        Ok(OpendalProvider {
            name: self.name,
            prefix: prefix.into(),
            sorted_list_max: terms.sorted_list_max,
            part_bytes: self.part_bytes,
            native,
            capabilities,
            operator: self.operator,
        })
    }
}

/// How many bytes of the service's own keys its root takes; the length of a path of files is another matter.
fn root_bytes(scheme: &str, root: &str) -> usize {
    match scheme {
        "fs" => 0,
        _ => root.trim_start_matches('/').len().min(StorageKey::BYTES_MAX / 2),
    }
}

fn check_guarantees(scheme: &str, guarantees: &BTreeSet<Guarantee>) -> Result<()> {
    let wrong = |text: &'static str, help: &'static str| Err(Error::configuration(text).with_help(help));
    if scheme == "fs" {
        if guarantees.contains(&Guarantee::AtomicConditions) {
            return wrong(
                "OpenDAL's service 'fs' looks whether a file is there and writes then: another writer may come \
                 between",
                "leave the guarantee 'atomic_conditions' out, or use the provider 'local'",
            );
        }
        if guarantees.contains(&Guarantee::WholeCopies) {
            return wrong(
                "OpenDAL's service 'fs' copies into the file itself: a copy that fails leaves half of it",
                "leave the guarantee 'whole_copies' out, or use the provider 'local'",
            );
        }
        if !guarantees.contains(&Guarantee::WholeWrites) {
            return wrong(
                "OpenDAL's service 'fs' writes into the file itself: a write that fails leaves half of it",
                "set the option 'atomic_write_dir' to a folder on the same file system and outside of 'root' (and, in \
                 code, guarantee 'whole_writes'), or use the provider 'local'",
            );
        }
    }
    if !guarantees.contains(&Guarantee::WholeWrites) {
        return Err(Error::configuration(format!(
            "it is not known whether a write by OpenDAL's service '{scheme}' that fails leaves half an object"
        ))
        .with_help("guarantee 'whole_writes' if it leaves the old state, or use another service"));
    }
    Ok(())
}

fn check_prefix(prefix: &str) -> Result<&str> {
    let key = StorageKey::parse(prefix).map_err(|source| {
        Error::configuration(format!("prefix must be a folder such as 'a/b', got {prefix:?}"))
            .with_source(source)
    })?;
    let is_trimmed = prefix.trim() == prefix;
    // There must be room for keys.
    if !is_trimmed || key.as_str().len() > StorageKey::BYTES_MAX / 2 {
        return Err(Error::configuration(
            "prefix must not begin or end with white space and have at most 512 bytes",
        ));
    }
    Ok(prefix)
}

#[cfg(test)]
mod tests {
    use boards_storage_core::{ErrorKind, StorageProvider as _};
    use opendal::services::{Fs, Memory};

    use super::*;

    fn memory() -> OpendalBuilder {
        OpendalProvider::builder(Operator::new(Memory::default()).expect("memory"))
    }

    fn files(folder: &tempfile::TempDir) -> OpendalBuilder {
        let root = folder.path().join("root");
        let service = Fs::default().root(root.to_str().expect("text"));
        OpendalProvider::builder(Operator::new(service).expect("files"))
    }

    #[track_caller]
    fn check_refused(builder: OpendalBuilder, complaint: &str) {
        let error = builder.with_name("mine").build().expect_err("refused");
        assert_eq!(error.kind(), ErrorKind::Configuration);
        assert!(error.to_string().contains(complaint), "{error}");
        assert_eq!(error.provider(), Some("mine"));
    }

    #[test]
    fn what_breaks_promises_is_no_provider() {
        let folder = tempfile::tempdir().expect("a folder");
        check_refused(files(&folder), "writes into the file itself");
        let whole = || files(&folder).with_guarantees(&[Guarantee::WholeWrites]);
        assert!(whole().build().is_ok());
        check_refused(
            whole().with_guarantees(&[Guarantee::AtomicConditions]),
            "looks whether a file is there",
        );
        check_refused(
            whole().with_guarantees(&[Guarantee::WholeCopies]),
            "copies into the file itself",
        );
    }

    #[test]
    fn limits_hold_at_their_edges() {
        check_refused(memory().with_part_size((5 << 20) - 1), "part_size");
        assert!(memory().with_part_size(5 << 20).build().is_ok());
        check_refused(memory().with_sorted_list_max(0), "sorted_list_max");
        for prefix in ["../a", "a//b", " a", &"x".repeat(513)] {
            check_refused(memory().with_prefix(prefix), "prefix");
        }
        assert!(memory().with_prefix("a/b/").build().is_ok());
    }

    #[test]
    fn a_service_without_order_lists_only_with_a_limit() {
        let folder = tempfile::tempdir().expect("a folder");
        let whole = || files(&folder).with_guarantees(&[Guarantee::WholeWrites]);
        let lists = |builder: OpendalBuilder| {
            let provider = builder.build().expect("a provider");
            provider.capabilities().has(boards_storage_core::Capability::List)
        };
        assert!(!lists(whole()));
        assert!(lists(whole().with_sorted_list_max(10)));
        assert!(lists(memory()));
    }
}

//! Model files whose loading runs no code: safetensors and GGUF.

use std::collections::BTreeMap;

use boards_storage_core::{ContentFacts, Reason, ReasonKind};

use crate::walk::{Format, Next, le32, le64, malformed, truncated};

/// The greatest header of safetensors: what the format's own library allows is 100 MB, what models have is less than 10.
pub(crate) const HEADER_BYTES_MAX: u64 = 32 << 20;

/// Says whether bytes begin as safetensors do: the header's length, and an object.
pub(crate) fn looks_like_safetensors(head: &[u8]) -> bool {
    head.len() >= 10
        && (2..=100_000_000).contains(&le64(head))
        && head[8] == b'{'
        && b"\"} \n\t".contains(&head[9])
}

/// Checks safetensors: the header, and that the data are all there and no more.
#[derive(Debug)]
pub(crate) struct Safetensors {
    declared: Option<u64>,
    header: Vec<u8>,
    /// The length of the whole file, once the header is known.
    whole: Option<u64>,
    total: u64,
}

impl Safetensors {
    pub(crate) fn new(declared: Option<u64>) -> Self {
        Self {
            declared,
            header: Vec::new(),
            whole: None,
            total: 0,
        }
    }

    pub(crate) fn update(&mut self, piece: &[u8]) -> Result<(), Reason> {
        self.total += piece.len() as u64;
        if self.whole.is_some() {
            return self.check_length();
        }
        let wanted = if self.header.len() < 8 {
            8
        } else {
            self.header_end()?
        };
        let step = (wanted - self.header.len()).min(piece.len());
        self.header.extend_from_slice(&piece[..step]);
        if wanted == 8 && self.header.len() == 8 {
            self.header_end()?;
            self.total -= (piece.len() - step) as u64;
            return self.update(&piece[step..]);
        }
        if self.header.len() == wanted && wanted > 8 {
            let data = data_length(&self.header[8..])?;
            self.whole = (self.header.len() as u64).checked_add(data);
            self.header = Vec::new();
            if let (Some(declared), Some(whole)) = (self.declared, self.whole)
                && declared != whole
            {
                return Err(wrong_length(whole, declared));
            }
            return self.check_length();
        }
        Ok(())
    }

    fn header_end(&self) -> Result<usize, Reason> {
        let length = le64(&self.header);
        if !(2..=HEADER_BYTES_MAX).contains(&length) {
            let what = format!("its header has {length} bytes; 2 to {HEADER_BYTES_MAX} are allowed");
            return Err(malformed("safetensors", &what));
        }
        usize::try_from(length + 8).or(Err(malformed("safetensors", "its header is too long")))
    }

    fn check_length(&self) -> Result<(), Reason> {
        match self.whole {
            Some(whole) if self.total > whole => Err(Reason::new(
                ReasonKind::Polyglot,
                "bytes follow the data that the header of the safetensors file describes",
            )),
            _ => Ok(()),
        }
    }

    pub(crate) fn finish(&self) -> Result<(), Reason> {
        match self.whole {
            Some(whole) if self.total == whole => Ok(()),
            Some(whole) => Err(wrong_length(whole, self.total)),
            None => Err(truncated("safetensors")),
        }
    }
}

fn wrong_length(expected: u64, found: u64) -> Reason {
    let kind = if found < expected {
        ReasonKind::Truncated
    } else {
        ReasonKind::Polyglot
    };
    let message =
        format!("the header of the safetensors file describes {expected} bytes, and there are {found}");
    Reason::new(kind, message)
}

/// Reads the header and returns the length of the data: the tensors lie one behind another, without gap or overlap.
fn data_length(header: &[u8]) -> Result<u64, Reason> {
    let wrong = |what: &str| malformed("safetensors", what);
    let tensors: BTreeMap<String, serde_json::Value> =
        serde_json::from_slice(header).or(Err(wrong("its header is no JSON object")))?;
    let mut spans = Vec::with_capacity(tensors.len());
    for (name, tensor) in &tensors {
        if name == "__metadata__" {
            let is_text = |map: &serde_json::Map<String, serde_json::Value>| {
                map.values().all(serde_json::Value::is_string)
            };
            if !tensor.as_object().is_some_and(is_text) {
                return Err(wrong("its metadata are not texts"));
            }
            continue;
        }
        spans.push(span(tensor).ok_or_else(|| wrong("a tensor's type, shape and offsets do not fit"))?);
    }
    spans.sort_unstable();
    let mut end = 0;
    for (from, to) in spans {
        if from != end {
            return Err(wrong("its tensors overlap, or leave a gap"));
        }
        end = to;
    }
    Ok(end)
}

/// The bits of one element.
fn element_bits(name: &str) -> Option<u64> {
    Some(match name {
        "F4" => 4,
        "F6_E2M3" | "F6_E3M2" => 6,
        "BOOL" | "U8" | "I8" | "F8_E5M2" | "F8_E4M3" | "F8_E8M0" | "F8_E4M3FNUZ" | "F8_E5M2FNUZ" => 8,
        "U16" | "I16" | "F16" | "BF16" => 16,
        "U32" | "I32" | "F32" => 32,
        "U64" | "I64" | "F64" | "C64" => 64,
        _ => return None,
    })
}

fn span(tensor: &serde_json::Value) -> Option<(u64, u64)> {
    let mut bits = element_bits(tensor.get("dtype")?.as_str()?)?;
    for dimension in tensor.get("shape")?.as_array()? {
        bits = bits.checked_mul(dimension.as_u64()?)?;
    }
    let [from, to] = tensor.get("data_offsets")?.as_array()?.as_slice() else {
        return None;
    };
    let (from, to) = (from.as_u64()?, to.as_u64()?);
    let bytes = to.checked_sub(from)?;
    (bits % 8 == 0 && bits / 8 == bytes).then_some((from, to))
}

/// The header of GGUF: its metadata and the places of its tensors.
#[derive(Debug, Default)]
pub(crate) struct Gguf {
    state: GgufState,
    pairs: u64,
    tensors: u64,
    /// The offset of the last tensor in the data.
    offset_max: Option<u64>,
    /// The bytes of the header up to here.
    header_bytes: u64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum GgufState {
    #[default]
    First,
    KeyLength,
    ValueType,
    TextLength,
    ArrayHeader,
    ArrayText(u64),
    NameLength,
    Dimensions,
    Tensor,
    Data,
}

/// The greatest counts of metadata and tensors, and the greatest length of a name.
const COUNT_MAX: u64 = 1 << 20;
const NAME_BYTES_MAX: u64 = 65_535;
/// The greatest metadata value: the vocabularies of tokenizers are a few megabytes.
const VALUE_BYTES_MAX: u64 = 1 << 30;

impl Gguf {
    fn read(&mut self, state: GgufState, skip: u64, bytes: usize) -> Result<Next, Reason> {
        self.state = state;
        self.header_bytes = self
            .header_bytes
            .saturating_add(skip)
            .saturating_add(bytes as u64);
        Ok(Next::Read { skip, bytes })
    }

    /// Goes to the next pair, the next tensor or the data, behind `skip` bytes.
    fn onward(&mut self, skip: u64) -> Result<Next, Reason> {
        if self.pairs > 0 {
            self.pairs -= 1;
            return self.read(GgufState::KeyLength, skip, 8);
        }
        if self.tensors > 0 {
            self.tensors -= 1;
            return self.read(GgufState::NameLength, skip, 8);
        }
        self.read(GgufState::Data, skip, 0)
    }

    fn value(&mut self, kind: u32, skip: u64) -> Result<Next, Reason> {
        match kind {
            8 => self.read(GgufState::TextLength, skip, 8),
            9 => self.read(GgufState::ArrayHeader, skip, 12),
            kind => match scalar_bytes(kind) {
                Some(bytes) => self.onward(skip + bytes),
                None => Err(malformed("GGUF", "a value is of no known type")),
            },
        }
    }
}

fn scalar_bytes(kind: u32) -> Option<u64> {
    match kind {
        0 | 1 | 7 => Some(1),
        2 | 3 => Some(2),
        4..=6 => Some(4),
        10..=12 => Some(8),
        _ => None,
    }
}

impl Format for Gguf {
    fn first(&self) -> usize {
        24
    }

    fn step(&mut self, header: &[u8], _facts: &mut ContentFacts) -> Result<Next, Reason> {
        let wrong = |what: &str| Err(malformed("GGUF", what));
        match self.state {
            GgufState::First => {
                let (version, tensors, pairs) = (le32(&header[4..]), le64(&header[8..]), le64(&header[16..]));
                if !header.starts_with(b"GGUF") || ![2, 3].contains(&version) {
                    return wrong("its version is not 2 or 3");
                }
                if tensors > COUNT_MAX || pairs > COUNT_MAX {
                    return wrong("it counts more tensors or metadata than are possible");
                }
                (self.tensors, self.pairs, self.header_bytes) = (tensors, pairs, 24);
                self.onward(0)
            }
            GgufState::KeyLength => match le64(header) {
                length @ 1..=NAME_BYTES_MAX => self.read(GgufState::ValueType, length, 4),
                _ => wrong("a key's length is not possible"),
            },
            GgufState::ValueType => self.value(le32(header), 0),
            GgufState::TextLength => match le64(header) {
                length @ 0..=VALUE_BYTES_MAX => self.onward(length),
                _ => wrong("a text's length is not possible"),
            },
            GgufState::ArrayHeader => {
                let (kind, count) = (le32(header), le64(&header[4..]));
                match (
                    kind,
                    scalar_bytes(kind).and_then(|bytes| bytes.checked_mul(count)),
                ) {
                    (8, _) if count > VALUE_BYTES_MAX / 8 => wrong("an array is longer than possible"),
                    (8, _) if count == 0 => self.onward(0),
                    (8, _) => self.read(GgufState::ArrayText(count - 1), 0, 8),
                    (_, Some(bytes @ 0..=VALUE_BYTES_MAX)) => self.onward(bytes),
                    _ => wrong("an array is longer than possible, or of no known type"),
                }
            }
            GgufState::ArrayText(left) => match (le64(header), left) {
                (VALUE_BYTES_MAX.., _) => wrong("a text's length is not possible"),
                (length, 0) => self.onward(length),
                (length, left) => self.read(GgufState::ArrayText(left - 1), length, 8),
            },
            GgufState::NameLength => match le64(header) {
                length @ 1..=NAME_BYTES_MAX => self.read(GgufState::Dimensions, length, 4),
                _ => wrong("a tensor's name has no possible length"),
            },
            GgufState::Dimensions => match le32(header) {
                count @ 0..=8 => self.read(GgufState::Tensor, u64::from(count) * 8, 12),
                _ => wrong("a tensor has more dimensions than are possible"),
            },
            GgufState::Tensor => {
                self.offset_max = self.offset_max.max(Some(le64(&header[4..])));
                self.onward(0)
            }
            GgufState::Data => Ok(Next::Rest),
        }
    }

    fn finish(&self, total: u64, is_between: bool) -> Result<(), Reason> {
        let has_data = match self.offset_max {
            None => true,
            Some(offset) => self
                .header_bytes
                .checked_add(offset)
                .is_some_and(|end| end < total),
        };
        if self.state == GgufState::Data && is_between && has_data {
            Ok(())
        } else {
            Err(truncated("GGUF"))
        }
    }
}

//! Sizes as people write them: `100MB`, `1.5GiB`.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::error::{Error, Result};

/// A number of bytes, written as a whole number or with a unit.
///
/// `kB`, `MB`, `GB`, `TB`, `PB` and `EB` are powers of 1000; `KiB`, `MiB`, `GiB`, `TiB`, `PiB` and `EiB` are powers of
/// 1024; a number without a unit is bytes. Case does not matter, a space before the unit is fine, and a fraction of
/// up to six digits is rounded down to whole bytes.
///
/// # Examples
///
/// ```
/// use boards_storage_core::ByteSize;
///
/// assert_eq!(ByteSize::parse("100MB")?.bytes(), 100_000_000);
/// assert_eq!(ByteSize::parse("1.5 MiB")?.bytes(), 1_572_864);
/// assert!(ByteSize::parse("100M").is_err());
/// # Ok::<(), boards_storage_core::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ByteSize(u64);

const UNITS: [(&str, u64); 13] = [
    ("B", 1),
    ("kB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("TB", 1_000_000_000_000),
    ("PB", 1_000_000_000_000_000),
    ("EB", 1_000_000_000_000_000_000),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
    ("PiB", 1 << 50),
    ("EiB", 1 << 60),
];

const FRACTION_DIGITS_MAX: usize = 6;

impl ByteSize {
    /// Creates a size.
    #[must_use]
    pub const fn from_bytes(bytes: u64) -> Self {
        Self(bytes)
    }

    /// Returns the number of bytes.
    #[must_use]
    pub const fn bytes(self) -> u64 {
        self.0
    }

    /// Parses a size.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if it is no number, has an unknown unit, or exceeds 2⁶⁴−1 bytes.
    pub fn parse(text: &str) -> Result<Self> {
        parse_bytes(text).map(Self).map_err(|problem| {
            let shown: String = text.chars().take(40).collect();
            Error::invalid_input(format!("{shown:?} is not a size: {problem}"))
                .with_help("give a number and a unit, such as '100MB' (10⁶) or '100MiB' (2²⁰)")
        })
    }
}

fn parse_bytes(text: &str) -> Result<u64, &'static str> {
    let digits_end = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(digits_end);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    let fraction_length = u32::try_from(fraction.len()).unwrap_or(u32::MAX);
    if whole.is_empty() || fraction.is_empty() || fraction.contains('.') {
        return Err("it does not begin with a number");
    }
    if fraction.len() > FRACTION_DIGITS_MAX {
        return Err("the fraction has more than six digits");
    }
    let unit = unit.trim_start_matches(' ');
    let factor = match unit {
        "" if number.contains('.') => return Err("a fraction needs a unit"),
        "" => 1,
        _ => UNITS
            .iter()
            .find(|(name, _)| name.eq_ignore_ascii_case(unit))
            .map(|(_, factor)| *factor)
            .ok_or("its unit is none of B, kB, MB, GB, TB, PB, EB, KiB, MiB, GiB, TiB, PiB, EiB")?,
    };
    let scale = 10_u128.pow(fraction_length);
    let fraction: u128 = fraction.parse().unwrap_or_default();
    let bytes = whole
        .parse::<u128>()
        .ok()
        .and_then(|whole| {
            whole
                .checked_mul(scale)?
                .checked_add(fraction)?
                .checked_mul(factor.into())
        })
        .map(|scaled| scaled / scale);
    bytes
        .and_then(|bytes| u64::try_from(bytes).ok())
        .ok_or("it is larger than 2⁶⁴−1 bytes")
}

impl fmt::Display for ByteSize {
    /// Writes the exact size with the largest unit that divides it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fits = |(_, factor): &&(&str, u64)| self.0 >= *factor && self.0.is_multiple_of(*factor);
        let (unit, factor) = UNITS
            .iter()
            .filter(fits)
            .max_by_key(|(_, factor)| *factor)
            .unwrap_or(&UNITS[0]);
        write!(f, "{}{unit}", self.0 / factor)
    }
}

impl FromStr for ByteSize {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Self::parse(text)
    }
}

impl Serialize for ByteSize {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ByteSize {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(
            untagged,
            expecting = "expected a size such as \"100MB\" or a whole number of bytes"
        )]
        enum Written {
            Bytes(u64),
            Text(String),
        }
        match Written::deserialize(deserializer)? {
            Written::Bytes(bytes) => Ok(Self(bytes)),
            Written::Text(text) => Self::parse(&text).map_err(serde::de::Error::custom),
        }
    }
}

impl JsonSchema for ByteSize {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "ByteSize".into()
    }

    fn json_schema(_generator: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": ["string", "integer"],
            "minimum": 0,
            "format": "byte-size",
            "pattern": r"^[0-9]+$|^[0-9]+(\.[0-9]{1,6})? *([kKmMgGtTpPeE][iI]?)?[bB]$|^\$\{.*\}$",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, bytes: Option<u64>) {
        assert_eq!(ByteSize::parse(text).ok().map(ByteSize::bytes), bytes, "{text:?}");
    }

    #[test]
    fn sizes_have_decimal_and_binary_units() {
        check("0", Some(0));
        check("1048576", Some(1_048_576));
        check("100MB", Some(100_000_000));
        check("100MiB", Some(104_857_600));
        check("100 mb", Some(100_000_000));
        check("1kB", Some(1_000));
        check("1KiB", Some(1_024));
        check("1.5GiB", Some(1_610_612_736));
        check("0.0001kB", Some(0));
        check("18446744073709551615", Some(u64::MAX));
        check("15EiB", Some(15 << 60));
    }

    #[test]
    fn anything_else_is_refused() {
        for bad in [
            "", " ", "MB", "-1", "1.", ".5MB", "1.2.3MB", "100M", "100 MBB", "1.5", "1e3", "1_000", "1\tMB",
        ] {
            check(bad, None);
        }
        check("1.1234567MB", None);
        check("18446744073709551616", None);
        check("16EiB", None);
        check("999999999999999999999999999999999999999999MB", None);
    }

    #[test]
    fn a_size_is_written_exactly_and_read_back() {
        for (bytes, text) in [
            (0, "0B"),
            (1, "1B"),
            (1_000, "1kB"),
            (1_024, "1KiB"),
            (1_001, "1001B"),
            (100_000_000, "100MB"),
        ] {
            assert_eq!(ByteSize::from_bytes(bytes).to_string(), text);
            check(text, Some(bytes));
        }
    }
}

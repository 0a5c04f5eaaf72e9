//! Random numbers that are the same for the same seed, on every machine and with every version.

/// A small generator of random numbers for tests: the same seed gives the same numbers, always.
///
/// It is SplitMix64, written out here so that no update of a library changes what a seed means. Not for secrets.
///
/// # Examples
///
/// ```
/// use boards_storage_testkit::Dice;
///
/// let (mut one, mut other) = (Dice::new(7), Dice::new(7));
/// assert_eq!(one.below(1000), other.below(1000));
/// assert!(["a", "b"].contains(one.pick(&["a", "b"])));
/// ```
#[derive(Clone, Debug)]
pub struct Dice {
    state: u64,
}

impl Dice {
    /// Creates the generator of a seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    /// Returns a generator whose numbers have nothing to do with the further ones of this.
    #[must_use]
    pub fn fork(&mut self) -> Self {
        Self::new(self.roll())
    }

    /// Returns a number of 64 random bits.
    pub fn roll(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.state ^ (self.state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Returns a number from 0 up to, and without, `end`; 0 if `end` is 0.
    pub fn below(&mut self, end: u64) -> u64 {
        // The high half of the product: without the division, and even enough for tests.
        let product = u128::from(self.roll()) * u128::from(end);
        u64::try_from(product >> 64).expect("the high half of 128 bits has 64")
    }

    /// Returns an index of a list of that length.
    ///
    /// # Panics
    ///
    /// If the list is empty.
    pub fn index(&mut self, length: usize) -> usize {
        assert!(length > 0, "an empty list has no index");
        usize::try_from(self.below(length as u64)).expect("below a usize")
    }

    /// Returns one of these.
    ///
    /// # Panics
    ///
    /// If there are none.
    pub fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.index(from.len())]
    }

    /// Returns a number from 0 up to, and without, 1.
    pub fn fraction(&mut self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "53 bits fit a double exactly")]
        let bits = (self.roll() >> 11) as f64;
        bits / (1_u64 << 53) as f64
    }

    /// Returns so many random bytes.
    pub fn bytes(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(count + 8);
        while bytes.len() < count {
            bytes.extend_from_slice(&self.roll().to_le_bytes());
        }
        bytes.truncate(count);
        bytes
    }

    /// Says yes with this probability.
    pub fn chance(&mut self, probability: f64) -> bool {
        self.fraction() < probability
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_of_a_seed_never_change() {
        let mut dice = Dice::new(1_234_567);
        let numbers: Vec<u64> = (0..3).map(|_| dice.roll()).collect();
        // The published vector of SplitMix64.
        assert_eq!(
            numbers,
            [
                6_457_827_717_110_365_317,
                3_203_168_211_198_807_973,
                9_817_491_932_198_370_423
            ]
        );
    }

    #[test]
    fn numbers_stay_in_their_bounds() {
        let mut dice = Dice::new(1);
        assert_eq!(dice.below(0), 0);
        for count in [0, 1, 7, 8, 9] {
            assert_eq!(dice.bytes(count).len(), count);
        }
        let mut seen = [0; 5];
        for _ in 0..1000 {
            seen[dice.index(5)] += 1;
            assert!((0.0..1.0).contains(&dice.fraction()));
        }
        assert!(seen.iter().all(|count| *count > 100), "{seen:?}");
        assert!(dice.chance(1.0) && !dice.chance(0.0));
    }
}

//! Seeded random numbers for the bootstrap, the same on every machine: SplitMix64 (Steele, Lea and Flood,
//! OOPSLA 2014).

/// A stream of random numbers.
#[derive(Clone, Debug)]
pub(crate) struct SplitMix64(u64);

impl SplitMix64 {
    /// The stream of one of many tasks. Streams start at unrelated places of a cycle of 2^64 numbers, so
    /// that thousands of them do not meet.
    pub(crate) fn of_task(seed: u64, task: u64) -> Self {
        let scattered = SplitMix64(seed).next();
        SplitMix64(SplitMix64(scattered.wrapping_add(task)).next())
    }

    /// The next 64 random bits.
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }

    /// A number below `bound`, uniform to one part in 2^64 / `bound`; 0 if `bound` is 0.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        // The high half of a product: no division, and always below the bound.
        ((u128::from(self.next()) * bound as u128) >> 64) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stream_is_the_published_one() {
        let mut stream = SplitMix64(1234567);
        let expected = [6457827717110365317, 3203168211198807973, 9817491932198370423, 4593380528125082431];
        assert_eq!(expected.map(|_| stream.next()), expected);
    }

    #[test]
    fn numbers_below_a_bound_are_even() {
        let mut stream = SplitMix64::of_task(5, 9);
        let mut counts = [0_i32; 7];
        (0..70_000).for_each(|_| counts[stream.below(7)] += 1);
        // Standard deviation of a count: 93.
        assert!(counts.iter().all(|count| (count - 10_000).abs() < 400), "{counts:?}");
    }

    #[test]
    fn tasks_and_seeds_have_their_own_streams() {
        let first = |seed, task| SplitMix64::of_task(seed, task).next();
        let firsts = [first(0, 0), first(0, 1), first(1, 0), first(1, 1)];
        assert!((0..4).all(|i| (0..i).all(|j| firsts[i] != firsts[j])), "{firsts:?}");
        assert_eq!(first(3, 4), first(3, 4));
    }
}

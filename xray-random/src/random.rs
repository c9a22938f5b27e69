//! One generator, and the ways to find the start of a stream.

/// What the state grows by at each draw: 2^64 over the golden ratio, made odd.
const INCREMENT: u64 = 0x9E37_79B9_7F4A_7C15;

/// A stream of random numbers: SplitMix64 (Steele, Lea and Flood: Fast splittable pseudorandom number generators,
/// OOPSLA 2014), a counter hashed to 64 random bits. Not for secrets.
///
/// The numbers of a stream never change: first weights, phantoms, orders and intervals are made of them.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// The stream of these integers; a change of any one gives an unrelated stream.
    #[inline]
    pub fn keyed(keys: &[u64]) -> Self {
        let hash = |number| Random(number).bits();
        let state = keys.iter().fold(INCREMENT, |state, &key| hash(state.rotate_left(23) ^ hash(key)));
        // The streams of phantoms and augmentation have always begun with their second number.
        Random(state.wrapping_add(INCREMENT))
    }

    /// The stream of one of many tasks. Streams start at unrelated places of a cycle of 2^64 numbers, so that
    /// thousands of them do not meet.
    #[inline]
    pub fn of_task(seed: u64, task: u64) -> Self {
        let scattered = Random(seed).bits();
        Random(Random(scattered.wrapping_add(task)).bits())
    }

    /// The stream of a name, such as a parameter's: other names and their number do not matter.
    pub fn named(seed: u64, name: &str) -> Self {
        Random(seed ^ fnv1a(name))
    }

    /// The next 64 random bits.
    #[inline]
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(INCREMENT);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        bits ^ (bits >> 31)
    }

    /// A number from 0 up to 1, which is not drawn.
    #[inline]
    pub fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// A number from `low` up to `high`.
    #[inline]
    pub fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.unit()
    }

    /// A whole number below `bound`, uniform to one part in 2^64 / `bound` (Lemire 2019, without the rejection); 0 if
    /// `bound` is 0.
    #[inline]
    pub fn below(&mut self, bound: usize) -> usize {
        // The high half of a product: no division, and always below the bound.
        ((u128::from(self.bits()) * bound as u128) >> 64) as usize
    }

    /// A normal number with mean 0 and variance 1 (Box & Muller 1958).
    pub fn normal(&mut self) -> f64 {
        let radius = (-2.0 * (1.0 - self.unit()).ln()).sqrt();
        radius * (std::f64::consts::TAU * self.unit()).cos()
    }
}

/// Fowler, Noll & Vo's hash, which separates the streams of names.
fn fnv1a(text: &str) -> u64 {
    text.bytes()
        .fold(0xCBF2_9CE4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stream_is_the_published_one() {
        let mut stream = Random(1234567);
        let expected = [6457827717110365317, 3203168211198807973, 9817491932198370423, 4593380528125082431];
        assert_eq!(expected.map(|_| stream.bits()), expected);
    }

    #[test]
    fn streams_of_earlier_versions_stay() {
        let check = |mut stream: Random, expected: [u64; 3]| {
            assert_eq!(expected.map(|_| stream.bits()), expected);
        };
        check(Random::keyed(&[]), [487617019471545679, 17909611376780542444, 1961750202426094747]);
        check(Random::keyed(&[1, 2, 3]), [1736985013916242069, 3620907044878800373, 3254908890265293031]);
        check(Random::of_task(5, 9), [6997796937532822006, 11574078183605401124, 15656228701736903849]);
        check(
            Random::named(1, "a.conv.weight"),
            [6604051767309888089, 5158768486323523544, 16451021418495232903],
        );
        let mut dice = Random::keyed(&[7]);
        assert_eq!([(); 8].map(|()| dice.below(10)), [3, 4, 0, 4, 7, 3, 7, 5]);
    }

    #[test]
    fn uniform_draws_have_the_mean_and_variance_of_the_uniform_distribution() {
        let mut random = Random::keyed(&[1, 2, 3]);
        let draws: Vec<f64> = (0..100_000).map(|_| random.unit()).collect();
        let mean = draws.iter().sum::<f64>() / 1e5;
        let variance = draws.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / 1e5;
        assert!((mean - 0.5).abs() < 0.005, "mean {mean}");
        assert!((variance - 1.0 / 12.0).abs() < 0.002, "variance {variance}");
        assert!(draws.iter().all(|x| (0.0..1.0).contains(x)));
    }

    #[test]
    fn normal_draws_have_the_moments_of_the_normal_distribution() {
        let mut random = Random::keyed(&[4]);
        let draws: Vec<f64> = (0..100_000).map(|_| random.normal()).collect();
        let moment = |power| draws.iter().map(|x| x.powi(power)).sum::<f64>() / 1e5;
        // Five standard errors.
        assert!(moment(1).abs() < 5.0 / 1e5_f64.sqrt(), "{}", moment(1));
        assert!((moment(2) - 1.0).abs() < 5.0 * (2.0 / 1e5_f64).sqrt(), "{}", moment(2));
        assert!((moment(4) - 3.0).abs() < 5.0 * (96.0 / 1e5_f64).sqrt(), "{}", moment(4));
    }

    #[test]
    fn numbers_below_a_bound_are_even() {
        let mut stream = Random::of_task(5, 9);
        let mut counts = [0_i32; 7];
        (0..70_000).for_each(|_| counts[stream.below(7)] += 1);
        // Standard deviation of a count: 93.
        assert!(counts.iter().all(|count| (count - 10_000).abs() < 400), "{counts:?}");
        assert_eq!(stream.below(0), 0);
    }

    #[test]
    fn every_key_and_its_place_matter() {
        let first = |keys: &[u64]| Random::keyed(keys).bits();
        let drawn = [first(&[0, 1]), first(&[1, 0]), first(&[0, 0]), first(&[0]), first(&[1, 1])];
        for (i, a) in drawn.iter().enumerate() {
            assert!(drawn[i + 1..].iter().all(|b| a != b), "{drawn:x?}");
        }
    }

    #[test]
    fn tasks_seeds_and_names_have_their_own_streams() {
        let task = |seed, task| Random::of_task(seed, task).bits();
        let named = |seed, name| Random::named(seed, name).bits();
        let firsts =
            [task(0, 0), task(0, 1), task(1, 0), task(1, 1), named(0, "a"), named(0, "b"), named(1, "a")];
        assert!((0..7).all(|i| (0..i).all(|j| firsts[i] != firsts[j])), "{firsts:?}");
        assert_eq!(task(3, 4), task(3, 4));
    }
}

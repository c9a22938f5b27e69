//! Random numbers that are a pure function of a few integers, so that nothing depends on which thread asks
//! first.

/// A splitmix64 generator [Steele, Lea and Flood 2014]: 64 bits of state, equidistributed, one multiplication
/// chain per draw. Not for secrets.
pub(crate) struct Random(u64);

impl Random {
    /// The generator that belongs to these integers; a change of any one gives an unrelated stream.
    pub(crate) fn keyed(keys: &[u64]) -> Self {
        Random(keys.iter().fold(0x9E37_79B9_7F4A_7C15, |state, &key| mix(state.rotate_left(23) ^ mix(key))))
    }

    /// Sixty-four uniform bits.
    pub(crate) fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        mix(self.0)
    }

    /// Uniform in 0..1.
    pub(crate) fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Uniform in `low..high`.
    pub(crate) fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.unit()
    }
}

fn mix(mut z: u64) -> u64 {
    z = z.wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

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
    fn every_key_and_its_place_matter() {
        let first = |keys: &[u64]| Random::keyed(keys).bits();
        let drawn = [first(&[0, 1]), first(&[1, 0]), first(&[0, 0]), first(&[0]), first(&[1, 1])];
        for (i, a) in drawn.iter().enumerate() {
            assert!(drawn[i + 1..].iter().all(|b| a != b), "{drawn:x?}");
        }
    }
}

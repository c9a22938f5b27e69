//! What the bytes of a map stand for.

/// A byte `q` stands for `scale * (q - zero_point)`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Quantisation {
    /// The distance of two neighbouring values.
    pub scale: f32,
    /// The byte of zero, which every map can hold exactly: it is what padding adds.
    pub zero_point: u8,
}

impl Quantisation {
    /// The finest whose bytes reach from `low` to `high` and hold zero.
    ///
    /// ```
    /// use xray_kernels::Quantisation;
    ///
    /// let quantisation = Quantisation::of_range(-1.0, 1.55);
    /// assert_eq!(quantisation.zero_point, 100);
    /// assert_eq!(quantisation.byte(0.5), 150);
    /// assert_eq!(quantisation.byte(7.0), 255);
    /// assert!((quantisation.value(150) - 0.5).abs() < 1e-6);
    /// ```
    pub fn of_range(low: f32, high: f32) -> Self {
        let (low, high) = (low.min(0.0), high.max(0.0));
        let scale = (high - low) / 255.0;
        if !scale.is_normal() {
            return Self { scale: 1.0, zero_point: 0 };
        }
        Self { scale, zero_point: (-low / scale).round_ties_even() as u8 }
    }

    /// What a byte stands for.
    pub fn value(self, byte: u8) -> f32 {
        self.scale * (f32::from(byte) - f32::from(self.zero_point))
    }

    /// The byte nearest to a value.
    pub fn byte(self, value: f32) -> u8 {
        // A float becomes a byte with saturation.
        (value / self.scale + f32::from(self.zero_point)).round_ties_even() as u8
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zero_is_exact_and_ends_are_reached() {
        for (low, high) in [(0.0, 6.0), (-3.0, 0.1), (-0.2, 11.0), (2.0, 3.0), (-4.0, -1.0)] {
            let quantisation = Quantisation::of_range(low, high);
            assert_eq!(quantisation.value(quantisation.zero_point), 0.0);
            for end in [low, high] {
                let error = (quantisation.value(quantisation.byte(end)) - end).abs();
                assert!(error <= quantisation.scale * 0.501, "{end} of {low}..{high}: {error}");
            }
        }
    }

    #[test]
    fn a_map_of_zeros_has_a_scale() {
        for (low, high) in [(0.0, 0.0), (0.0, f32::INFINITY), (f32::NAN, 0.0), (0.0, 1e-44)] {
            assert_eq!(Quantisation::of_range(low, high), Quantisation { scale: 1.0, zero_point: 0 });
        }
    }
}

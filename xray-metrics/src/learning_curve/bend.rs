//! How a curve bends, without where it begins and how far it rises.

/// The kinds of bends. Saturation (Morgan, Mercer and Flodin's curve) becomes a power law where its middle lies far
/// below the sizes; a power law becomes straight over the logarithm where its exponent comes to 0. With a free floor,
/// saturation and the stretched exponential (Weibull's curve) are the two that follow learning curves best of
/// sixteen (Mohr, Viering, Loog and van Rijn, Learning Curves 2022, ECML PKDD).
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Family {
    Logarithm,
    Power,
    Saturation,
    Stretched,
}

/// A bend: of the family's curves the one that is −1 at the smallest size and 0 at infinitely many images. That of the
/// logarithm is 0 at the smallest size and has no end.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Bend {
    pub(super) family: Family,
    /// Logarithm of the smallest size.
    pub(super) from: f64,
    /// Logarithm of the images in the middle of the bend; saturation and stretched exponential have it.
    pub(super) middle: f64,
    /// All but the logarithm have it.
    pub(super) exponent: f64,
}

impl Family {
    /// Exponents that learning curves have, with room on both sides.
    pub(super) fn exponents(self) -> [f64; 2] {
        match self {
            Family::Logarithm => [1.0, 1.0],
            Family::Power => [0.05, 3.0],
            Family::Saturation => [0.1, 4.0],
            Family::Stretched => [0.1, 3.0],
        }
    }

    /// Logarithms of middles, for sizes from and to these.
    pub(super) fn middles(self, [first, last]: [f64; 2]) -> [f64; 2] {
        match self {
            Family::Logarithm | Family::Power => [first.ln(); 2],
            Family::Saturation => [(first / 30.0).ln(), (10.0 * last).ln()],
            Family::Stretched => [(first / 10.0).ln(), (10.0 * last).ln()],
        }
    }
}

impl Bend {
    /// Its heights at the logarithms of so many images.
    pub(super) fn heights(&self, images: &[f64]) -> Vec<f64> {
        let past_middle = |images: f64| (self.exponent * (images - self.middle)).exp();
        let first = past_middle(self.from);
        let height = |&images: &f64| match self.family {
            Family::Logarithm => images - self.from,
            Family::Power => -(self.exponent * (self.from - images)).exp(),
            Family::Saturation => -(1.0 + first) / (1.0 + past_middle(images)),
            Family::Stretched => -(first - past_middle(images)).exp(),
        };
        images.iter().map(height).collect()
    }

    /// Its height at the logarithm of so many images.
    pub(super) fn at(&self, images: f64) -> f64 {
        self.heights(&[images])[0]
    }

    /// Its height at infinitely many images.
    pub(super) fn end(&self) -> f64 {
        if self.family == Family::Logarithm { f64::INFINITY } else { 0.0 }
    }

    /// How many images it takes to a height: 0 below all it has, infinite at its end and beyond.
    pub(super) fn images(&self, height: f64) -> f64 {
        if height >= self.end() {
            return f64::INFINITY;
        }
        let middle = self.middle.exp();
        let above = |past_middle: f64| middle * past_middle.max(0.0).powf(1.0 / self.exponent);
        let first = || (self.exponent * (self.from - self.middle)).exp();
        match self.family {
            Family::Logarithm => (self.from + height).exp(),
            Family::Power => (self.from - (-height).ln() / self.exponent).exp(),
            Family::Saturation => above((1.0 + first()) / -height - 1.0),
            Family::Stretched => above(first() - (-height).ln()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_are_found_again() {
        for family in [Family::Logarithm, Family::Power, Family::Saturation, Family::Stretched] {
            for exponent in [0.3, 1.2] {
                let bend = Bend { family, from: 57_f64.ln(), middle: 900_f64.ln(), exponent };
                for images in [60.0_f64, 700.0, 9000.0] {
                    let found = bend.images(bend.at(images.ln()));
                    assert!((found / images - 1.0).abs() < 1e-6, "{bend:?}: {found} is not {images}");
                }
                assert_eq!(bend.images(f64::INFINITY), f64::INFINITY);
                assert!(bend.images(-1e9) < 1.0, "{bend:?}");
                let start = if family == Family::Logarithm { 0.0 } else { -1.0 };
                assert!((bend.at(57_f64.ln()) - start).abs() < 1e-12, "{bend:?}");
            }
        }
    }
}

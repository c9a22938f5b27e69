//! How the values of a map are spread, and which range of them bytes cover.
//!
//! The lowest and highest value of many images are a few pixels' of one of them; a range as wide as that has few of its
//! 256 steps where most values are. The range of the least mean squared error weighs rounding within it against the
//! distance of what lies outside from its end (Banner, Nahshan and Soudry, 2019).

/// How the range of a map's bytes follows from its values. Which rule changes logits less depends on the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RangeRule {
    /// From the lowest to the highest value.
    Extremes,
    /// The range of the least mean squared error (Banner et al., 2019).
    LeastError,
}

impl RangeRule {
    /// All of them.
    pub const ALL: [RangeRule; 2] = [RangeRule::Extremes, RangeRule::LeastError];
}

/// Bins on each side of zero.
const HALF: usize = 2048;

/// Counts of values in bins of one width, which doubles when a value lies outside.
#[derive(Clone, Debug)]
pub(super) struct Spread {
    /// Lowest and highest, and zero.
    ends: [f32; 2],
    /// Of a bin; zero before there was a value.
    width: f32,
    /// Of values other than zero, which has no error in bytes: bin `HALF` begins at zero.
    counts: Vec<u64>,
}

impl Spread {
    pub(super) fn new() -> Self {
        Spread { ends: [0.0, 0.0], width: 0.0, counts: vec![0; 2 * HALF] }
    }

    /// Counts values; those that are not numbers show in the ends.
    pub(super) fn see(&mut self, values: &[f32]) {
        let [mut low, mut high] = [0.0_f32, 0.0_f32];
        for &value in values {
            low = low.min(value);
            high = high.max(value);
        }
        self.ends = [self.ends[0].min(low), self.ends[1].max(high)];
        self.reach(high.max(-low));
        if self.width == 0.0 {
            return;
        }
        let scale = 1.0 / self.width;
        for &value in values {
            if value != 0.0 && value.is_finite() {
                // Toward zero on both sides, so that none but zero itself is between them.
                let bin = (value.abs() * scale) as usize;
                let bin = bin.min(HALF - 1);
                self.counts[if value > 0.0 { HALF + bin } else { HALF - 1 - bin }] += 1;
            }
        }
    }

    /// Widens the bins, a power of two wide, until they hold `most`.
    fn reach(&mut self, most: f32) {
        if !most.is_normal() {
            return;
        }
        let wanted = (most / HALF as f32).log2().floor().exp2() * 2.0;
        if self.width == 0.0 {
            self.width = wanted;
        }
        while self.width < wanted {
            self.width *= 2.0;
            let mut wider = vec![0; 2 * HALF];
            for (bin, count) in self.counts.iter().enumerate() {
                // Bins beside zero stay beside it.
                let bin = if bin >= HALF { HALF + (bin - HALF) / 2 } else { HALF - 1 - (HALF - 1 - bin) / 2 };
                wider[bin] += count;
            }
            self.counts = wider;
        }
    }

    /// The range that bytes should cover by a rule; it holds zero.
    pub(super) fn range(&self, rule: RangeRule) -> [f32; 2] {
        match rule {
            RangeRule::Extremes => self.ends,
            RangeRule::LeastError => self.least_error(),
        }
    }

    fn least_error(&self) -> [f32; 2] {
        /// Ranges that are tried on each side: each a fortieth shorter than the one before.
        const TRIED: i32 = 80;
        if self.ends.iter().any(|end| !end.is_finite()) || self.width == 0.0 {
            return self.ends;
        }
        let [low, high] = self.ends.map(f64::from);
        let tails = Tails::new(&self.counts, f64::from(self.width));
        let shorter = |end: f64| {
            let count = if end == 0.0 { 1 } else { TRIED };
            (0..count).map(move |number| end * (1.0 - 1.0 / 40.0_f64).powi(number))
        };
        let ranges = shorter(low).flat_map(|low| shorter(high).map(move |high| [low, high]));
        let best = ranges.min_by(|one, other| tails.error(*one).total_cmp(&tails.error(*other)));
        best.map_or(self.ends, |range| range.map(|end| end as f32))
    }
}

/// Sums over all bins up to each, from which the error of a range follows at once.
struct Tails {
    width: f64,
    /// Counts, sums of values and of their squares, in bins before each.
    sums: Vec<[f64; 3]>,
}

impl Tails {
    fn new(counts: &[u64], width: f64) -> Self {
        let mut sums = vec![[0.0; 3]];
        for (bin, &count) in counts.iter().enumerate() {
            let (count, value) = (count as f64, (bin as f64 - HALF as f64 + 0.5) * width);
            let [n, sum, squares] = sums[bin];
            sums.push([n + count, sum + count * value, squares + count * value * value]);
        }
        Tails { width, sums }
    }

    /// The sum of squared errors of values that bytes stand for.
    fn error(&self, [low, high]: [f64; 2]) -> f64 {
        let bin =
            |value: f64| ((value / self.width).round() + HALF as f64).clamp(0.0, 2.0 * HALF as f64) as usize;
        let (first, last) = (bin(low), bin(high));
        let all = self.sums[2 * HALF];
        let step = (high - low) / 255.0;
        let within = (self.sums[last][0] - self.sums[first][0]) * step * step / 12.0;
        let outside = |[n, sum, squares]: [f64; 3], end: f64| squares - 2.0 * end * sum + n * end * end;
        let above = std::array::from_fn(|figure| all[figure] - self.sums[last][figure]);
        within + outside(self.sums[first], low) + outside(above, high)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use xray_random::Random;

    fn error(values: &[f32], [low, high]: [f32; 2]) -> f64 {
        let step = (high - low) / 255.0;
        let zero = (-low / step).round();
        let stands_for = |value: f32| ((value / step).round() + zero).clamp(0.0, 255.0) - zero;
        values.iter().map(|&value| f64::from(value - stands_for(value) * step).powi(2)).sum()
    }

    /// Values of which few lie far out.
    fn values(sign: impl Fn(f32) -> f32) -> Vec<f32> {
        let mut random = Random::keyed(&[3]);
        (0..40_000).map(|_| sign(random.normal().powi(3) as f32)).collect()
    }

    #[test]
    fn no_range_has_a_much_smaller_error() {
        for (name, values) in [("both sides", values(|v| v)), ("above zero", values(|v| v.max(0.0)))] {
            let mut spread = Spread::new();
            values.chunks(1000).for_each(|values| spread.see(values));
            let (ends, range) = (spread.ends, spread.range(RangeRule::LeastError));
            assert_eq!(spread.range(RangeRule::Extremes), ends, "{name}");
            let [plain, found] = [ends, range].map(|range| error(&values, range));
            let shorter =
                |end: f32| (0..if end == 0.0 { 1 } else { 50 }).map(move |by| end * 0.94_f32.powi(by));
            let tried = shorter(ends[0]).flat_map(|low| shorter(ends[1]).map(move |high| [low, high]));
            let best = tried.map(|range| error(&values, range)).fold(f64::INFINITY, f64::min);
            assert!(found < 1.05 * best, "{name}: {found} of {range:?}, {best} is possible");
            assert!(found < plain, "{name}: {found} of {range:?}, {plain} of {ends:?}");
        }
    }

    #[test]
    fn two_values_of_a_million_far_out_do_not_widen_a_range() {
        let mut random = Random::keyed(&[4]);
        let mut values: Vec<f32> = (0..1_000_000).map(|_| random.normal() as f32).collect();
        values.extend([40.0, -30.0]);
        let mut spread = Spread::new();
        values.chunks(1000).for_each(|values| spread.see(values));
        let [plain, found] = RangeRule::ALL.map(|rule| error(&values, spread.range(rule)));
        assert!(found < 0.5 * plain, "{found} of {:?}, {plain}", spread.range(RangeRule::LeastError));
    }

    #[test]
    fn ranges_hold_zero_and_what_is_no_number_shows() {
        let of = |values: &[f32]| {
            let mut spread = Spread::new();
            spread.see(values);
            spread.range(RangeRule::LeastError)
        };
        assert_eq!(of(&[]), [0.0, 0.0]);
        assert_eq!(of(&[0.0, 0.0]), [0.0, 0.0]);
        assert!(matches!(of(&[2.0, 3.0]), [0.0, high] if high > 2.0 && high <= 3.0));
        assert!(matches!(of(&[-2.0, -3.0]), [low, 0.0] if (-3.0..-2.0).contains(&low)));
        assert_eq!(of(&[1.0, f32::INFINITY])[1], f32::INFINITY);
    }

    #[test]
    fn the_order_of_values_changes_no_bin() {
        let (mut one, mut other) = (Spread::new(), Spread::new());
        let values = values(|v| v);
        values.chunks(1000).for_each(|values| one.see(values));
        values.chunks(1000).rev().for_each(|values| other.see(values));
        assert_eq!((one.counts, one.width), (other.counts, other.width));
    }
}

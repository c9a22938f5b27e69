//! Percentile intervals of draws (Davison and Hinkley, Bootstrap Methods, 1997, 5.3).

use crate::units::LEVEL;

/// The middle share of [`LEVEL`]; none of nothing.
pub(crate) fn percentiles(values: impl Iterator<Item = f64>) -> Option<[f64; 2]> {
    let mut values: Vec<_> = values.collect();
    values.sort_unstable_by(f64::total_cmp);
    let tail = (1.0 - LEVEL) / 2.0;
    Some([quantile(&values, tail)?, quantile(&values, 1.0 - tail)?])
}

/// Linear between the two nearest of the sorted values, as numpy's `percentile` does; none of nothing.
fn quantile(sorted: &[f64], share: f64) -> Option<f64> {
    let place = share * sorted.len().checked_sub(1)? as f64;
    let (below, above) = (sorted[place.floor() as usize], sorted[place.ceil() as usize]);
    Some(below + (above - below) * place.fract())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_linear_between_values() {
        let check = |sorted: &[f64], share, expected| assert_eq!(quantile(sorted, share), expected);
        check(&[], 0.5, None);
        check(&[3.0], 0.975, Some(3.0));
        check(&[1.0, 2.0, 4.0], 0.0, Some(1.0));
        check(&[1.0, 2.0, 4.0], 0.75, Some(3.0));
        check(&[1.0, 2.0, 4.0], 1.0, Some(4.0));
    }
}

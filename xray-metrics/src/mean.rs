//! The mean of what there is.

/// The mean; none of nothing.
pub fn mean(values: impl IntoIterator<Item = f64>) -> Option<f64> {
    let (sum, count) = values.into_iter().fold((0.0, 0_u64), |(sum, count), value| (sum + value, count + 1));
    (count > 0).then(|| sum / count as f64)
}

/// The mean over the labels that have the figure: a macro-average.
pub(crate) fn mean_of_defined(values: &[Option<f64>]) -> Option<f64> {
    mean(values.iter().copied().flatten())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_undefined_does_not_count() {
        let check = |values: &[Option<f64>], expected| assert_eq!(mean_of_defined(values), expected);
        check(&[Some(1.0), None, Some(2.0)], Some(1.5));
        check(&[None], None);
        check(&[], None);
    }
}

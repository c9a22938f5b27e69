//! The order of an epoch.

use xray_random::Random;

/// Tells these draws from those of the augmentation, which uses the same seed.
const PURPOSE: u64 = u64::from_le_bytes(*b"epochord");

/// Positions 0 to `records`, shuffled: a function of the seed, the epoch and the number of records alone.
pub(super) fn shuffled(records: usize, seed: u64, epoch: u64) -> Vec<u32> {
    let mut random = Random::keyed(&[PURPOSE, seed, epoch]);
    let mut order: Vec<u32> = (0..records as u32).collect();
    // Fisher and Yates.
    for last in (1..records).rev() {
        order.swap(last, random.below(last + 1));
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_holds_every_position_once_and_changes_with_seed_and_epoch() {
        let order = shuffled(1000, 1, 2);
        let mut sorted = order.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, (0..1000).collect::<Vec<_>>());
        assert_eq!(order, shuffled(1000, 1, 2));
        assert_ne!(order, shuffled(1000, 2, 2));
        assert_ne!(order, shuffled(1000, 1, 3));
        assert_ne!(order, sorted);
    }

    /// Each of the 24 orders of four positions comes up as often as chance has it: chi-squared with 23
    /// degrees of freedom stays below 49.7 with probability 0.999.
    #[test]
    fn all_orders_are_equally_likely() {
        let mut seen = std::collections::HashMap::new();
        for epoch in 0..24_000 {
            *seen.entry(shuffled(4, 7, epoch)).or_insert(0.0f64) += 1.0;
        }
        assert_eq!(seen.len(), 24);
        let chi_squared: f64 = seen.values().map(|n| (n - 1000.0).powi(2) / 1000.0).sum();
        assert!(chi_squared < 49.7, "{chi_squared}");
    }
}

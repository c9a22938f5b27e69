//! How much more is asked for than was used.

/// Memory or disk, in MiB: a quarter on top, because other machines have other buffers, in whole 64 MiB, so that cells that
/// need about as much ask for as much.
pub(crate) fn enough_mib(used: u64) -> u64 {
    used.saturating_add(used.div_ceil(4)).max(1).next_multiple_of(64)
}

/// Minutes, for so many seconds: half on top, because other machines are slower, and five minutes to start and to save before
/// the limit; in whole five minutes.
pub(crate) fn enough_minutes(seconds: f64) -> u64 {
    ((seconds * 1.5 / 60.0).ceil() as u64 + 5).next_multiple_of(5)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_is_asked_for_than_was_used() {
        let check = |used, expected| assert_eq!(enough_mib(used), expected, "{used}");
        check(0, 64);
        check(51, 64);
        check(52, 128);
        check(1210, 1536);
        let check = |seconds, expected| assert_eq!(enough_minutes(seconds), expected, "{seconds}");
        check(0.0, 5);
        check(12.0, 10);
        check(200.0, 10);
        check(201.0, 15);
        check(3600.0, 95);
        for used in 0..10_000 {
            assert!(4 * enough_mib(used) >= 5 * used, "{used}");
            assert!(enough_minutes(used as f64) * 60 >= used * 3 / 2 + 300, "{used}");
        }
    }
}

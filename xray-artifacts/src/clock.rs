//! The time of day for files and logs.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The last second that a year of four digits can be written for.
const LAST: u64 = 253_402_300_799;

/// The time now, within what RFC 3339 can write. A machine without a clock may say 1901, and what writes times
/// panics at those before 1970 and after 9999.
pub fn time_of_day() -> SystemTime {
    within(SystemTime::now())
}

fn within(time: SystemTime) -> SystemTime {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    UNIX_EPOCH + since.min(Duration::from_secs(LAST))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_that_cannot_be_written_are_the_nearest_that_can() {
        let day = Duration::from_secs(86_400);
        assert_eq!(within(UNIX_EPOCH - day), UNIX_EPOCH);
        assert_eq!(within(UNIX_EPOCH + day), UNIX_EPOCH + day);
        let last = UNIX_EPOCH + Duration::from_secs(LAST);
        assert_eq!(within(last + day), last);
        assert_eq!(within(last), last);
    }
}

//! Times of the log. HTCondor writes local time without a zone unless its administrator chose UTC, and in an
//! old format without a year.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A time as written: a calendar's figures, and whether they are UTC.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Stamp {
    /// Seconds since 1970 if the figures were UTC. Without a year: in the year 1972, which has every day.
    seconds: i64,
    has_year: bool,
    is_utc: bool,
}

impl Stamp {
    /// Reads `2026-11-23 10:00:00`, with `T`, fractions or `Z`, or `11/23 10:00:00`; and gives the rest.
    pub(super) fn parse(text: &str) -> Option<(Stamp, &str)> {
        let (written, has_year, length) = match text.get(..19).filter(|t| t.as_bytes()[4] == b'-') {
            Some(iso) => (iso.to_owned(), true, 19),
            None => {
                let old = text.get(..14).filter(|old| old.as_bytes()[2] == b'/')?;
                (format!("1972-{}-{}", old.get(..2)?, old.get(3..)?), false, 14)
            }
        };
        let time = humantime::parse_rfc3339_weak(&written).ok()?.duration_since(UNIX_EPOCH).ok()?;
        let rest = text.get(length..)?;
        let rest = match rest.strip_prefix('.') {
            Some(fraction) => fraction.trim_start_matches(|c: char| c.is_ascii_digit()),
            None => rest,
        };
        let (is_utc, rest) = match rest.strip_prefix('Z').or_else(|| rest.strip_prefix("+00:00")) {
            Some(rest) => (true, rest),
            None => (false, rest),
        };
        let stamp = Stamp { seconds: i64::try_from(time.as_secs()).ok()?, has_year, is_utc };
        Some((stamp, rest.strip_prefix(' ')?))
    }

    /// The local hour whose distance from UTC must be known.
    pub(super) fn local_hour(self, now: SystemTime) -> Option<i64> {
        (!self.is_utc).then(|| self.civil(now).div_euclid(3600))
    }

    /// RFC 3339 in UTC. `offsets` says for local hours how many seconds they are ahead of UTC; an hour that
    /// is not there counts as UTC.
    pub(super) fn utc(self, now: SystemTime, offsets: &BTreeMap<i64, i64>) -> String {
        let offset = self.local_hour(now).and_then(|hour| offsets.get(&hour)).copied().unwrap_or(0);
        let seconds = self.civil(now).saturating_sub(offset).clamp(0, LAST);
        humantime::format_rfc3339_seconds(UNIX_EPOCH + Duration::from_secs(seconds.unsigned_abs()))
            .to_string()
    }

    /// With a year: that of the latest such day that is not in the future.
    fn civil(self, now: SystemTime) -> i64 {
        if self.has_year {
            return self.seconds;
        }
        let now = now.duration_since(UNIX_EPOCH).map_or(0, |now| now.as_secs()).min(LAST.unsigned_abs());
        let latest =
            UNIX_EPOCH + Duration::from_secs(now + 86_400).min(Duration::from_secs(LAST.unsigned_abs()));
        let day =
            humantime::format_rfc3339_seconds(UNIX_EPOCH + Duration::from_secs(self.seconds.unsigned_abs()));
        let day = day.to_string();
        let year: u64 = humantime::format_rfc3339_seconds(latest).to_string()[..4].parse().unwrap_or(1972);
        let in_year = |year: u64| humantime::parse_rfc3339(&format!("{year:04}{}", &day[4..])).ok();
        // Eight years reach back to a 29th of February wherever one stands.
        let found =
            (0..=8).filter_map(|back| in_year(year.saturating_sub(back))).find(|time| *time <= latest);
        let seconds = found.and_then(|time| time.duration_since(UNIX_EPOCH).ok()).map(|time| time.as_secs());
        seconds.and_then(|seconds| i64::try_from(seconds).ok()).unwrap_or(self.seconds)
    }
}

/// The last second of the year 9999, where RFC 3339 ends.
const LAST: i64 = 253_402_300_799;

/// How far this machine's zone is ahead of UTC in each of these local hours (counted since 1970), in seconds.
/// GNU `date` knows zones and their summers; without it nothing is known. The hour that an autumn repeats is
/// taken once.
pub(super) fn local_offsets(hours: &BTreeSet<i64>) -> BTreeMap<i64, i64> {
    if hours.is_empty() {
        return BTreeMap::new();
    }
    let hour_text = |hour: &i64| {
        let seconds = hour.saturating_mul(3600).clamp(0, LAST).unsigned_abs();
        let text = humantime::format_rfc3339_seconds(UNIX_EPOCH + Duration::from_secs(seconds)).to_string();
        format!("{} {}:00\n", &text[..10], &text[11..13])
    };
    let lines: String = hours.iter().map(hour_text).collect();
    let command = Command::new("date")
        .args(["-f", "-", "+%Y-%m-%d %H:00 %z"])
        .env("LC_ALL", "C")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn();
    let Ok(mut child) = command else { return BTreeMap::new() };
    let mut input = child.stdin.take().expect("a piped stdin");
    // From a thread of its own: both pipes may fill. A `date` that does not read is one that says nothing.
    let writer = std::thread::spawn(move || drop(input.write_all(lines.as_bytes())));
    let output = child.wait_with_output();
    let _ = writer.join();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    text.lines().filter_map(parse_offset).collect()
}

/// `2026-07-01 10:00 +0200`
fn parse_offset(line: &str) -> Option<(i64, i64)> {
    let (hour, zone) = line.rsplit_once(' ')?;
    let (stamp, _) = Stamp::parse(&format!("{hour}:00 "))?;
    let sign = if zone.starts_with('-') { -1 } else { 1 };
    let (hours, minutes): (i64, i64) = (zone.get(1..3)?.parse().ok()?, zone.get(3..5)?.parse().ok()?);
    Some((stamp.seconds.div_euclid(3600), sign * (hours * 3600 + minutes * 60)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &str) {
        let now = humantime::parse_rfc3339("2026-11-23T12:00:00Z").expect("a time");
        let (stamp, rest) = Stamp::parse(text).expect("a time");
        let summer = humantime::parse_rfc3339("2026-07-01T10:00:00Z").expect("a time");
        let hour = summer.duration_since(UNIX_EPOCH).expect("after 1970").as_secs() / 3600;
        let offsets = BTreeMap::from([(i64::try_from(hour).expect("small"), 7200)]);
        assert_eq!((stamp.utc(now, &offsets).as_str(), rest), (expected, "Job"), "{text}");
    }

    #[test]
    fn every_format_of_htcondor_is_read() {
        check("2026-11-23 10:00:00 Job", "2026-11-23T10:00:00Z");
        check("2026-11-23T10:00:00.123Z Job", "2026-11-23T10:00:00Z");
        check("2026-11-23 10:00:00.123 Job", "2026-11-23T10:00:00Z");
        check("2026-07-01 10:05:07 Job", "2026-07-01T08:05:07Z");
        check("2026-07-01 10:05:07Z Job", "2026-07-01T10:05:07Z");
    }

    #[test]
    fn a_time_without_a_year_is_the_latest_that_is_past() {
        check("11/23 10:00:00 Job", "2026-11-23T10:00:00Z");
        check("12/31 23:59:59 Job", "2025-12-31T23:59:59Z");
        check("02/29 00:00:00 Job", "2024-02-29T00:00:00Z");
    }

    #[test]
    fn no_time_is_no_stamp() {
        for text in
            ["", "2026-13-01 00:00:00 x", "13/40 00:00:00 x", "2026-11-23 10:00", "ä026-11-23 10:00:00 x"]
        {
            assert_eq!(Stamp::parse(text), None, "{text}");
        }
    }

    #[test]
    fn an_offset_line_gives_hour_and_seconds() {
        assert_eq!(parse_offset("1970-01-02 01:00 +0200"), Some((25, 7200)));
        assert_eq!(parse_offset("1970-01-02 01:00 -0330"), Some((25, -12_600)));
        assert_eq!(parse_offset("date: no"), None);
    }
}

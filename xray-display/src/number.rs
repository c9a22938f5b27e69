//! Numbers as people read them. What is not defined is a dash.

/// Stands for what is not defined.
pub const DASH: &str = "–";

/// A number with so many decimals; a dash for what is not defined.
pub fn number(value: Option<f64>, decimals: usize) -> String {
    value.map_or_else(|| DASH.into(), |value| format!("{value:.decimals$}"))
}

/// A number with the interval around it, whose ends are `between` apart: `0.734 (0.712 to 0.751)`.
pub fn with_interval(
    value: Option<f64>,
    interval: Option<[f64; 2]>,
    decimals: usize,
    between: &str,
) -> String {
    match (value, interval) {
        (Some(value), Some([low, high])) => {
            format!("{value:.decimals$} ({low:.decimals$}{between}{high:.decimals$})")
        }
        (value, _) => number(value, decimals),
    }
}

/// A share as percent: `10 %`.
pub fn percent(share: f64) -> String {
    format!("{} %", (share * 1e6).round() / 1e4)
}

/// Groups of three digits: `78,468`.
pub fn thousands(count: impl Into<i128>) -> String {
    let count = count.into();
    let digits = count.unsigned_abs().to_string();
    let groups: Vec<&str> =
        digits.as_bytes().rchunks(3).rev().map(|group| std::str::from_utf8(group).expect("digits")).collect();
    let sign = if count < 0 { "-" } else { "" };
    format!("{sign}{}", groups.join(","))
}

/// How many of a thing: `1 record`, `2,000 records`, `3 passes`.
///
/// # Panics
/// If the number takes more than 127 bits.
pub fn counted(number: impl TryInto<i128>, noun: &str) -> String {
    let Ok(number) = number.try_into() else { panic!("a count of {noun} beyond all counts") };
    let ending = match number {
        1 => "",
        _ if noun.ends_with('s') => "es",
        _ => "s",
    };
    format!("{} {noun}{ending}", thousands(number))
}

/// The unit of time that suits the longest of some, and its length in seconds.
pub fn time_unit(longest: f64) -> (&'static str, f64) {
    match longest {
        seconds if seconds < 180.0 => ("s", 1.0),
        seconds if seconds < 3.0 * 3600.0 => ("min", 60.0),
        _ => ("h", 3600.0),
    }
}

/// `41.2 s`, `7 min 05 s`, `3 h 20 min`; a dash for what is not known.
pub fn duration(seconds: Option<f64>) -> String {
    let Some(seconds) = seconds else { return DASH.into() };
    let whole = seconds.round() as u64;
    match whole {
        0..60 => format!("{seconds:.1} s"),
        60..3600 => format!("{} min {:02} s", whole / 60, whole % 60),
        _ => format!("{} h {:02} min", whole / 3600, whole % 3600 / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_counts_are_grouped() {
        assert_eq!(
            [0, 999, 1000, 112_120, 1_234_567, -4_000].map(thousands),
            ["0", "999", "1,000", "112,120", "1,234,567", "-4,000"]
        );
        assert_eq!(thousands(u64::MAX), "18,446,744,073,709,551,615");
    }

    #[test]
    fn one_thing_is_singular() {
        assert_eq!(
            [counted(1_u64, "record"), counted(0_usize, "record"), counted(2_000_u64, "record")],
            ["1 record", "0 records", "2,000 records"]
        );
        assert_eq!([counted(1_usize, "pass"), counted(3_usize, "pass")], ["1 pass", "3 passes"]);
    }

    #[test]
    fn intervals_stand_behind_their_figure() {
        assert_eq!(with_interval(Some(0.8), Some([0.75, 0.849_6]), 3, "–"), "0.800 (0.750–0.850)");
        assert_eq!(with_interval(Some(0.8), Some([0.75, 0.849_6]), 2, " to "), "0.80 (0.75 to 0.85)");
        assert_eq!(with_interval(Some(0.8), None, 3, "–"), "0.800");
        assert_eq!(with_interval(None, None, 3, "–"), "–");
    }

    #[test]
    fn durations_are_read_at_a_glance() {
        let text = |seconds| duration(Some(seconds));
        assert_eq!(
            [text(5.26), text(59.7), text(425.2), text(12_001.0)],
            ["5.3 s", "1 min 00 s", "7 min 05 s", "3 h 20 min"]
        );
        assert_eq!(duration(None), "–");
    }
}

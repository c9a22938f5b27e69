//! Ages as tables, records and DICOM headers spell them.

/// Above this many years a number is not an age, such as the 411 years of the first release of ChestX-ray14.
const OLDEST: f64 = 120.0;

/// Whole years from a number with or without a unit: `58`, `58.0`, and as DICOM's AS has it (PS3.5, 6.2) `058Y`,
/// `018M`, `003W`, `010D`; `18 months` as people do. Younger than one year is 0. `None` for whatever else, and above 120 years.
pub(crate) fn parse_age(text: &str) -> Option<u16> {
    let text = text.trim();
    let number = text.trim_end_matches(|unit: char| unit.is_ascii_alphabetic());
    let in_a_year = match text[number.len()..].to_ascii_uppercase().as_str() {
        "" | "Y" | "YR" | "YRS" | "YEAR" | "YEARS" => 1.0,
        "M" | "MO" | "MOS" | "MONTH" | "MONTHS" => 12.0,
        "W" | "WK" | "WKS" | "WEEK" | "WEEKS" => 365.25 / 7.0,
        "D" | "DAY" | "DAYS" => 365.25,
        _ => return None,
    };
    let number = number.trim_end();
    if !number.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') {
        return None; // signs, exponents
    }
    let years = number.parse::<f64>().ok()? / in_a_year;
    (years <= OLDEST).then_some(years as u16)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_read_in_every_unit_and_spelling() {
        let check = |text, expected| assert_eq!(parse_age(text), expected, "{text}");
        check("58", Some(58));
        check("058Y", Some(58));
        check(" 58y ", Some(58));
        check("61.0", Some(61));
        check("58.9", Some(58));
        check("0", Some(0));
        check("120", Some(120));
        check("804M", Some(67));
        check("144M", Some(12));
        check("018M", Some(1));
        check("011m", Some(0));
        check("104W", Some(1));
        check("105W", Some(2));
        check("003W", Some(0));
        check("010D", Some(0));
        check("366D", Some(1));
        check("58 years", Some(58));
        check("18 Months", Some(1));
        check("18mo", Some(1));
        check("52 weeks", Some(0));
        check("400 days", Some(1));
    }

    #[test]
    fn what_is_no_age_is_unknown() {
        for text in [
            "",
            "Y",
            "old",
            "-3",
            "+3",
            "411",
            "121",
            "411Y",
            "9999M",
            "1e1",
            "nan",
            "inf",
            "58YY",
            "58X",
            "5 8",
            "1.2.3",
            ".",
            "058Y\u{e9}",
            "\u{661}",
        ] {
            assert_eq!(parse_age(text), None, "{text}");
        }
    }
}

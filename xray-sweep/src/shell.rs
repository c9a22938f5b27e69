//! Commands that people copy.

/// A path as a shell takes it for one word, and a program for no option.
pub(crate) fn quoted(path: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./+=:@%".contains(c);
    let here = if path.starts_with('-') { "./" } else { "" };
    if !path.is_empty() && path.chars().all(plain) {
        format!("{here}{path}")
    } else {
        format!("'{here}{}'", path.replace('\'', "'\\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_word_to_a_shell() {
        let check = |word, expected: &str| assert_eq!(quoted(word), expected);
        check("sweeps/nih-1.0", "sweeps/nih-1.0");
        check("my sweep", "'my sweep'");
        check("it's", "'it'\\''s'");
        check("-x", "./-x");
        check("-$(x)", "'./-$(x)'");
    }
}

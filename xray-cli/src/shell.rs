//! Words as a shell takes them.

use std::path::Path;

/// Text as one word.
pub fn word(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./+=:@%".contains(c);
    if !text.is_empty() && text.chars().all(is_plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

/// A path as one word, which no program takes for an option.
pub fn path(path: &Path) -> String {
    let text = path.to_string_lossy();
    if text.starts_with('-') { word(&format!("./{text}")) } else { word(&text) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_word_to_a_shell() {
        let check = |text, expected: &str| assert_eq!(path(Path::new(text)), expected);
        check("sweeps/nih-1.0", "sweeps/nih-1.0");
        check("my sweep", "'my sweep'");
        check("it's $(id)", r"'it'\''s $(id)'");
        check("-s", "./-s");
        check("~", "'~'");
    }
}

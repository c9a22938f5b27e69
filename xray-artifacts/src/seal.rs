//! What a file says of itself, so that damage is seen: the rule for all kinds is that a file bears a hash of its
//! content (BLAKE3), and that one from before files did is read with a warning.

use crate::{FileError, read_text, write_bytes};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Once, OnceLock};

/// Says of a file that nothing shows whether it is as it was written; of the first such file, since a sweep of an older
/// version has thousands.
///
/// It goes to stderr at once: a reader of files has no other way to whoever runs the program.
pub fn warn_unsealed(path: &Path) {
    static FIRST: OnceLock<PathBuf> = OnceLock::new();
    static TOLD: Once = Once::new();
    let first = FIRST.get_or_init(|| path.to_owned());
    // Where nobody can be told, there is nobody to tell that.
    let say = |text: &str| drop(writeln!(std::io::stderr(), "warning: {text}"));
    TOLD.call_once(|| {
        say(&format!(
            "{} is of an older version and carries no checksum: damage to it would not be noticed",
            first.display()
        ));
    });
    if first != path {
        static MORE: Once = Once::new();
        MORE.call_once(|| say("so are other files that are read"));
    }
}

/// BLAKE3 of some bytes, in hexadecimal.
pub fn checksum(bytes: &[u8]) -> String {
    blake3::hash(bytes).to_hex().to_string()
}

/// Begins the first line of a text in which `#` begins a comment.
const COMMENT: &str = "# blake3 ";

/// Writes a text in which `#` begins a comment, such as TOML, under a line with its hash.
///
/// # Errors
/// What the system refuses; the old file is then as it was.
pub fn write_sealed_text(path: &Path, text: &str) -> Result<(), FileError> {
    write_bytes(path, sealed_text(text).as_bytes())
}

/// What [`write_sealed_text`] writes.
pub fn sealed_text(text: &str) -> String {
    format!("{COMMENT}{}\n{text}", checksum(text.as_bytes()))
}

/// Reads what [`write_sealed_text`] wrote, without the line. A damaged line of the hash itself does no harm.
///
/// # Errors
/// [`FileError::Seal`] where the text differs from what was written; `kind` says what it should be.
pub fn read_sealed_text(path: &Path, kind: &'static str) -> Result<String, FileError> {
    let text = read_text(path)?;
    let Some((seal, content)) = text.strip_prefix(COMMENT).and_then(|rest| rest.split_once('\n')) else {
        warn_unsealed(path);
        return Ok(text);
    };
    if seal.trim_end() != checksum(content.as_bytes()) {
        return Err(FileError::Seal { path: path.to_owned(), kind });
    }
    Ok(content.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_of_the_text_is_seen() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let path = dir.path().join("config.toml");
        let text = "format = 1\nseed = 3\n";
        write_sealed_text(&path, text).expect("a writable folder");
        assert_eq!(read_sealed_text(&path, "configuration").expect("just written"), text);
        let written = std::fs::read(&path).expect("just written");
        for at in 0..written.len() {
            let mut damaged = written.clone();
            damaged[at] ^= 1;
            std::fs::write(&path, damaged).expect("a writable folder");
            match read_sealed_text(&path, "configuration") {
                // Of the mark alone nothing is left to compare with, but the content is whole.
                Ok(read) => assert!(at < COMMENT.len() && read.ends_with(text), "byte {at}"),
                Err(error) => assert!(matches!(error, FileError::Seal { .. }), "{error}"),
            }
        }
        std::fs::write(&path, text).expect("a writable folder");
        assert_eq!(read_sealed_text(&path, "configuration").expect("of an older version"), text);
    }
}

//! Reading text that a person wrote: settings, keys, lists, tables. Windows programs begin UTF-8 with a byte
//! order mark, and write UTF-16; both are read as what they say.

use crate::FileError;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// Text larger than this is not a setting, key or list.
const LARGEST: u64 = 64 << 20;

/// Enough to tell text from something else before more is read.
const BEGINNING: u64 = 64 << 10;

/// Bytes that are not text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotText {
    /// The line with the first of them, from 1.
    pub line: u64,
}

impl std::fmt::Display for NotText {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "line {} is not UTF-8 text", self.line)
    }
}

impl std::error::Error for NotText {}

/// Reads a whole text file, as [`decode_text`] does; a pipe is read as well.
///
/// # Errors
/// [`FileError::Io`] for what the system refuses and for more than 64 MiB, [`FileError::Text`] for other bytes.
pub fn read_text(path: &Path) -> Result<String, FileError> {
    let io = |source| FileError::Io { path: path.to_owned(), action: "read", source };
    let bytes = File::open(path).and_then(|file| read_bounded(file, LARGEST)).map_err(io)?;
    decode_text(bytes).map_err(|problem| FileError::Text { path: path.to_owned(), problem })
}

/// Reads to the end. Of what holds zeros at its beginning, and so is not text unless it begins as UTF-16, only
/// the beginning: a device such as `/dev/zero` never ends.
///
/// # Errors
/// More than `limit` bytes, and what the system refuses.
pub fn read_bounded(mut reader: impl Read, limit: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    reader.by_ref().take(BEGINNING.min(limit)).read_to_end(&mut bytes)?;
    if utf_16(&bytes).is_none() && bytes.contains(&0) {
        return Ok(bytes);
    }
    let read = bytes.len() as u64;
    reader.take((limit - read).saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit {
        let message = format!("it holds more than {} MiB", limit >> 20);
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, message));
    }
    Ok(bytes)
}

/// Text from UTF-8 with or without a byte order mark, or from UTF-16 with one. The mark is taken away.
///
/// # Errors
/// Bytes of another encoding, and zeros, which no text holds.
pub fn decode_text(mut bytes: Vec<u8>) -> Result<String, NotText> {
    if let Some(unit) = utf_16(&bytes) {
        let units: Vec<u16> =
            bytes[2..].chunks(2).map(|pair| unit([pair[0], *pair.get(1).unwrap_or(&0)])).collect();
        let text = String::from_utf16(&units).map_err(|_| NotText { line: 1 })?;
        return refuse_zeros(text);
    }
    if bytes.starts_with(&[0xef, 0xbb, 0xbf]) {
        bytes.drain(..3);
    }
    let text = String::from_utf8(bytes).map_err(|error| {
        let before = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        NotText { line: line_after(before) }
    })?;
    refuse_zeros(text)
}

fn refuse_zeros(text: String) -> Result<String, NotText> {
    match text.bytes().position(|byte| byte == 0) {
        Some(zero) => Err(NotText { line: line_after(&text.as_bytes()[..zero]) }),
        None => Ok(text),
    }
}

/// How two bytes make a unit, where a mark says so.
fn utf_16(bytes: &[u8]) -> Option<fn([u8; 2]) -> u16> {
    match bytes {
        [0xff, 0xfe, ..] => Some(u16::from_le_bytes),
        [0xfe, 0xff, ..] => Some(u16::from_be_bytes),
        _ => None,
    }
}

fn line_after(before: &[u8]) -> u64 {
    before.iter().filter(|&&byte| byte == b'\n').count() as u64 + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn utf_16_le(text: &str) -> Vec<u8> {
        text.encode_utf16().flat_map(u16::to_le_bytes).collect()
    }

    #[test]
    fn marks_are_taken_away_and_utf_16_is_read() {
        let check = |bytes: &[u8], expected: Result<&str, u64>| {
            let found = decode_text(bytes.to_vec());
            assert_eq!(found.as_deref().map_err(|problem| problem.line), expected, "{bytes:?}");
        };
        check(b"a = 1\n", Ok("a = 1\n"));
        check(b"", Ok(""));
        check(b"\xef\xbb\xbfa = 1\n", Ok("a = 1\n"));
        check(&utf_16_le("\u{feff}na\u{ef}ve\n"), Ok("na\u{ef}ve\n"));
        check(b"\xfe\xff\0a\0\n", Ok("a\n"));
        check(b"\xff\xfea", Ok("a")); // cut in the middle of a unit
        check(b"a\nb\n\xe9\n", Err(3));
        check(b"a\n\0", Err(2));
        check(&utf_16_le("a\n"), Err(1)); // without a mark it is not known as UTF-16
        check(b"\xff\xfe\x00\xd8", Err(1)); // half a pair
    }

    #[test]
    fn what_never_ends_is_not_read_to_the_end() {
        let zeros = read_bounded(io::repeat(0), 1 << 30).expect("readable");
        assert_eq!((zeros.len() as u64, decode_text(zeros)), (BEGINNING, Err(NotText { line: 1 })));
        let error = read_bounded(io::repeat(b'a'), 1 << 20).expect_err("too large");
        assert_eq!(error.to_string(), "it holds more than 1 MiB");
        assert_eq!(read_bounded(&[b'a'; 10][..], 10).expect("as large as allowed").len(), 10);
    }

    #[test]
    fn a_file_is_named() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let path = dir.path().join("settings.toml");
        std::fs::write(&path, b"\xef\xbb\xbfseed = 1\n").expect("writable");
        assert_eq!(read_text(&path).expect("text"), "seed = 1\n");
        std::fs::write(&path, b"seed = 1\nname = \"\xe9\"\n").expect("writable");
        let message = crate::one_line(&read_text(&path).expect_err("another encoding"));
        assert!(message.ends_with("settings.toml: line 2 is not UTF-8 text"), "{message}");
    }
}

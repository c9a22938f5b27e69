//! Names of files that say what the files hold, so that any copy is known as whole or damaged wherever it lies.

use crate::FileError;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::Path;

/// `blake3-` and the hash of a file's content in 64 hexadecimal digits.
///
/// ```
/// use xray_artifacts::ContentName;
/// let mut copy = Vec::new();
/// let (name, bytes) = ContentName::copy(&b"weights"[..], &mut copy).expect("memory");
/// assert!(name.as_str().starts_with("blake3-") && bytes == 7 && copy == b"weights");
/// assert_eq!(ContentName::in_path(&std::path::Path::new("bin").join(name.as_str())), Some(name));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ContentName(String);

const LEAD: &str = "blake3-";

impl ContentName {
    /// Copies all of a file, a part at a time; its name and its bytes.
    ///
    /// # Errors
    /// What the system refuses.
    pub fn copy(mut from: impl Read, mut to: impl Write) -> io::Result<(ContentName, u64)> {
        let (mut hasher, mut bytes, mut part) = (blake3::Hasher::new(), 0, vec![0; 1 << 18]);
        loop {
            let read = match from.read(&mut part) {
                Ok(0) => break,
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            hasher.update(&part[..read]);
            to.write_all(&part[..read])?;
            bytes += read as u64;
        }
        Ok((ContentName(format!("{LEAD}{}", hasher.finalize().to_hex())), bytes))
    }

    /// The name of what a file holds, and its bytes.
    ///
    /// # Errors
    /// [`FileError::Io`]: what the system refuses, and what is not a regular file, which may never end.
    pub fn of(path: &Path) -> Result<(ContentName, u64), FileError> {
        let read = fs::metadata(path).and_then(|found| match found.is_file() {
            true => File::open(path).and_then(|file| ContentName::copy(file, io::sink())),
            false => Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file")),
        });
        read.map_err(|source| FileError::Io { path: path.to_owned(), action: "read", source })
    }

    /// The last part of a path, where it is such a name.
    pub fn in_path(path: &Path) -> Option<ContentName> {
        path.file_name()?.to_str()?.to_owned().try_into().ok()
    }

    /// The hash alone.
    pub fn hash(&self) -> &str {
        &self.0[LEAD.len()..]
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ContentName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<ContentName> for String {
    fn from(name: ContentName) -> String {
        name.0
    }
}

impl TryFrom<String> for ContentName {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        match text.strip_prefix(LEAD) {
            Some(hash) if hash.len() == 64 && hash.bytes().all(is_digit) => Ok(ContentName(text)),
            _ => Err(format!("`{text}` is not `{LEAD}` and 64 hexadecimal digits")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_follows_from_the_content_alone() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let name = |file: &str, content: &[u8]| {
            fs::write(dir.path().join(file), content).expect("writable");
            ContentName::of(&dir.path().join(file)).expect("readable")
        };
        let (a, bytes) = name("a", &[7; 300_000]);
        assert_eq!(bytes, 300_000, "more than is read at once");
        assert_eq!(a.as_str(), format!("blake3-{}", crate::checksum(&[7; 300_000])));
        assert_eq!(name("b", &[7; 300_000]).0, a);
        assert_ne!(name("a", &[7; 299_999]).0, a);
        ContentName::of(&dir.path().join("absent")).expect_err("absent");
        ContentName::of(dir.path()).expect_err("a folder");
    }

    #[test]
    fn other_names_say_nothing_of_the_content() {
        let hash = "0123456789abcdef".repeat(4);
        let check = |path: &str, is_name: bool| {
            assert_eq!(ContentName::in_path(Path::new(path)).is_some(), is_name, "{path}");
        };
        check(&format!("blake3-{hash}"), true);
        check(&format!("/sweep/bin/blake3-{hash}"), true);
        check(&format!("blake3-{hash}.pth"), false);
        check(&format!("blake3-{}", hash.to_uppercase()), false);
        check(&format!("blake3-{}", &hash[1..]), false);
        check(&format!("blake3-{hash}/weights.pth"), false);
        check(&hash, false);
        check("", false);
        serde_json::from_str::<ContentName>("\"blake3-0\"").expect_err("too short");
    }
}

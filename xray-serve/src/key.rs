//! The key that whoever asks must send.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::hint::black_box;
use std::path::Path;
use xray_artifacts::{Exit, Failure, one_line, read_text};

/// A key; it is not printed.
#[derive(Clone)]
pub struct Key(Vec<u8>);

impl Key {
    /// A key, unless it is empty.
    pub fn new(key: &str) -> Option<Key> {
        let key = key.trim();
        (!key.is_empty()).then(|| Key(key.as_bytes().to_vec()))
    }

    /// The one line of a file, which may have a byte order mark, blank lines and line ends of any kind.
    ///
    /// # Errors
    /// If it cannot be read, or holds no key or several.
    pub fn read(path: &Path) -> Result<Key, Failure> {
        let refused = |what: &str| {
            Failure::new(Exit::Usage, format!("{} {what}", path.display()))
                .hint("write the key as the only line of the file")
        };
        let text = read_text(path).map_err(|error| {
            Failure::new(
                Exit::Usage,
                format!("cannot read the key in {}: {}", path.display(), one_line(&error)),
            )
        })?;
        let mut lines = text.split(['\n', '\r']).filter_map(Key::new);
        let key = lines.next().ok_or_else(|| refused("holds no key"))?;
        if lines.next().is_some() {
            return Err(refused("holds more than one line"));
        }
        if key.0.iter().any(u8::is_ascii_control) {
            return Err(refused("holds a key with control characters, which no header can carry"));
        }
        Ok(key)
    }

    /// Whether these credentials (`Bearer KEY`, or `Basic` with the key as password) hold the key.
    pub(crate) fn opens(&self, authorization: &[u8]) -> bool {
        let Ok(given) = std::str::from_utf8(authorization) else { return false };
        let Some((scheme, given)) = given.trim().split_once(' ') else { return false };
        match scheme.to_ascii_lowercase().as_str() {
            "bearer" => self.is(given.trim().as_bytes()),
            "basic" => password(given.trim()).is_some_and(|password| self.is(&password)),
            _ => false,
        }
    }

    /// Looks at every byte of the key whatever is given, so that the time tells nothing of it.
    fn is(&self, given: &[u8]) -> bool {
        let given_or_0 = given.iter().copied().chain(std::iter::repeat(0));
        let differs = self.0.iter().zip(given_or_0).fold(0, |differs, (a, b)| black_box(differs | (a ^ b)));
        (differs == 0) & (given.len() == self.0.len())
    }
}

impl std::fmt::Debug for Key {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Key(…)")
    }
}

/// What stands behind the name in `Basic` credentials (RFC 7617).
fn password(credentials: &str) -> Option<Vec<u8>> {
    let plain = STANDARD.decode(credentials).ok()?;
    let colon = plain.iter().position(|&byte| byte == b':')?;
    Some(plain[colon + 1..].to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_whole_key_opens() {
        let key = Key::new("se:cret").expect("a key");
        // anyone:se:cret
        for right in ["Bearer se:cret", "bearer  se:cret", "Basic YW55b25lOnNlOmNyZXQ="] {
            assert!(key.opens(right.as_bytes()), "{right}");
        }
        let wrong =
            ["Bearer se:cre", "Bearer se:crets", "Basic eDp4", "Digest se:cret", "Bearer", "se:cret", ""];
        for wrong in wrong {
            assert!(!key.opens(wrong.as_bytes()), "{wrong}");
        }
        assert!(!key.opens(b"Bearer \xff"));
        assert!(!format!("{key:?}").contains("cret"));
    }

    #[test]
    fn a_file_holds_one_key_however_it_was_saved() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let file = folder.path().join("key.txt");
        let read = |text: &str| {
            std::fs::write(&file, text).expect("writable");
            Key::read(&file)
        };
        for text in
            ["secret", "secret\n", "\u{feff}secret\r\n", "\n\r\n  secret \r\n\r\n", "\u{feff}\nsecret"]
        {
            assert!(read(text).expect(text).opens(b"Bearer secret"), "{text:?}");
        }
        for text in ["", "\u{feff}\r\n \n", "one\ntwo\n", "a\0b"] {
            assert_eq!(read(text).expect_err(text).exit, Exit::Usage, "{text:?}");
        }
    }
}

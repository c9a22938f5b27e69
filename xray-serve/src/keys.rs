//! The keys that whoever asks must send, with the names of those to whom they were given.
//!
//! Only SHA-256 of each is kept, and what is sent is compared by its own, so nothing that takes time depends on a key's
//! letters.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use xray_artifacts::{Exit, Failure, one_line, read_text};

/// Keys with names. Where there is none, nobody is asked for one.
#[derive(Clone, Default)]
pub struct Keys(Vec<Key>);

#[derive(Clone)]
struct Key {
    name: Arc<str>,
    digest: [u8; 32],
}

/// A file with keys, which can be read again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyFile {
    /// One key, as the only line.
    One(PathBuf),
    /// Lines `NAME = KEY` or `NAME = sha256:DIGITS`; `#` begins a comment.
    Named(PathBuf),
}

/// What a key is called that has no name.
const NAMELESS: &str = "key";

/// Begins what stands for a key that is not written down.
const SHA_256: &str = "sha256:";

/// Letters of a name, at most.
const LONGEST_NAME: usize = 64;

impl Keys {
    /// One key without a name; none if it is empty.
    pub fn one(key: &str) -> Keys {
        let key = key.trim();
        let keys = (!key.is_empty()).then(|| Key { name: NAMELESS.into(), digest: digest(key.as_bytes()) });
        Keys(keys.into_iter().collect())
    }

    /// Whether nobody is asked for a key.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// The name of the key that these credentials (`Bearer KEY`, or `Basic` with the key as password) hold.
    pub(crate) fn opened_by(&self, authorization: &[u8]) -> Option<Arc<str>> {
        let (scheme, given) = std::str::from_utf8(authorization).ok()?.trim().split_once(' ')?;
        match scheme.to_ascii_lowercase().as_str() {
            "bearer" => self.named(given.trim().as_bytes()),
            "basic" => self.named(&password(given.trim())?),
            _ => None,
        }
    }

    /// Looks at every byte of every digest whatever is given.
    fn named(&self, given: &[u8]) -> Option<Arc<str>> {
        let given = digest(given);
        let is = |key: &Key| {
            let differs =
                key.digest.iter().zip(given).fold(0, |differs, (a, b)| black_box(differs | (a ^ b)));
            differs == 0
        };
        let found = self.0.iter().fold(None, |found, key| if is(key) { Some(key) } else { found });
        found.map(|key| Arc::clone(&key.name))
    }

    /// Those of lines `NAME = KEY`.
    fn of_lines(text: &str) -> Result<(Keys, bool), String> {
        let mut keys: Vec<Key> = Vec::new();
        let mut in_clear = false;
        let lines = text.split('\n').map(str::trim).enumerate();
        for (at, line) in lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#')) {
            let refused = |why: &str| format!("line {}: {why}", at + 1);
            let (name, key) = line.split_once('=').ok_or_else(|| refused("it is not `NAME = KEY`"))?;
            let (name, key) = (name.trim(), key.trim());
            let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._@".contains(&byte);
            if !(1..=LONGEST_NAME).contains(&name.len()) || !name.bytes().all(is_plain) {
                return Err(refused("a name has 1 to 64 letters, digits and `-._@`"));
            }
            let digest = match key.strip_prefix(SHA_256) {
                Some(digits) => {
                    hexadecimal(digits).ok_or_else(|| refused("`sha256:` needs 64 hexadecimal digits"))?
                }
                None if key.is_empty() => return Err(refused("the key is empty")),
                None if key.bytes().any(|byte| byte.is_ascii_control()) => {
                    return Err(refused("the key holds control characters, which no header can carry"));
                }
                None => {
                    in_clear = true;
                    digest(key.as_bytes())
                }
            };
            if let Some(other) = keys.iter().find(|other| *other.name == *name) {
                return Err(refused(&format!("the name {} appears twice", other.name)));
            }
            if let Some(other) = keys.iter().find(|other| other.digest == digest) {
                return Err(refused(&format!("{name} has the key of {}", other.name)));
            }
            keys.push(Key { name: name.into(), digest });
        }
        if keys.is_empty() {
            return Err("it holds no key".to_owned());
        }
        Ok((Keys(keys), in_clear))
    }

    /// The only line of a text.
    fn of_one_line(text: &str) -> Result<Keys, String> {
        let mut lines = text.split(['\n', '\r']).map(str::trim).filter(|line| !line.is_empty());
        let key = lines.next().ok_or("it holds no key")?;
        if lines.next().is_some() {
            return Err("it holds more than one line".to_owned());
        }
        if key.bytes().any(|byte| byte.is_ascii_control()) {
            return Err("it holds a key with control characters, which no header can carry".to_owned());
        }
        Ok(Keys::one(key))
    }
}

/// Says whose they are and nothing of them.
impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.0.iter().map(|key| &key.name)).finish()
    }
}

impl KeyFile {
    /// The keys in it, and a warning where everybody on this machine can read them. A byte order mark, blank lines and
    /// line ends of any kind do no harm.
    ///
    /// # Errors
    /// If it cannot be read, holds no key, or lines that are none.
    pub fn read(&self) -> Result<(Keys, Option<String>), Failure> {
        let path = self.path();
        let text = read_text(path).map_err(|error| {
            Failure::new(
                Exit::Usage,
                format!("cannot read the keys in {}: {}", path.display(), one_line(&error)),
            )
        })?;
        let (keys, hint) = match self {
            KeyFile::One(_) => (
                Keys::of_one_line(&text).map(|keys| (keys, true)),
                "write the key as the only line of the file",
            ),
            KeyFile::Named(_) => (
                Keys::of_lines(&text),
                "write a line `NAME = KEY` for each, or `NAME = sha256:DIGITS` of `printf %s KEY | sha256sum`",
            ),
        };
        let (keys, in_clear) =
            keys.map_err(|why| Failure::new(Exit::Usage, format!("{}: {why}", path.display())).hint(hint))?;
        let warning = (in_clear && is_open_to_all(path)).then(|| {
            format!("{} holds keys and can be read by everybody on this machine: chmod 600", path.display())
        });
        Ok((keys, warning))
    }

    fn path(&self) -> &Path {
        match self {
            KeyFile::One(path) | KeyFile::Named(path) => path,
        }
    }
}

#[cfg(unix)]
fn is_open_to_all(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    std::fs::metadata(path).is_ok_and(|found| found.permissions().mode() & 0o004 != 0)
}

#[cfg(not(unix))]
fn is_open_to_all(_path: &Path) -> bool {
    false
}

fn digest(key: &[u8]) -> [u8; 32] {
    Sha256::digest(key).into()
}

fn hexadecimal(digits: &str) -> Option<[u8; 32]> {
    let digits: Vec<u8> =
        digits.chars().map(|c| c.to_digit(16).map(|digit| digit as u8)).collect::<Option<_>>()?;
    let bytes: Vec<u8> = digits.chunks_exact(2).map(|pair| 16 * pair[0] + pair[1]).collect();
    if digits.len() == 64 { bytes.try_into().ok() } else { None }
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

    /// `printf %s se:cret | sha256sum`
    const SE_CRET: &str = "sha256:170d78f19dfa7e4b3633fbda8614f23de1cbf707d0dac186b168506dc060f533";

    #[test]
    fn only_the_whole_key_opens() {
        let keys = Keys::one("se:cret");
        // anyone:se:cret
        for right in ["Bearer se:cret", "bearer  se:cret", "Basic YW55b25lOnNlOmNyZXQ="] {
            assert_eq!(keys.opened_by(right.as_bytes()).as_deref(), Some("key"), "{right}");
        }
        let wrong =
            ["Bearer se:cre", "Bearer se:crets", "Basic eDp4", "Digest se:cret", "Bearer", "se:cret", ""];
        for wrong in wrong {
            assert!(keys.opened_by(wrong.as_bytes()).is_none(), "{wrong}");
        }
        assert!(keys.opened_by(b"Bearer \xff").is_none());
        assert_eq!(format!("{keys:?}"), "[\"key\"]");
        assert!(Keys::one(" ").is_empty());
    }

    fn read(file: fn(PathBuf) -> KeyFile, text: &str) -> Result<(Keys, Option<String>), Failure> {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("keys");
        std::fs::write(&path, text).expect("writable");
        file(path).read()
    }

    #[test]
    fn a_file_holds_one_key_however_it_was_saved() {
        for text in
            ["secret", "secret\n", "\u{feff}secret\r\n", "\n\r\n  secret \r\n\r\n", "\u{feff}\nsecret"]
        {
            let (keys, _) = read(KeyFile::One, text).expect(text);
            assert!(keys.opened_by(b"Bearer secret").is_some(), "{text:?}");
        }
        for text in ["", "\u{feff}\r\n \n", "one\ntwo\n", "a\0b"] {
            assert_eq!(read(KeyFile::One, text).expect_err(text).exit, Exit::Usage, "{text:?}");
        }
    }

    #[test]
    fn a_file_of_named_keys_says_whose_they_are() {
        let text = format!("# who may ask\n\nalice = {SE_CRET}\r\nlab-2=a=b c\n");
        let (keys, _) = read(KeyFile::Named, &text).expect("two keys");
        assert_eq!(keys.len(), 2);
        assert_eq!(keys.opened_by(b"Bearer se:cret").as_deref(), Some("alice"));
        assert_eq!(keys.opened_by(b"Bearer a=b c").as_deref(), Some("lab-2"));
        assert!(keys.opened_by(format!("Bearer {SE_CRET}").as_bytes()).is_none(), "the digest is not a key");
    }

    #[test]
    fn a_file_of_named_keys_that_could_be_misread_is_refused_with_the_line() {
        for (text, expected) in [
            ("", "holds no key"),
            ("# only\n", "holds no key"),
            ("secret\n", "line 1: it is not `NAME = KEY`"),
            ("a = x\n\nb =\n", "line 3: the key is empty"),
            ("a = x\na = y\n", "line 2: the name a appears twice"),
            ("a = x\nb = x\n", "line 2: b has the key of a"),
            (&format!("a = se:cret\nb = {SE_CRET}"), "line 2: b has the key of a"),
            ("a = sha256:12\n", "64 hexadecimal digits"),
            (&format!("a = {}g", &SE_CRET[..70]), "64 hexadecimal digits"),
            ("a b = x\n", "a name has"),
            (" = x\n", "a name has"),
            ("a = x\u{1}y\n", "control characters"),
        ] {
            let failure = read(KeyFile::Named, text).expect_err(text);
            assert!(failure.message.contains(expected) && failure.exit == Exit::Usage, "{failure}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn keys_that_everybody_can_read_are_warned_of() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("keys");
        let warned = |text: &str, mode: u32| {
            std::fs::write(&path, text).expect("writable");
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).expect("ours");
            KeyFile::Named(path.clone()).read().expect("keys").1.is_some()
        };
        assert!(warned("a = x\n", 0o644) && !warned("a = x\n", 0o640));
        assert!(!warned(&format!("a = {SE_CRET}\n"), 0o644), "a digest opens nothing");
    }
}

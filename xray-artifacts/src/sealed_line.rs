//! Lines of JSON that bear a hash each, for files that grow: `{"step":3,"blake3":"0123456789abcdef"}`. The hash is the
//! beginning of that of the line without it.

use crate::checksum;

const LEAD: &str = ",\"blake3\":\"";
const TAIL: &str = "\"}";
const DIGITS: usize = 16;

/// What a line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SealedLine {
    /// As it was written.
    Whole,
    /// Of a version before lines bore a hash, or cut off, or no such line at all.
    Unsealed,
    /// Something else than what was written.
    Damaged,
}

/// An object on a line, with its hash as the last of its members.
///
/// # Panics
/// If `object` is not a JSON object with a member.
pub fn sealed_line(object: &str) -> String {
    let open = object.strip_suffix('}').filter(|open| open.len() > 1).expect("an object with a member");
    format!("{open}{LEAD}{}{TAIL}", &checksum(object.as_bytes())[..DIGITS])
}

/// Looks at a line, with or without its end.
pub fn line_seal(line: &[u8]) -> SealedLine {
    let line = line.trim_ascii_end();
    let split = line.len().checked_sub(LEAD.len() + DIGITS + TAIL.len());
    let Some((open, seal)) = split.map(|at| line.split_at(at)) else { return SealedLine::Unsealed };
    let digits = seal.strip_prefix(LEAD.as_bytes()).and_then(|rest| rest.strip_suffix(TAIL.as_bytes()));
    let Some(digits) = digits else { return SealedLine::Unsealed };
    let hash = checksum(&[open, b"}"].concat());
    if &hash.as_bytes()[..DIGITS] == digits { SealedLine::Whole } else { SealedLine::Damaged }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flipped_bit_of_the_content_is_seen() {
        let object = r#"{"event":"step","step":3,"loss":0.69}"#;
        let line = sealed_line(object);
        serde_json::from_str::<serde_json::Value>(&line).expect("JSON still");
        assert_eq!(line_seal(format!("{line}\n").as_bytes()), SealedLine::Whole);
        assert_eq!(line_seal(object.as_bytes()), SealedLine::Unsealed);
        for at in 0..line.len() {
            for bit in 0..8 {
                let mut damaged = line.clone().into_bytes();
                damaged[at] ^= 1 << bit;
                let found = line_seal(&damaged);
                let is_content = at < object.len() - 1;
                assert!(found == SealedLine::Damaged || !is_content && found == SealedLine::Unsealed, "{at}");
            }
            let cut = line_seal(&line.as_bytes()[..at]);
            assert_ne!(cut, SealedLine::Whole, "{at}");
        }
    }
}

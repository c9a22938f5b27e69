//! Safetensors files that bear a hash of themselves. The first words of the header are
//! `{"__metadata__":{"blake3":"…"`; the hash is that of the whole file with 64 zeros in its place. Other programs read
//! such files as any other. Keys stand in their order, so equal tensors make equal files.

use crate::{FileError, NewFile};
use safetensors::tensor::{TensorView, serialize};
use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;

const LEAD: &str = r#"{"__metadata__":{"blake3":""#;
const ZEROS: &str = "0000000000000000000000000000000000000000000000000000000000000000";
/// Of the header's length, which comes before it.
const LENGTH: usize = 8;
const START: usize = LENGTH + LEAD.len();
const END: usize = START + ZEROS.len();

/// Writes a safetensors file with such words in its header; returns its hash, in hexadecimal.
///
/// # Errors
/// What the system refuses; the old file is then as it was.
///
/// # Panics
/// If two tensors have one name.
pub fn write_tensors(
    path: &Path,
    views: Vec<(String, TensorView<'_>)>,
    words: &[(&str, String)],
) -> Result<String, FileError> {
    let io = |source| FileError::Io { path: path.to_owned(), action: "write", source };
    let plain = serialize(views, None).expect("views of their own bytes, and distinct names");
    let (length, rest) = plain.split_at(LENGTH);
    let length = u64::from_le_bytes(length.try_into().expect("eight bytes"));
    let (header, data) = rest.split_at(length as usize);
    let head = head(header, words);

    let mut hasher = blake3::Hasher::new();
    hasher.update(&head).update(data);
    let hash = hasher.finalize().to_hex();
    let mut file = NewFile::create(path)?;
    for part in [&head[..START], hash.as_bytes(), &head[END..], data] {
        file.write_all(part).map_err(io)?;
    }
    file.finish()?;
    Ok(hash.to_string())
}

/// Length and header, with zeros for the hash; a multiple of eight bytes, as before.
fn head(header: &[u8], words: &[(&str, String)]) -> Vec<u8> {
    let words: BTreeMap<&str, &str> = words.iter().map(|(key, value)| (*key, value.as_str())).collect();
    let mut text = format!("{LEAD}{ZEROS}\"");
    for (key, value) in words {
        let text_of = |text: &str| serde_json::Value::from(text).to_string();
        text += &format!(",{}:{}", text_of(key), text_of(value));
    }
    text.push('}');
    let tensors = std::str::from_utf8(header).expect("JSON").trim_end().strip_prefix('{').expect("an object");
    if tensors != "}" {
        text.push(',');
    }
    text += tensors;
    text.extend(std::iter::repeat_n(' ', text.len().next_multiple_of(8) - text.len()));
    let mut head = (text.len() as u64).to_le_bytes().to_vec();
    head.extend(text.into_bytes());
    head
}

/// The hash that a file bears, if it is right; none where it bears none.
///
/// # Errors
/// [`FileError::Seal`] where it differs from the bytes; `kind` says what the file should be.
pub fn check_tensors(path: &Path, bytes: &[u8], kind: &'static str) -> Result<Option<String>, FileError> {
    if bytes.get(LENGTH..START) != Some(LEAD.as_bytes()) {
        return Ok(None);
    }
    let found = bytes.get(START..END).unwrap_or_default();
    let mut hasher = blake3::Hasher::new();
    hasher.update(&bytes[..START]).update(ZEROS.as_bytes()).update(bytes.get(END..).unwrap_or_default());
    let hash = hasher.finalize().to_hex();
    if hash.as_bytes() != found {
        return Err(FileError::Seal { path: path.to_owned(), kind });
    }
    Ok(Some(hash.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use safetensors::tensor::{Dtype, SafeTensors};

    fn write(path: &Path, words: &[(&str, String)]) -> (Vec<u8>, String) {
        let bytes: Vec<u8> = (0..24).collect();
        let views = ["b", "a"].map(|name| {
            (name.to_owned(), TensorView::new(Dtype::F32, vec![3, 2], &bytes).expect("24 bytes"))
        });
        let hash = write_tensors(path, views.into(), words).expect("a writable folder");
        (std::fs::read(path).expect("just written"), hash)
    }

    #[test]
    fn others_read_it_and_words_come_back() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let path = dir.path().join("weights.safetensors");
        let words = [("step", "7".to_owned()), ("format", "a \"b\"\n".to_owned())];
        let (bytes, hash) = write(&path, &words);
        let (length, header) = SafeTensors::read_metadata(&bytes).expect("a header");
        assert_eq!(length % 8, 0);
        let found = header.metadata().clone().expect("words");
        assert_eq!((&found["step"][..], &found["format"][..], &found["blake3"]), ("7", "a \"b\"\n", &hash));
        let file = SafeTensors::deserialize(&bytes).expect("whole");
        assert_eq!(file.tensor("a").expect("there").shape(), [3, 2]);
        assert_eq!(file.tensor("b").expect("there").data(), (0..24).collect::<Vec<u8>>());
        assert_eq!(check_tensors(&path, &bytes, "weights").expect("as written"), Some(hash));
        assert_eq!(write(&path, &words).0, bytes, "the same again");

        write_tensors(&path, Vec::new(), &[]).expect("a writable folder");
        let empty = std::fs::read(&path).expect("just written");
        assert!(SafeTensors::deserialize(&empty).expect("whole").is_empty());
        assert!(check_tensors(&path, &empty, "weights").expect("as written").is_some());
    }

    #[test]
    fn every_bit_counts() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let path = dir.path().join("weights.safetensors");
        let (bytes, _) = write(&path, &[("format", "pt".to_owned())]);
        for at in 0..bytes.len() {
            for bit in 0..8 {
                let mut damaged = bytes.clone();
                damaged[at] ^= 1 << bit;
                match check_tensors(&path, &damaged, "weights") {
                    // Without the mark it is a file that bears no hash: whoever wrote one asks for it.
                    Ok(found) => assert!(found.is_none() && (LENGTH..START).contains(&at), "byte {at}"),
                    Err(error) => assert!(matches!(error, FileError::Seal { .. }), "{error}"),
                }
            }
        }
        for length in 0..bytes.len() {
            let cut = check_tensors(&path, &bytes[..length], "weights");
            assert!(length < START || cut.is_err(), "{length} bytes");
        }
    }
}

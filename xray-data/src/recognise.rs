//! What a file is that was taken for a table or for records, told by its first bytes: downloads end as pages of an error, or
//! as pointers to what was meant, and files are packed in ways that are not read here.

/// Names it, where it is known.
pub(crate) fn recognise(bytes: &[u8]) -> Option<&'static str> {
    const BEGINNINGS: [(&[u8], &str); 11] = [
        (b"PK\x03\x04", "a zip archive, or an Excel workbook (.xlsx)"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an Excel workbook (.xls)"),
        (b"BZh", "compressed by bzip2"),
        (b"\xfd7zXZ\0", "compressed by xz"),
        (b"\x28\xb5\x2f\xfd", "compressed by zstd"),
        (b"\xff\x06\0\0sNaPpY", "compressed by snappy"),
        (b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
        (b"PAR1", "a Parquet table"),
        (b"ARROW1", "an Arrow table"),
        (b"%PDF", "a PDF document"),
        (b"version https://git-lfs", "a pointer of Git LFS: the file itself was not downloaded"),
    ];
    let known = BEGINNINGS.iter().find(|(beginning, _)| bytes.starts_with(beginning));
    known
        .map(|(_, what)| *what)
        .or_else(|| is_page(bytes).then_some("a web page (HTML)"))
        .or_else(|| utf_16(bytes))
}

fn is_page(bytes: &[u8]) -> bool {
    let text = bytes.trim_ascii_start();
    let begins = |tag: &[u8]| text.get(..tag.len()).is_some_and(|start| start.eq_ignore_ascii_case(tag));
    begins(b"<!doctype html") || begins(b"<html")
}

/// Every other byte of Latin letters is zero.
fn utf_16(bytes: &[u8]) -> Option<&'static str> {
    let (pairs, _) = bytes.get(..16)?.as_chunks::<2>();
    let zeros = |place: usize| pairs.iter().filter(|pair| pair[place] == 0).count();
    let is_one = [0, 1].iter().any(|&place| zeros(place) == pairs.len() && zeros(1 - place) == 0);
    is_one.then_some("UTF-16 text without a byte order mark")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_downloaded_in_place_of_a_file_is_named() {
        let check = |bytes: &[u8], expected: Option<&str>| {
            let found = recognise(bytes);
            assert!(
                found.zip(expected).map_or(found == expected, |(found, part)| found.contains(part)),
                "{found:?} {expected:?}"
            );
        };
        check(b"\n<!DOCTYPE html>\n<html>", Some("web page"));
        check(b"<HTML lang=\"en\">", Some("web page"));
        check(b"version https://git-lfs.github.com/spec/v1\noid sha256:1", Some("Git LFS"));
        check(b"BZh91AY&SY", Some("bzip2"));
        check(b"p\0a\0t\0h\0,\0M\0a\0s\0s\0", Some("UTF-16"));
        check(b"\0p\0a\0t\0h\0,\0M\0a\0s\0s", Some("UTF-16"));
        check(b"path,Mass\na.png,1\n", None);
        check(&[0; 64], None);
        check(b"", None);
    }
}

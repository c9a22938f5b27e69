//! Files in a form (RFC 7578): what browsers and HTTP libraries send as `multipart/form-data`.
//!
//! A form is read after it came as a whole. Its files are parts of it, and nothing is copied.

use crate::problem::Problem;
use axum::http::StatusCode;
use bytes::Bytes;
use memchr::memmem::Finder;

/// A file and what its sender calls it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Upload {
    /// Without folders; empty where nothing is said.
    pub(crate) name: String,
    pub(crate) file: Bytes,
}

/// Bytes of a part's headers, at most.
const HEAD: usize = 8 << 10;

/// Parts of a form, at most: fields that are not files are passed over.
const PARTS: usize = 256;

/// The boundary that a form's content type names (RFC 2046, section 5.1.1).
pub(crate) fn boundary(content_type: &[u8]) -> Result<Vec<u8>, Problem> {
    let parameters = parameters(content_type);
    let mut boundaries =
        parameters.into_iter().filter(|(name, _)| name == b"boundary").map(|(_, value)| value);
    match (boundaries.next(), boundaries.next()) {
        (Some(boundary), None) if (1..=200).contains(&boundary.len()) => Ok(boundary),
        (Some(_), Some(_)) => Err(broken("its content type names two boundaries")),
        _ => Err(broken("its content type names no boundary")),
    }
}

/// The files of a form, `most` of them.
pub(crate) fn files(form: &Bytes, boundary: &[u8], most: usize) -> Result<Vec<Upload>, Problem> {
    let mut files = Vec::new();
    for (number, part) in parts(form, boundary)?.into_iter().enumerate() {
        if number == PARTS {
            return Err(broken("it has too many parts"));
        }
        let Some(upload) = file(form.slice(part))? else { continue };
        if files.len() == most {
            let message = format!("more than {most} images in one request");
            return Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "images", message));
        }
        files.push(upload);
    }
    if files.is_empty() {
        return Err(Problem::new(StatusCode::BAD_REQUEST, "form", "the form holds no file")
            .hint("choose an image, or send it in a field with a file name"));
    }
    Ok(files)
}

fn broken(why: &str) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, "form", format!("the form cannot be read: {why}"))
}

/// A line that begins with `--BOUNDARY`.
struct Delimiter {
    /// Where what came before it ends.
    before: usize,
    /// Where what comes after it begins.
    after: usize,
    is_last: bool,
}

/// Where parts lie, headers and content.
fn parts(form: &[u8], boundary: &[u8]) -> Result<Vec<std::ops::Range<usize>>, Problem> {
    let dashed = [b"--", boundary].concat();
    let dashed = Finder::new(&dashed);
    // What comes before the first delimiter is for nobody.
    let mut from = 0;
    let mut before: Option<Delimiter> = None;
    let mut parts = Vec::new();
    loop {
        let Some(next) = delimiter(form, &dashed, from) else {
            let why =
                if before.is_none() { "it does not contain its boundary" } else { "its end is missing" };
            return Err(broken(why));
        };
        if let Some(before) = before {
            parts.push(before.after..next.before.max(before.after));
        }
        if next.is_last {
            return Ok(parts);
        }
        from = next.after;
        before = Some(next);
        if parts.len() > PARTS {
            return Ok(parts);
        }
    }
}

fn delimiter(form: &[u8], dashed: &Finder<'_>, mut from: usize) -> Option<Delimiter> {
    loop {
        let at = from + dashed.find(&form[from..])?;
        from = at + 1;
        let starts_line = at == 0 || form[at - 1] == b'\n';
        let mut after = at + dashed.needle().len();
        let is_last = form[after..].starts_with(b"--");
        after += if is_last { 2 } else { 0 };
        // Blanks may follow, then the line ends; after the last one the form may end.
        after += form[after..].iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
        let line_end = match &form[after..] {
            [b'\r', b'\n', ..] => 2,
            [b'\n', ..] => 1,
            _ if is_last => 0,
            _ => continue,
        };
        if !starts_line {
            continue;
        }
        // The line end before it belongs to it.
        let before = form[..at].strip_suffix(b"\r\n").or_else(|| form[..at].strip_suffix(b"\n"));
        return Some(Delimiter { before: before.map_or(at, <[u8]>::len), after: after + line_end, is_last });
    }
}

/// The file of a part; none if it is another field.
fn file(part: Bytes) -> Result<Option<Upload>, Problem> {
    let mut name = None;
    let mut at = 0;
    loop {
        let rest = &part[at..];
        let Some(end) = rest.iter().take(HEAD.saturating_sub(at)).position(|byte| *byte == b'\n') else {
            return Err(broken("a part's headers have no end"));
        };
        at += end + 1;
        let line = rest[..end].strip_suffix(b"\r").unwrap_or(&rest[..end]);
        if line.is_empty() {
            break;
        }
        let Some(colon) = line.iter().position(|byte| *byte == b':') else {
            return Err(broken("a part's header is not `Name: value`"));
        };
        let value = line[colon + 1..].trim_ascii();
        match line[..colon].trim_ascii().to_ascii_lowercase().as_slice() {
            b"content-disposition" => name = file_name(value),
            b"content-type" if value.to_ascii_lowercase().starts_with(b"multipart/") => {
                return Err(
                    broken("a form in a form is not read").hint("send each file in a field of its own")
                );
            }
            b"content-transfer-encoding" if !is_as_it_is(value) => {
                let message = format!(
                    "a file of Content-Transfer-Encoding {:?} is not read here",
                    String::from_utf8_lossy(value)
                );
                return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "encoding", message)
                    .hint("send the file's bytes as they are"));
            }
            _ => {}
        }
    }
    let (Some(name), file) = (name, part.slice(at..)) else { return Ok(None) };
    // What a browser sends for a field in which no file was chosen.
    Ok((!name.is_empty() || !file.is_empty()).then_some(Upload { name, file }))
}

fn is_as_it_is(encoding: &[u8]) -> bool {
    matches!(encoding.to_ascii_lowercase().as_slice(), b"binary" | b"8bit" | b"7bit" | b"")
}

/// The file's name in a `Content-Disposition`; none if it names no file. `filename*` (RFC 8187) is preferred to
/// `filename`, as RFC 6266 has it, though RFC 7578 would have senders leave it.
fn file_name(disposition: &[u8]) -> Option<String> {
    let parameters = parameters(disposition);
    let named = |wanted: &[u8]| parameters.iter().find(|(name, _)| name == wanted).map(|(_, value)| value);
    let extended = named(b"filename*").map(|value| extended(value));
    let plain = || named(b"filename").map(|value| text(value));
    extended.or_else(plain).map(|name| plain_name(&name))
}

/// Parameters behind the first `;`, names in lower case, values without quotes.
fn parameters(value: &[u8]) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut parameters = Vec::new();
    let mut rest = value.iter().position(|byte| *byte == b';').map_or(&[][..], |at| &value[at..]);
    while let Some(after) = rest.strip_prefix(b";") {
        let end = after.iter().position(|byte| matches!(byte, b'=' | b';')).unwrap_or(after.len());
        let name = after[..end].trim_ascii().to_ascii_lowercase();
        rest = &after[end..];
        let Some(after) = rest.strip_prefix(b"=") else { continue };
        let value;
        (value, rest) = match after.trim_ascii_start().strip_prefix(b"\"") {
            Some(quoted) => unquoted(quoted),
            None => {
                let end = after.iter().position(|byte| *byte == b';').unwrap_or(after.len());
                (after[..end].trim_ascii().to_vec(), &after[end..])
            }
        };
        // Whatever stands between a value's end and the next parameter says nothing.
        rest = rest.iter().position(|byte| *byte == b';').map_or(&[], |at| &rest[at..]);
        parameters.push((name, value));
    }
    parameters
}

/// A value up to its closing quote. A backslash stands for itself, as in the paths of old browsers, but before a quote.
fn unquoted(quoted: &[u8]) -> (Vec<u8>, &[u8]) {
    let mut value = Vec::new();
    let mut at = 0;
    while let Some(byte) = quoted.get(at) {
        match (byte, quoted.get(at + 1)) {
            (b'\\', Some(b'"')) => {
                value.push(b'"');
                at += 2;
            }
            (b'"', _) => return (value, &quoted[at + 1..]),
            _ => {
                value.push(*byte);
                at += 1;
            }
        }
    }
    (value, &[])
}

/// Bytes of a name as text: UTF-8, or else Latin-1, of which every byte is a letter.
fn text(bytes: &[u8]) -> String {
    let latin_1 = || bytes.iter().map(|byte| char::from(*byte)).collect();
    std::str::from_utf8(bytes).map_or_else(|_| latin_1(), str::to_owned)
}

/// `CHARSET'LANGUAGE'VALUE`, percent-encoded (RFC 8187); a value that is not so stands for itself.
fn extended(value: &[u8]) -> String {
    let mut pieces = value.splitn(3, |byte| *byte == b'\'');
    let (_charset, _language, Some(encoded)) = (pieces.next(), pieces.next(), pieces.next()) else {
        return text(value);
    };
    let digit = |at: usize| encoded.get(at).and_then(|byte| char::from(*byte).to_digit(16));
    let mut bytes = Vec::new();
    let mut at = 0;
    while at < encoded.len() {
        match (encoded[at], digit(at + 1), digit(at + 2)) {
            (b'%', Some(high), Some(low)) => {
                bytes.push((16 * high + low) as u8);
                at += 3;
            }
            (byte, ..) => {
                bytes.push(byte);
                at += 1;
            }
        }
    }
    text(&bytes)
}

/// A file's name as it may be shown: no folders, no control characters, not endless.
fn plain_name(name: &str) -> String {
    let last = name.rsplit(['/', '\\']).next().unwrap_or_default();
    last.chars().filter(|c| !c.is_control()).take(100).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_nowhere() {
        assert_eq!(plain_name("../../etc/passwd"), "passwd");
        assert_eq!(plain_name("C:\\x\\chest.png"), "chest.png");
        assert_eq!(plain_name("a\r\nb\0.png"), "ab.png");
        assert_eq!(plain_name("/"), "");
        assert_eq!(plain_name(&"ü".repeat(500)).chars().count(), 100);
    }

    #[test]
    fn a_file_is_known_by_its_name_however_it_is_written() {
        let check = |disposition: &[u8], expected: Option<&str>| {
            let text = String::from_utf8_lossy(disposition).into_owned();
            assert_eq!(file_name(disposition).as_deref(), expected, "{text}");
        };
        check(b"form-data; name=\"a\"; filename=\"b.jpg\"", Some("b.jpg"));
        check(b"Form-Data; NAME=a; FileName=b.jpg", Some("b.jpg"));
        check(b"form-data; filename = \"b.jpg\" ; name=a", Some("b.jpg"));
        check("form-data; name=a; filename=\"胸部 é.jpg\"".as_bytes(), Some("胸部 é.jpg"));
        check(b"form-data; name=a; filename=\"r\xf6ntgen.jpg\"", Some("röntgen.jpg"));
        check(b"form-data; name=a; filename*=UTF-8''%E8%83%B8.jpg", Some("胸.jpg"));
        check(b"form-data; name=a; filename*=utf-8'en'a%20b.jpg; filename=c", Some("a b.jpg"));
        check(b"form-data; name=a; filename=c; filename*=iso-8859-1''r%F6.jpg", Some("rö.jpg"));
        check(b"form-data; name=a; filename*=\"UTF-8''%41.jpg\"", Some("A.jpg"));
        check(b"form-data; name=a; filename*=100%.jpg", Some("100%.jpg"));
        check(b"form-data; name=a; filename=\"a\\\"b;c=d.jpg\"", Some("a\"b;c=d.jpg"));
        check(b"form-data; name=a; filename=\"C:\\x\\b.jpg\"", Some("b.jpg"));
        check(b"form-data; name=a; filename=\"\"", Some(""));
        check(b"form-data; name=\"filename=x\"", None);
        check(b"form-data; name=a; myfilename=x", None);
        check(b"form-data", None);
        check(b"", None);
        check(b"form-data; filename=\"never closed", Some("never closed"));
    }

    fn read(form: &str, boundary: &str) -> Result<Vec<(String, String)>, String> {
        let files = files(&Bytes::copy_from_slice(form.as_bytes()), boundary.as_bytes(), 3);
        let text = |upload: Upload| (upload.name, String::from_utf8_lossy(&upload.file).into_owned());
        files.map(|files| files.into_iter().map(text).collect()).map_err(|problem| problem.message)
    }

    const HEAD_OF_A: &str = "Content-Disposition: form-data; name=x; filename=a\r\n\r\n";

    #[test]
    fn forms_are_read_as_they_come() {
        let check = |form: &str, expected: &[(&str, &str)]| {
            let expected: Vec<_> = expected.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect();
            assert_eq!(read(form, "XX").as_ref(), Ok(&expected), "{form:?}");
        };
        check(&format!("--XX\r\n{HEAD_OF_A}one\r\n--XX--\r\n"), &[("a", "one")]);
        check(&format!("--XX\r\n{HEAD_OF_A}one\r\n--XX--"), &[("a", "one")]);
        check(&format!("words\r\n--XX  \r\n{HEAD_OF_A}one\r\n--XX--\t\r\nwords"), &[("a", "one")]);
        check(&format!("\r\n--XX\r\n{HEAD_OF_A}\r\n--XX--"), &[("a", "")]);
        check(&format!("--XX\n{}one\n--XX--\n", HEAD_OF_A.replace('\r', "")), &[("a", "one")]);
        let field = "--XX\r\nContent-Disposition: form-data; name=note\r\n\r\nhello\r\n";
        let two = format!("{field}--XX\r\n{HEAD_OF_A}1\r\n{field}--XX\r\n{HEAD_OF_A}2\r\n--XX--");
        check(&two, &[("a", "1"), ("a", "2")]);
        // The boundary in the midst of a line or a longer one is content.
        let content = "x--XX\r\n--XXL\r\n--X\r\r\n";
        check(&format!("--XX\r\n{HEAD_OF_A}{content}\r\n--XX--"), &[("a", content)]);
        // A field in which no file was chosen.
        let none = "--XX\r\nContent-Disposition: form-data; name=x; filename=\"\"\r\n\r\n\r\n";
        check(&format!("{none}--XX\r\n{HEAD_OF_A}1\r\n--XX--"), &[("a", "1")]);
    }

    #[test]
    fn forms_that_cannot_be_read_say_why() {
        let check = |form: &str, expected: &str| {
            let said = read(form, "XX").expect_err(form);
            assert!(said.contains(expected), "{said}");
        };
        check("", "does not contain its boundary");
        check("no form at all", "does not contain its boundary");
        check(&format!("--XX\r\n{HEAD_OF_A}one"), "end is missing");
        check("--XX--", "holds no file");
        check("--XX\r\nContent-Disposition: form-data; filename=a\r\n--XX--", "headers have no end");
        check("--XX\r\nno header\r\n\r\n\r\n--XX--", "not `Name: value`");
        check("--XX\r\nContent-Type: Multipart/mixed; boundary=Y\r\n\r\n\r\n--XX--", "a form in a form");
        let base64 = format!("--XX\r\nContent-Transfer-Encoding: base64\r\n{HEAD_OF_A}eA==\r\n--XX--");
        check(&base64, "Content-Transfer-Encoding \"base64\"");
        let many = format!("--XX\r\n{HEAD_OF_A}1\r\n").repeat(4) + "--XX--";
        check(&many, "more than 3 images");
        check(&("--XX\r\n\r\n\r\n".repeat(1000) + "--XX--"), "too many parts");
        check(&format!("--XX\r\nA: {}\r\n\r\n\r\n--XX--", "a".repeat(9000)), "headers have no end");
    }

    #[test]
    fn boundaries_may_be_quoted() {
        let check = |content_type: &str, expected: &str| {
            assert_eq!(boundary(content_type.as_bytes()), Ok(expected.as_bytes().to_vec()), "{content_type}");
        };
        check("multipart/form-data; boundary=XX", "XX");
        check("multipart/form-data; charset=utf-8; Boundary=\"a b:(c)\"; x", "a b:(c)");
        for none in [
            "multipart/form-data",
            "multipart/form-data; boundary=",
            "multipart/form-data; boundary=a; boundary=b",
        ] {
            assert!(boundary(none.as_bytes()).is_err(), "{none}");
        }
    }
}

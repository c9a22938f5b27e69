//! Answers of a server, read as strictly as they must be written (RFC 9112).

use std::io::{self, BufRead, Read};

/// One answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
    /// Whether it is the last one of its connection.
    pub(crate) closes: bool,
}

/// What is longer is not a head.
const LONGEST_LINE: u64 = 1 << 16;

/// The next answer; none where the server closed the connection before one. To HEAD there is no body, whatever length
/// is named.
///
/// # Errors
/// Where it breaks off, or is not an answer (`InvalidData`).
pub(crate) fn read(stream: &mut impl BufRead, may_be_to_head: bool) -> io::Result<Option<Answer>> {
    let Some(status_line) = line(stream)? else { return Ok(None) };
    let status = status_line.strip_prefix("HTTP/1.1 ").or(status_line.strip_prefix("HTTP/1.0 "));
    let status =
        status.and_then(|rest| rest.get(..3)?.parse().ok()).filter(|status| (100..600).contains(status));
    let status = status.ok_or_else(|| invalid(&format!("no status line: {status_line:?}")))?;
    let (mut length, mut chunked, mut closes) = (None, false, false);
    loop {
        let header = line(stream)?.ok_or_else(cut)?;
        if header.is_empty() {
            break;
        }
        let (name, value) =
            header.split_once(':').ok_or_else(|| invalid(&format!("no header: {header:?}")))?;
        let value = value.trim();
        match name.to_ascii_lowercase().as_str() {
            "content-length" => {
                length = Some(value.parse::<usize>().map_err(|_| invalid("no length"))?);
            }
            "transfer-encoding" => chunked = value.eq_ignore_ascii_case("chunked"),
            "connection" => closes = value.eq_ignore_ascii_case("close"),
            _ => {}
        }
    }
    let without_body = status < 200 || status == 204 || status == 304;
    let body = match length {
        _ if without_body => Vec::new(),
        _ if may_be_to_head && another_follows(stream)? => Vec::new(),
        _ if chunked => chunks(stream)?,
        Some(length) => exactly(stream, length)?,
        None => {
            let mut rest = Vec::new();
            stream.read_to_end(&mut rest)?;
            closes = true;
            rest
        }
    };
    Ok(Some(Answer { status, body, closes }))
}

/// Whether there is no body here.
fn another_follows(stream: &mut impl BufRead) -> io::Result<bool> {
    let coming = stream.fill_buf()?;
    Ok(coming.is_empty() || coming.starts_with(b"HTTP/1."))
}

fn line(stream: &mut impl BufRead) -> io::Result<Option<String>> {
    let mut line = Vec::new();
    stream.take(LONGEST_LINE).read_until(b'\n', &mut line)?;
    if line.is_empty() {
        return Ok(None);
    }
    let line = line.strip_suffix(b"\r\n").ok_or_else(cut)?;
    String::from_utf8(line.to_vec()).map(Some).map_err(|_| invalid("a head that is not text"))
}

fn chunks(stream: &mut impl BufRead) -> io::Result<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let size = line(stream)?.ok_or_else(cut)?;
        let size = usize::from_str_radix(&size, 16).map_err(|_| invalid("no chunk size"))?;
        body.extend(exactly(stream, size)?);
        if !line(stream)?.ok_or_else(cut)?.is_empty() {
            return Err(invalid("a chunk that is longer than it says"));
        }
        if size == 0 {
            return Ok(body);
        }
    }
}

fn exactly(stream: &mut impl BufRead, length: usize) -> io::Result<Vec<u8>> {
    let mut body = Vec::new();
    stream.take(length as u64).read_to_end(&mut body)?;
    if body.len() < length { Err(cut()) } else { Ok(body) }
}

fn cut() -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, "an answer that breaks off")
}

fn invalid(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Result<&[(u16, &str)], &str>) {
        let mut stream = text.as_bytes();
        let all: io::Result<Vec<Answer>> =
            std::iter::from_fn(|| read(&mut stream, text.contains("HEAD")).transpose()).collect();
        let said = all.map(|all| {
            let of = |answer: Answer| (answer.status, String::from_utf8(answer.body).expect("text"));
            all.into_iter().map(of).collect::<Vec<_>>()
        });
        let expected =
            expected.map(|all| all.iter().map(|&(status, body)| (status, body.to_owned())).collect());
        assert_eq!(said.map_err(|error| error.to_string()), expected.map_err(str::to_owned), "{text}");
    }

    #[test]
    fn answers_follow_each_other() {
        let two = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nabHTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n";
        check(two, Ok(&[(200, "ab"), (404, "")]));
        check(
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n",
            Ok(&[(200, "ab")]),
        );
        check("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 None\r\n\r\n", Ok(&[(100, ""), (204, "")]));
        check("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nrest", Ok(&[(200, "rest")]));
        check("HTTP/1.1 200 OK\r\nAllow: HEAD\r\nContent-Length: 9\r\n\r\n", Ok(&[(200, "")]));
        check("", Ok(&[]));
    }

    #[test]
    fn what_is_no_answer_is_an_error() {
        check("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab", Err("an answer that breaks off"));
        check("HTTP/1.1 200 OK\r\nContent-Le", Err("an answer that breaks off"));
        check("thread panicked\r\n", Err("no status line: \"thread panicked\""));
        check(
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n",
            Err("a chunk that is longer than it says"),
        );
    }
}

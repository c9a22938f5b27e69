//! `xray-serve check-health`: whether a server answers, for a container that holds no other program which could ask.

use std::io::{Error, ErrorKind, Read, Result, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;
use xray_artifacts::{Exit, Failure};

/// How long each step may take.
const PATIENCE: Duration = Duration::from_secs(3);

/// Bytes of an answer's first line, at most.
const LINE: u64 = 256;

/// Asks for an address.
///
/// # Errors
/// If it is none, nobody answers, or the answer is not 200.
pub(crate) fn check(url: &str) -> std::result::Result<String, Failure> {
    let refused = || {
        Failure::new(Exit::Usage, format!("{url:?} is not an address such as http://127.0.0.1:8080/ready"))
            .hint("only http:// works here: use the server's own address, not the proxy's")
    };
    let rest = url.strip_prefix("http://").ok_or_else(refused)?;
    let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    if host.is_empty() || !url.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(refused());
    }
    let path = if path.is_empty() { "/" } else { path };
    let line = ask(host, path)
        .map_err(|error| Failure::new(Exit::Unexpected, format!("{url} does not answer: {error}")))?;
    match line.split(' ').nth(1) {
        Some("200") => Ok(format!("{url} answers\n")),
        _ => Err(Failure::new(Exit::Unexpected, format!("{url} answers {}", line.trim_end()))),
    }
}

/// The first line of the answer.
fn ask(host: &str, path: &str) -> Result<String> {
    let with_port = if host.rsplit(']').next().is_some_and(|rest| rest.contains(':')) {
        host.to_owned()
    } else {
        format!("{host}:80")
    };
    let mut last = Error::new(ErrorKind::NotFound, "the name has no address");
    for address in with_port.to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, PATIENCE) {
            Ok(mut stream) => {
                stream.set_read_timeout(Some(PATIENCE))?;
                stream.set_write_timeout(Some(PATIENCE))?;
                let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
                stream.write_all(request.as_bytes())?;
                let mut begin = Vec::new();
                stream.take(LINE).read_to_end(&mut begin)?;
                let text = String::from_utf8_lossy(&begin);
                return Ok(text.lines().next().unwrap_or_default().to_owned());
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}

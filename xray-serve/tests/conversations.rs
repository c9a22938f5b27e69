//! Bytes sent to the server's socket, and what comes back: heads that two servers could read in two ways, and ordinary
//! requests in every shape that clients give them.

mod bundle;
mod running;

use bundle::{jpeg, noise};
use running::Running;
use std::io::{Read, Write};
use std::net::Shutdown;
use std::time::Duration;
use xray_image::encode_png;
use xray_serve::settings::Settings;

/// Whether the client closes its side when all is sent.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Then {
    Waits,
    Closes,
}

/// What came back: statuses, whether the connection was closed, and all of the text.
struct Said {
    statuses: Vec<u16>,
    closed: bool,
    text: String,
}

fn talk(server: &Running, request: &[u8], then: Then) -> Said {
    let mut stream = server.connect();
    // What is refused early may be refused before all is sent.
    let _ = stream.write_all(request);
    if then == Then::Closes {
        stream.shutdown(Shutdown::Write).expect("a socket");
    }
    let mut bytes = Vec::new();
    let mut piece = [0; 64 << 10];
    let mut patience = Duration::from_secs(20);
    let closed = loop {
        stream.set_read_timeout(Some(patience)).expect("a socket");
        match stream.read(&mut piece) {
            Ok(0) => break true,
            Ok(length) => bytes.extend(&piece[..length]),
            Err(error) => break error.kind() != std::io::ErrorKind::WouldBlock,
        }
        if bytes.windows(4).any(|end| end == b"\r\n\r\n") {
            // After an answer, the end or the next answer comes soon or not at all.
            patience = Duration::from_millis(500);
        }
    };
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let status = |at: usize| text[at..].split(' ').nth(1)?.parse().ok();
    let statuses = text.match_indices("HTTP/1.").filter_map(|(at, _)| status(at)).collect();
    Said { statuses, closed, text }
}

fn head(lines: &str) -> Vec<u8> {
    format!("GET /health HTTP/1.1\r\n{lines}\r\n").into_bytes()
}

fn post(lines: &str, body: &[u8]) -> Vec<u8> {
    let head = format!("POST /v1/predict HTTP/1.1\r\nHost: x\r\nContent-Type: image/jpeg\r\n{lines}\r\n");
    [head.as_bytes(), body].concat()
}

fn chunked(body: &[u8]) -> Vec<u8> {
    let mut chunks = Vec::new();
    for piece in body.chunks(1000) {
        chunks.extend(format!("{:x}\r\n", piece.len()).bytes());
        chunks.extend(piece);
        chunks.extend(b"\r\n");
    }
    chunks.extend(b"0\r\n\r\n");
    chunks
}

const SMUGGLED: &[u8] = b"GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n";

#[test]
fn a_head_of_two_readings_is_refused_and_ends_the_connection() {
    let server = Running::with(Settings::default());
    let with = |lines: &str, body: &[u8]| [post(lines, body), SMUGGLED.to_vec()].concat();
    let cases: Vec<(&str, Vec<u8>, u16)> = vec![
        ("length and coding", with("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", b"0\r\n\r\n"), 400),
        ("coding and length", with("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", b"0\r\n\r\n"), 400),
        ("two lengths", with("Content-Length: 5\r\nContent-Length: 0\r\n", b"12345"), 400),
        ("the same length twice", with("Content-Length: 5\r\nContent-Length: 5\r\n", b"12345"), 400),
        ("a list of lengths", with("Content-Length: 5, 5\r\n", b"12345"), 400),
        ("a length with a sign", with("Content-Length: +5\r\n", b"12345"), 400),
        ("a length below zero", with("Content-Length: -1\r\n", b""), 400),
        ("a hexadecimal length", with("Content-Length: 0x5\r\n", b"12345"), 400),
        ("no length in a length", with("Content-Length: \r\n", b""), 400),
        ("a length of 2^64", with("Content-Length: 18446744073709551616\r\n", b""), 400),
        ("a length of 2^64 - 1", with("Content-Length: 18446744073709551615\r\n", b""), 400),
        ("an unknown coding", with("Transfer-Encoding: xchunked\r\n", b""), 501),
        ("gzip as a coding", with("Transfer-Encoding: gzip, chunked\r\n", b"0\r\n\r\n"), 501),
        ("identity as a coding", with("Transfer-Encoding: identity\r\n", b""), 501),
        ("chunked is not last", with("Transfer-Encoding: chunked, identity\r\n", b"0\r\n\r\n"), 501),
        ("chunked twice", with("Transfer-Encoding: chunked, chunked\r\n", b"0\r\n\r\n"), 400),
        ("two lines of codings", with("Transfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n", b""), 400),
        ("a quoted coding", with("Transfer-Encoding: \"chunked\"\r\n", b"0\r\n\r\n"), 400),
        ("a control character in a coding", with("Transfer-Encoding: chunked\x0b\r\n", b"0\r\n\r\n"), 400),
        ("a blank before the colon", with("Transfer-Encoding : chunked\r\n", b"0\r\n\r\n"), 400),
        (
            "a coding in HTTP/1.0",
            b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n".to_vec(),
            400,
        ),
        ("a folded line", head("Host: x\r\nX-A: a\r\n b\r\n"), 400),
        ("a folded length", with("Content-Length:\r\n 5\r\n", b"12345"), 400),
        ("lines that end with LF", b"GET /health HTTP/1.1\nHost: x\n\n".to_vec(), 400),
        ("one line that ends with LF", head("Host: x\nX: y\r\n"), 400),
        ("CR in a line", head("Host: x\r\nX: a\rb\r\n"), 400),
        ("NUL in a line", head("Host: x\r\nX: a\0b\r\n"), 400),
        ("a line without a colon", head("Host: x\r\nX\r\n"), 400),
        ("a line without a name", head("Host: x\r\n: y\r\n"), 400),
        ("101 headers", head(&("Host: x\r\n".to_owned() + &"X: y\r\n".repeat(100))), 431),
        ("a header of 64 kB", head(&format!("Host: x\r\nX: {}\r\n", "a".repeat(65536))), 431),
        (
            "an address of 9 kB",
            format!("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", "a".repeat(9000)).into_bytes(),
            414,
        ),
        (
            "an address of 70 kB",
            format!("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", "a".repeat(70_000)).into_bytes(),
            431,
        ),
        ("no Host", head(""), 400),
        ("two Hosts", head("Host: x\r\nHost: x\r\n"), 400),
        ("an empty Host", head("Host:\r\n"), 400),
        ("a Host with a path", head("Host: a b/c\r\n"), 400),
        ("a Host with two ports", head("Host: x:80:80\r\n"), 400),
        ("a Host with a user", head("Host: u@x\r\n"), 400),
        ("no version", b"GET /health\r\n\r\n".to_vec(), 400),
        ("HTTP/2.0", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(), 505),
        ("HTTP/1.2", b"GET /health HTTP/1.2\r\nHost: x\r\n\r\n".to_vec(), 505),
        ("TLS", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec(), 400),
        ("no address", b"GET http://[::1/health HTTP/1.1\r\nHost: x\r\n\r\n".to_vec(), 400),
        ("no path", b"GET ? HTTP/1.1\r\nHost: x\r\n\r\n".to_vec(), 400),
        ("bytes that are no text", b"GET /\xff HTTP/1.1\r\nHost: x\r\n\r\n".to_vec(), 400),
        ("a bracket in a path", b"GET /<script> HTTP/1.1\r\nHost: x\r\n\r\n".to_vec(), 400),
        ("a bracket as address", b"GET [ HTTP/1.1\r\nHost: x\r\n\r\n".to_vec(), 400),
        ("two blanks", b"GET  /health HTTP/1.1\r\nHost: x\r\n\r\n".to_vec(), 400),
        ("a method with a bracket", b"G(T /health HTTP/1.1\r\nHost: x\r\n\r\n".to_vec(), 400),
        ("an address with a control character", b"GET /\x01 HTTP/1.1\r\nHost: x\r\n\r\n".to_vec(), 400),
    ];
    for (name, request, status) in cases {
        let said = talk(&server, &request, Then::Waits);
        assert_eq!(said.statuses, [status], "{name}: {}", said.text);
        assert!(said.closed, "{name}: the connection stays open");
        assert!(said.text.contains("\"code\":\"http\""), "{name}: {}", said.text);
        let id = said.text.split("x-request-id: ").nth(1).and_then(|rest| rest.split("\r\n").next());
        let id = id.unwrap_or_else(|| panic!("{name}: {}", said.text));
        assert!(said.text.contains(&format!("\"request_id\":\"{id}\"")), "{name}: {}", said.text);
    }
}

#[test]
fn a_refused_head_behind_a_good_request_is_refused_too() {
    let server = Running::with(Settings::default());
    let good = post(&format!("Content-Length: {}\r\n", jpeg(1).len()), &jpeg(1));
    let bad = post("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", b"0\r\n\r\n");
    let said = talk(&server, &[good.clone(), good, bad, SMUGGLED.to_vec()].concat(), Then::Waits);
    assert_eq!(said.statuses, [200, 200, 400], "{}", said.text);
    assert!(said.closed);
}

/// A request, what its client does then, the statuses that it gets, and whether the connection ends.
type Ordinary = (&'static str, Vec<u8>, Then, Vec<u16>, bool);

#[test]
fn ordinary_requests_are_answered_however_they_are_written() {
    let server = Running::with(Settings::default());
    let image = jpeg(1);
    let length = format!("Content-Length: {}\r\n", image.len());
    let good = post(&length, &image);
    let health = head("Host: x\r\n");
    let cases: Vec<Ordinary> = vec![
        ("a file", good.clone(), Then::Waits, vec![200], false),
        ("a file, and the client closes its side", good.clone(), Then::Closes, vec![200], true),
        ("chunks", post("Transfer-Encoding: chunked\r\n", &chunked(&image)), Then::Waits, vec![200], false),
        (
            "chunks, half closed",
            post("Transfer-Encoding: chunked\r\n", &chunked(&image)),
            Then::Closes,
            vec![200],
            true,
        ),
        (
            "chunks in capitals",
            post("TRANSFER-ENCODING: Chunked\r\n", &chunked(&image)),
            Then::Waits,
            vec![200],
            false,
        ),
        ("half of a file", good[..good.len() - 9].to_vec(), Then::Closes, vec![400], true),
        ("half of a head", b"GET /health HTTP/1.1\r\nHos".to_vec(), Then::Closes, vec![], true),
        ("nothing", vec![], Then::Closes, vec![], true),
        ("empty lines first", [b"\r\n\r\n".to_vec(), health.clone()].concat(), Then::Waits, vec![200], false),
        ("HTTP/1.0", b"GET /health HTTP/1.0\r\n\r\n".to_vec(), Then::Waits, vec![200], true),
        (
            "a whole address",
            b"GET http://x/health HTTP/1.1\r\nHost: x\r\n\r\n".to_vec(),
            Then::Waits,
            vec![200],
            false,
        ),
        (
            "a request after another",
            [health.clone(), good.clone(), health.clone()].concat(),
            Then::Waits,
            vec![200; 3],
            false,
        ),
        ("20 at once, half closed", health.repeat(20), Then::Closes, vec![200; 20], true),
        (
            "a request behind chunks",
            [post("Transfer-Encoding: chunked\r\n", &chunked(&image)), health].concat(),
            Then::Waits,
            vec![200; 2],
            false,
        ),
        (
            "a header of 14 kB",
            head(&format!("Host: x\r\nX: {}\r\n", "a".repeat(14_000))),
            Then::Waits,
            vec![200],
            false,
        ),
        (
            "99 headers",
            head(&("Host: x\r\n".to_owned() + &"X: y\r\n".repeat(98))),
            Then::Waits,
            vec![200],
            false,
        ),
        ("a port and capitals", head("HOST: EXAMPLE.org:8080\r\n"), Then::Waits, vec![200], false),
        ("an IPv6 host", head("Host: [::1]:8080\r\n"), Then::Waits, vec![200], false),
    ];
    for (name, request, then, statuses, closed) in cases {
        let said = talk(&server, &request, then);
        assert_eq!(
            said.statuses.into_iter().filter(|status| *status != 100).collect::<Vec<_>>(),
            statuses,
            "{name}: {}",
            said.text
        );
        assert_eq!(said.closed, closed, "{name}: {}", said.text);
    }
    // Byte by byte.
    let mut stream = server.connect();
    for byte in good.chunks(1).take(300) {
        stream.write_all(byte).expect("writable");
    }
    stream.write_all(&good[300..]).expect("writable");
    let mut begin = [0; 15];
    stream.read_exact(&mut begin).expect("an answer");
    assert_eq!(&begin, b"HTTP/1.1 200 OK");
}

#[test]
fn an_expectation_is_met_before_the_body_comes() {
    let server = Running::with(Settings::default());
    let image = encode_png(&noise(60, 60));
    let mut stream = server.connect();
    let head = post(&format!("Expect: 100-continue\r\nContent-Length: {}\r\n", image.len()), b"");
    stream.write_all(&head).expect("writable");
    let mut begin = [0; 25];
    stream.read_exact(&mut begin).expect("an answer");
    assert_eq!(&begin, b"HTTP/1.1 100 Continue\r\n\r\n");
    stream.write_all(&image).expect("writable");
    let mut begin = [0; 15];
    stream.read_exact(&mut begin).expect("an answer");
    assert_eq!(&begin, b"HTTP/1.1 200 OK");
}

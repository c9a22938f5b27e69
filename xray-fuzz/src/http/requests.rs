//! Requests to every route, and heads and chunks that lie.

use crate::dicom::PHANTOM;
use crate::server::request;
use std::sync::LazyLock;
use xray_image::{encode_jpeg, encode_png};
use xray_random::Random;

/// What is asked, the bytes, and the status of the answer.
pub(super) type Whole = (&'static str, Vec<u8>, u16);

/// Every route, and every way to send a file.
pub(super) fn whole() -> &'static [Whole] {
    &WHOLE
}

static WHOLE: LazyLock<Vec<Whole>> = LazyLock::new(|| {
    let (jpeg, png) = (encode_jpeg(&PHANTOM, 90), encode_png(&PHANTOM));
    let get = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n").into_bytes();
    let with = |lines: &str, body: &[u8]| {
        let head = format!(
            "POST /v1/predict HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: image/jpeg\r\n{lines}\r\n\r\n"
        );
        [head.as_bytes(), body].concat()
    };
    let form = |parts: &[&[u8]]| {
        let head = "--XX\r\nContent-Disposition: form-data; name=\"image\"; filename=\"a.jpg\"\r\n\r\n";
        let parts: Vec<u8> =
            parts.iter().flat_map(|part| [head.as_bytes(), part, b"\r\n"].concat()).collect();
        [&parts[..], b"--XX--\r\n"].concat()
    };
    let multipart = "multipart/form-data; boundary=XX";
    let chunked: Vec<u8> = jpeg
        .chunks(500)
        .flat_map(|chunk| [format!("{:x}\r\n", chunk.len()).as_bytes(), chunk, b"\r\n"].concat())
        .chain(*b"0\r\n\r\n")
        .collect();
    let length = format!("Content-Length: {}", jpeg.len());
    vec![
        ("page", get("/"), 200),
        ("style", get("/style.css"), 200),
        ("script", get("/page.js"), 200),
        ("information", get("/info"), 200),
        ("description", get("/openapi.json"), 200),
        ("health", get("/health"), 200),
        ("ready", get("/ready"), 200),
        ("metrics", get("/metrics"), 200),
        ("sample", get("/samples/1.jpg"), 200),
        ("nothing", get("/nothing"), 404),
        ("another method", request("/health", "text/plain", b""), 405),
        ("head only", b"HEAD /health HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".to_vec(), 200),
        ("JPEG", request("/v1/predict", "image/jpeg", &jpeg), 200),
        ("PNG", request("/v1/predict", "application/octet-stream", &png), 200),
        ("maps", request("/v1/predict?maps=true", "image/png", &png), 200),
        ("form", request("/v1/predict", multipart, &form(&[&jpeg])), 200),
        ("form of several", request("/v1/predict", multipart, &form(&[&jpeg, &png, b"no image"])), 200),
        ("form to the page", request("/", multipart, &form(&[&png])), 200),
        ("no image", request("/v1/predict", "image/jpeg", b"no image"), 415),
        ("chunks", with("Transfer-Encoding: chunked", &chunked), 200),
        ("closing", with(&format!("{length}\r\nConnection: close"), &jpeg), 200),
        ("text in JSON", request("/v1/predict", "application/json", b"{\"image\": \"R0lGODlh\"}"), 415),
        ("reload", request("/admin/reload", "application/json", b""), 403),
    ]
});

const PATHS: [&str; 18] = [
    "/",
    "//",
    "*",
    "/v1/predict",
    "/v1/predict/",
    "/v1//predict",
    "/V1/predict",
    "/v1/%70redict",
    "/v1%2fpredict",
    "/v1/predict?maps=1",
    "/v1/predict?maps=true&maps=true",
    "/v1/predict?x=%zz",
    "/samples/0.jpg",
    "/samples/%2e%2e%2f",
    "/samples/99999999999999999999.jpg",
    "http://127.0.0.1/health",
    "127.0.0.1:80",
    "/%00",
];
const METHODS: [&str; 10] =
    ["GET", "POST", "HEAD", "OPTIONS", "PUT", "DELETE", "TRACE", "CONNECT", "get", "PRI"];
const VERSIONS: [&str; 8] =
    ["HTTP/1.1", "HTTP/1.0", "HTTP/1.2", "HTTP/2.0", "HTTP/0.9", "HTTP/1.1 x", "", "http/1.1"];
/// Lines that are added to a head. Ones with a length or a coding make two of them.
const LINES: [&str; 49] = [
    "Host: 127.0.0.1",
    "Host: a b/c",
    "Host:",
    "Host: evil.example:99999",
    "Content-Length: 0",
    "Content-Length: 5",
    "Content-Length: -1",
    "Content-Length: +5",
    "Content-Length: 0x10",
    "Content-Length: 5, 5",
    "Content-Length:",
    "Content-Length: 16777217",
    "Content-Length: 99999999999",
    "Content-Length: 18446744073709551615",
    "Content-Length: 18446744073709551616",
    "Transfer-Encoding: chunked",
    "Transfer-Encoding: gzip, chunked",
    "Transfer-Encoding: chunked, chunked",
    "Transfer-Encoding: identity",
    "Transfer-Encoding: xchunked",
    "Transfer-Encoding : chunked",
    "Expect: 100-continue",
    "Expect: 200-ok",
    "Connection: close",
    "Connection: keep-alive",
    "Connection: upgrade\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA",
    "Content-Encoding: gzip",
    "Content-Encoding: deflate, br",
    "Content-Type: multipart/form-data",
    "Content-Type: multipart/form-data; boundary=",
    "Content-Type: multipart/form-data; boundary=XX; boundary=YY",
    "Content-Type: multipart/mixed; boundary=XX",
    "Content-Type: text/plain",
    "Content-Type: \u{FF}",
    "Authorization: Bearer x",
    "Authorization: Basic eDp4",
    "X-Forwarded-For: ::1, 10.0.0.1",
    "Forwarded: for=\"[::1, for=10.0.0.1;;=",
    "X-Forwarded-Prefix: //a",
    "X-Request-Id: {\"a\": 1}",
    "Origin: null\r\nAccess-Control-Request-Method: POST",
    "Content-Type: application/json",
    "Accept: ,,,;q=nan",
    "Range: bytes=0-18446744073709551615",
    "If-None-Match: *",
    "X-A: a\r\n b",
    "X-B",
    ": x",
    "Trailer: Content-Length",
];
const CHUNKS: [&str; 16] = [
    "0\r\n\r\n",
    "5\r\n12345\r\n",
    "5\r\n123456\r\n",
    "-5\r\n12345\r\n",
    "0x5\r\n12345\r\n",
    "5 \r\n12345\r\n",
    "5\n12345\n",
    "ffffffffffffffff\r\n12345\r\n",
    "ffffffffffffffff5\r\n12345\r\n",
    "7fffffffffffffff\r\n",
    "5;a=b;c=\"d\"\r\n12345\r\n",
    "5;\r\n12345\r\n",
    "\r\n",
    "0\r\nContent-Length: 9\r\nX: y\r\n\r\n",
    "5\r\n12345XX",
    "00000000000000000005\r\n12345\r\n",
];

fn any<'a>(of: &[&'a str], random: &mut Random) -> &'a str {
    of[random.below(of.len())]
}

/// A request whose head or body is not what it says, in one to three ways.
pub(super) fn lie(request: &[u8], random: &mut Random) -> Vec<u8> {
    let at = request.windows(4).position(|four| four == b"\r\n\r\n").unwrap_or(0);
    let (head, body) =
        (String::from_utf8_lossy(&request[..at]).into_owned(), request.get(at + 4..).unwrap_or_default());
    let mut lines: Vec<Vec<u8>> = head.split("\r\n").map(|line| line.as_bytes().to_vec()).collect();
    let mut body = body.to_vec();
    for _ in 0..1 + random.below(3) {
        let line = random.below(lines.len());
        match random.below(10) {
            0 => {
                let words = [any(&METHODS, random), any(&PATHS, random), any(&VERSIONS, random)];
                lines[0] = words.join(" ").into_bytes();
            }
            1..=3 => lines.insert((line + 1).min(lines.len()), any(&LINES, random).as_bytes().to_vec()),
            4 if lines.len() > 1 => drop(lines.remove(line)),
            5 => lines.insert(line + 1, [b"X-Long: ", &vec![b'a'; 1 << random.below(19)][..]].concat()),
            6 => {
                let many = (0..1 << random.below(13)).map(|number| format!("X-{number}: y").into_bytes());
                lines.splice(line + 1..line + 1, many);
            }
            7 => {
                lines.push(b"Transfer-Encoding: chunked".to_vec());
                body = (0..1 + random.below(6)).flat_map(|_| any(&CHUNKS, random).bytes()).collect();
            }
            8 => body = body.repeat(random.below(4)),
            _ => {
                let copy = lines[line].clone();
                lines.insert(line, copy);
            }
        }
    }
    // One that grew would come to more than a server takes.
    let end: &[u8] = if random.below(20) == 0 { b"\n\n" } else { b"\r\n\r\n" };
    [&lines.join(&b"\r\n"[..]), end, &body].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::corpus::Kind;

    #[test]
    fn lies_leave_a_request_hardly_ever_as_it_was() {
        let request = &whole()[12].1;
        let changed =
            (0..300).filter(|&number| lie(request, &mut Kind::Http.random(0, number)) != *request).count();
        assert!(changed > 280, "{changed}");
    }
}

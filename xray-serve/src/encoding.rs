//! Bodies that were compressed on their way (RFC 9110, section 8.4).

use crate::problem::Problem;
use axum::http::header::CONTENT_ENCODING;
use axum::http::{HeaderMap, StatusCode};
use bytes::Bytes;
use flate2::bufread::{DeflateDecoder, MultiGzDecoder, ZlibDecoder};
use std::io::Read;
use tokio::task::yield_now;

/// How a body was compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Encoding {
    Plain,
    Gzip,
    Deflate,
}

/// What is undone here, as an answer to others says it.
pub(crate) const ACCEPTED: &str = "gzip, deflate";

/// Bytes that are made before others have their turn.
const PIECE: usize = 256 << 10;

impl Encoding {
    pub(crate) fn of(headers: &HeaderMap) -> Result<Encoding, Problem> {
        let values = headers.get_all(CONTENT_ENCODING).iter();
        let names = values.flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
        let names = names.map(|name| name.trim_ascii().to_ascii_lowercase());
        let names: Vec<_> = names.filter(|name| !matches!(name.as_slice(), b"" | b"identity")).collect();
        match names.iter().map(Vec::as_slice).collect::<Vec<_>>().as_slice() {
            [] => Ok(Encoding::Plain),
            [b"gzip" | b"x-gzip"] => Ok(Encoding::Gzip),
            [b"deflate"] => Ok(Encoding::Deflate),
            _ => {
                let names =
                    names.iter().map(|name| String::from_utf8_lossy(name)).collect::<Vec<_>>().join(", ");
                let message = format!("a body of Content-Encoding {names:?} is not read here");
                Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "encoding", message)
                    .hint("send the file as it is, or with gzip or deflate once"))
            }
        }
    }

    /// The body as it was, if `admits` its length. It is made piece by piece: other requests have their turn between.
    pub(crate) async fn undo(
        self,
        body: Bytes,
        admits: impl Fn(usize) -> Result<(), Problem>,
    ) -> Result<Bytes, Problem> {
        // What calls itself deflate has a header of zlib (RFC 1950), and with some senders none.
        let is_zlib = body.len() > 1
            && body[0] & 0x0F == 8
            && u16::from_be_bytes([body[0], body[1]]).is_multiple_of(31);
        match self {
            Encoding::Plain => Ok(body),
            Encoding::Gzip => inflate(MultiGzDecoder::new(&body[..]), admits).await,
            Encoding::Deflate if is_zlib => inflate(ZlibDecoder::new(&body[..]), admits).await,
            Encoding::Deflate => inflate(DeflateDecoder::new(&body[..]), admits).await,
        }
    }
}

async fn inflate(
    mut source: impl Read,
    admits: impl Fn(usize) -> Result<(), Problem>,
) -> Result<Bytes, Problem> {
    let mut plain = Vec::new();
    loop {
        let read = source.by_ref().take(PIECE as u64).read_to_end(&mut plain).map_err(|error| {
            let message = format!("the body is not what its Content-Encoding says: {error}");
            Problem::new(StatusCode::BAD_REQUEST, "encoding", message)
        })?;
        if read == 0 {
            return Ok(plain.into());
        }
        admits(plain.len())?;
        yield_now().await;
    }
}

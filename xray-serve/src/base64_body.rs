//! An image as text: `{"image": "BASE64"}`, for programs that send nothing but JSON.

use crate::problem::Problem;
use crate::upload::{may_be_image, media_type};
use axum::http::StatusCode;
use base64::alphabet::{STANDARD, URL_SAFE};
use base64::engine::{DecodePaddingMode, Engine, GeneralPurpose, GeneralPurposeConfig};
use bytes::Bytes;
use serde::Deserialize;
use std::borrow::Cow;

/// Nothing else may stand in it: a name that is not read would be a wish that nobody hears.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Body<'a> {
    /// Borrowed where no letter of it is escaped.
    #[serde(borrow)]
    image: Cow<'a, str>,
}

/// Whether `=` stands at the end is all the same.
const LENIENT: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);

/// The image's bytes, if `admits` as many as they may become, which is asked before any is made.
pub(crate) fn image(json: &[u8], admits: impl Fn(usize) -> Result<(), Problem>) -> Result<Bytes, Problem> {
    // Escapes make it no longer than it is in JSON.
    let escaped = if json.contains(&b'\\') { json.len() } else { 0 };
    admits(escaped)?;
    let Body { image } = serde_json::from_slice(json).map_err(|error| unreadable(&error.to_string()))?;
    let text = without_media_type(&image)?;
    admits(escaped + base64::decoded_len_estimate(text.len()))?;
    let alphabet = if text.contains(['-', '_']) { &URL_SAFE } else { &STANDARD };
    let decoded = GeneralPurpose::new(alphabet, LENIENT).decode(text);
    decoded.map(Bytes::from).map_err(|error| unreadable(&format!("the image is not base64: {error}")))
}

/// What stands behind `data:image/png;base64,`, or the text as it is.
fn without_media_type(text: &str) -> Result<&str, Problem> {
    let Some(address) = text.strip_prefix("data:") else { return Ok(text) };
    let Some((media, data)) = address.split_once(',').filter(|(media, _)| media.ends_with(";base64")) else {
        return Err(unreadable("the data: URL is not `data:TYPE;base64,TEXT`"));
    };
    let media = media_type(media.as_bytes());
    if may_be_image(&media) {
        return Ok(data);
    }
    let message = format!("a data: URL of type {:?} is not read here", String::from_utf8_lossy(&media));
    Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "type", message))
}

fn unreadable(why: &str) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, "json", format!("the body cannot be read: {why}"))
        .hint("send {\"image\": \"BASE64\"}, the bytes of one JPEG, PNG or DICOM file")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<Vec<u8>, (u16, String)> {
        let read = image(json.as_bytes(), |_| Ok(()));
        read.map(|bytes| bytes.to_vec()).map_err(|problem| (problem.status, problem.message))
    }

    #[test]
    fn an_image_is_read_however_its_text_is_written() {
        let bytes = b"\xff\xd8\xfb\xf0?".to_vec();
        for text in [
            "/9j78D8=",
            "/9j78D8",
            "_9j78D8",
            "\\/9j78D8=",
            "data:image/jpeg;base64,/9j78D8=",
            "data:;base64,/9j78D8",
        ] {
            assert_eq!(read(&format!("{{\"image\": \"{text}\"}}")), Ok(bytes.clone()), "{text}");
        }
    }

    #[test]
    fn what_is_no_image_in_json_is_said() {
        let check = |json: &str, status: u16, expected: &str| {
            let (found, message) = read(json).expect_err(json);
            assert!(found == status && message.contains(expected), "{json}: {found} {message}");
        };
        check("", 400, "EOF");
        check("[]", 400, "cannot be read");
        check("{}", 400, "missing field `image`");
        check(r#"{"image": 7}"#, 400, "invalid type");
        check(r#"{"image": "", "maps": true}"#, 400, "unknown field `maps`");
        check(r#"{"image": "/9j 8D8="}"#, 400, "offset 3");
        check(r#"{"image": "data:image/jpeg,xx"}"#, 400, "data:TYPE;base64,TEXT");
        check(r#"{"image": "data:text/html;base64,PHA+"}"#, 415, "text/html");
        check(&"[".repeat(1 << 20), 400, "cannot be read");
    }

    #[test]
    fn room_is_asked_for_before_anything_is_decoded() {
        let json = format!("{{\"image\": \"{}\"}}", "A".repeat(4000));
        let refuses = |bytes| if bytes > 2000 { Err(Problem::busy(1)) } else { Ok(()) };
        assert_eq!(image(json.as_bytes(), refuses).map_err(|problem| problem.status), Err(503));
        assert_eq!(image(json.as_bytes(), |_| Ok(())).map(|bytes| bytes.len()), Ok(3000));
    }
}

//! The image files in a request: a form with files, a file as the whole body, or one as text in JSON.

use crate::base64_body;
use crate::client::Client;
use crate::encoding::Encoding;
use crate::form::{self, Upload};
use crate::limits::Limits;
use crate::problem::Problem;
use crate::room::{Room, Taken};
use crate::workers::Place;
use axum::body::Body;
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::{HeaderMap, StatusCode};
use bytes::Bytes;
use http_body_util::BodyExt;
use std::time::{Duration, Instant};
use tokio::time::timeout_at;

/// What a request brought, and the room that it takes as long as this lives.
pub(crate) struct Uploads {
    pub(crate) files: Vec<Upload>,
    /// The place in the queue, unless the body was too slow.
    pub(crate) place: Option<Place>,
    _room: Taken,
}

/// How long nothing may come of a body that keeps its place.
const STALL: Duration = Duration::from_millis(50);

/// Reads a request's body to its end and finds the files in it, if there is a `place` for it. A body takes room as it
/// comes, and one that stalls, or takes longer than others wait for a worker, gives its place away: slow clients do not
/// keep a server from quick ones.
pub(crate) async fn read(
    headers: &HeaderMap,
    body: Body,
    client: Client,
    limits: &Limits,
    room: &Room,
    place: impl FnOnce() -> Result<Place, Problem>,
) -> Result<Uploads, Problem> {
    let announced = headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    if announced.is_some_and(|bytes| bytes > limits.body) {
        return Err(too_large(limits));
    }
    let (kind, encoding) = (Kind::of(headers)?, Encoding::of(headers)?);
    let begin = Instant::now();
    let mut coming = Coming {
        body,
        whole: Vec::new(),
        most: announced.unwrap_or(limits.body),
        room: room.enter(client),
        place: Some(place()?),
        slow: begin + limits.patience.min(limits.upload),
        late: begin + limits.upload,
    };
    while coming.piece(limits).await? {}
    let Coming { whole, room, place, .. } = coming;
    let sent = whole.capacity();
    let admits = |bytes| if bytes > limits.body { Err(too_large(limits)) } else { room.grow(sent + bytes) };
    let whole = encoding.undo(whole.into(), admits).await?;
    let files = match kind {
        Kind::File => vec![Upload { name: String::new(), file: whole }],
        Kind::Form(boundary) => form::files(&whole, &boundary, limits.images)?,
        // Text and image lie in memory together for a moment.
        Kind::Json => {
            let held = if encoding == Encoding::Plain { sent } else { sent + whole.len() };
            let file = base64_body::image(&whole, |bytes| room.grow(held + bytes))?;
            vec![Upload { name: String::new(), file }]
        }
    };
    room.settle();
    Ok(Uploads { files, place, _room: room })
}

/// A body on its way.
struct Coming {
    body: Body,
    /// What came of it.
    whole: Vec<u8>,
    /// Bytes that it may become.
    most: usize,
    room: Taken,
    place: Option<Place>,
    /// When it gives its place away.
    slow: Instant,
    /// When it is waited for no longer.
    late: Instant,
}

impl Coming {
    /// Takes the next piece, which is copied so that its buffer serves the next one; false at the end.
    async fn piece(&mut self, limits: &Limits) -> Result<bool, Problem> {
        let Some(frame) = self.frame(limits).await? else { return Ok(false) };
        let broke_off = |_| Problem::new(StatusCode::BAD_REQUEST, "body", "the body broke off");
        // Trailers say nothing of interest.
        let Ok(piece) = frame.map_err(broke_off)?.into_data() else { return Ok(true) };
        let length = self.whole.len() + piece.len();
        if length > limits.body {
            return Err(too_large(limits));
        }
        if length > self.whole.capacity() {
            let wanted = length.max((2 * self.whole.capacity()).min(self.most));
            self.room.grow(wanted)?;
            self.whole.reserve_exact(wanted - self.whole.len());
        }
        self.whole.extend_from_slice(&piece);
        Ok(true)
    }

    async fn frame(&mut self, limits: &Limits) -> Result<Option<Frame>, Problem> {
        if self.place.is_some() {
            let stalled = (Instant::now() + STALL).min(self.slow);
            if let Ok(frame) = timeout_at(stalled.into(), self.body.frame()).await {
                return Ok(frame);
            }
            self.place = None;
        }
        tokio::select! {
            frame = timeout_at(self.late.into(), self.body.frame()) => frame.map_err(|_| {
                let message = format!("the body did not arrive within {} s", limits.upload.as_secs_f32());
                Problem::new(StatusCode::REQUEST_TIMEOUT, "slow", message)
            }),
            () = self.room.given_up() => Err(Problem::busy(1)),
        }
    }
}

type Frame = Result<hyper::body::Frame<Bytes>, axum::Error>;

fn too_large(limits: &Limits) -> Problem {
    let most = match limits.body {
        bytes if bytes >= 1 << 20 => format!("{} MB", bytes >> 20),
        bytes => format!("{bytes} bytes"),
    };
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "large", format!("the body is larger than {most}"))
}

/// How a body holds its files.
enum Kind {
    File,
    Form(Vec<u8>),
    Json,
}

impl Kind {
    fn of(headers: &HeaderMap) -> Result<Kind, Problem> {
        let Some(value) = headers.get(CONTENT_TYPE) else { return Ok(Kind::File) };
        let value = value.as_bytes();
        let media = media_type(value);
        match media.as_slice() {
            b"multipart/form-data" => form::boundary(value).map(Kind::Form),
            b"application/json" => Ok(Kind::Json),
            media if may_be_image(media) => Ok(Kind::File),
            media => {
                let message = format!("a body of type {:?} is not read here", String::from_utf8_lossy(media));
                Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "type", message)
                    .hint("send an image with Content-Type: image/jpeg, image/png or application/dicom, a form of files, or JSON"))
            }
        }
    }
}

/// A content type without its parameters, in lower case.
pub(crate) fn media_type(value: &[u8]) -> Vec<u8> {
    value.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii().to_ascii_lowercase()
}

/// Whether what calls itself so may be an image. Which one is for its bytes to say: programs write `image/pjpeg`,
/// `image/x-png`, `image/dicom` and worse.
pub(crate) fn may_be_image(media: &[u8]) -> bool {
    let unspecific: [&[u8]; 4] =
        [b"", b"application/octet-stream", b"binary/octet-stream", b"application/x-octet-stream"];
    let dicom: [&[u8]; 2] = [b"application/dicom", b"application/x-dicom"];
    media.starts_with(b"image/") || dicom.contains(&media) || unspecific.contains(&media)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_may_be_an_image_is_looked_at() {
        for good in [
            "image/jpeg",
            "IMAGE/PJPEG",
            "image/x-png; name=a",
            "image/webp",
            "application/dicom;transfer-syntax=*",
            "application/x-dicom",
            "application/octet-stream",
            "binary/octet-stream",
            "",
        ] {
            assert!(may_be_image(&media_type(good.as_bytes())), "{good}");
        }
        for bad in
            ["text/plain", "application/pdf", "application/x-www-form-urlencoded", "imagejpeg", "video/mp4"]
        {
            assert!(!may_be_image(&media_type(bad.as_bytes())), "{bad}");
        }
    }
}

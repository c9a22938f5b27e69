//! The image files in a request: a form with files, or a file as the whole body.

use crate::limits::Limits;
use crate::problem::Problem;
use crate::workers::Place;
use axum::body::Body;
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::{HeaderMap, StatusCode};
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use std::pin::pin;
use std::sync::Arc;
use tokio::sync::Semaphore;
use tokio::time::timeout;

/// A file and what its sender calls it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Upload {
    /// Without folders; empty where nothing is said.
    pub(crate) name: String,
    pub(crate) file: Bytes,
}

/// Room for bodies that are read or wait; one permit is a kibibyte.
pub(crate) struct Room(Arc<Semaphore>);

impl Room {
    pub(crate) fn new(limits: &Limits) -> Self {
        Room(Arc::new(Semaphore::new(limits.bodies / 1024)))
    }

    /// Whether hardly a body finds room.
    pub(crate) fn is_taken(&self) -> bool {
        self.0.available_permits() < 1024
    }

    fn has(&self, bytes: usize) -> bool {
        bytes.div_ceil(1024) <= self.0.available_permits()
    }

    /// The part of a body of which nothing has come.
    fn enter(&self) -> Taken {
        Taken { room: Arc::clone(&self.0), kibibytes: 0 }
    }
}

/// Part of a room, given back when this is dropped.
struct Taken {
    room: Arc<Semaphore>,
    kibibytes: usize,
}

impl Taken {
    /// Takes what is missing for so many bytes.
    fn grow(&mut self, bytes: usize) -> Result<(), Problem> {
        let missing = bytes.div_ceil(1024).saturating_sub(self.kibibytes);
        let permits = u32::try_from(missing).map_err(|_| Problem::busy(1))?;
        self.room.try_acquire_many(permits).map_err(|_| Problem::busy(1))?.forget();
        self.kibibytes += missing;
        Ok(())
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.room.add_permits(self.kibibytes);
    }
}

/// What a request brought, and the room that it takes as long as this lives.
pub(crate) struct Uploads {
    pub(crate) files: Vec<Upload>,
    /// The place in the queue of the first file, unless that was too slow.
    pub(crate) place: Option<Place>,
    _room: Taken,
}

/// Reads a request's body to its end and finds the files in it, if there is a `place` for it. A body takes room as it
/// comes, and one that takes longer than others wait for a worker gives its place away: slow clients do not keep a server
/// from quick ones.
pub(crate) async fn read(
    headers: &HeaderMap,
    body: Body,
    limits: &Limits,
    room: &Room,
    place: Result<Place, Problem>,
) -> Result<Uploads, Problem> {
    let announced = headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    if announced.is_some_and(|bytes| bytes > limits.body) {
        return Err(too_large(limits));
    }
    let mut place = Some(place?);
    if announced.is_some_and(|bytes| !room.has(bytes)) {
        return Err(Problem::busy(1));
    }
    let kind = Kind::of(headers)?;
    let mut coming = pin!(whole(body, announced, limits, room.enter()));
    let quick = limits.patience.min(limits.upload);
    let come = match timeout(quick, &mut coming).await {
        Err(_) => {
            drop(place.take());
            timeout(limits.upload - quick, coming).await
        }
        come => come,
    };
    let Ok(whole) = come else {
        let message = format!("the body did not arrive within {} s", limits.upload.as_secs());
        return Err(Problem::new(StatusCode::REQUEST_TIMEOUT, "slow", message));
    };
    let (whole, room) = whole?;
    let files = match kind {
        Kind::File => vec![Upload { name: String::new(), file: whole }],
        Kind::Form(boundary) => form(whole, boundary, limits).await?,
    };
    Ok(Uploads { files, place, _room: room })
}

/// All of a body, and its room. Each piece is copied when it comes, so that its buffer serves the next one.
async fn whole(
    mut body: Body,
    announced: Option<usize>,
    limits: &Limits,
    mut room: Taken,
) -> Result<(Bytes, Taken), Problem> {
    let mut whole = BytesMut::with_capacity(announced.unwrap_or(0));
    while let Some(frame) = body.frame().await {
        let broke_off = |_| Problem::new(StatusCode::BAD_REQUEST, "body", "the body broke off");
        // Trailers say nothing of interest.
        let Ok(piece) = frame.map_err(broke_off)?.into_data() else { continue };
        if whole.len() + piece.len() > limits.body {
            return Err(too_large(limits));
        }
        room.grow(whole.len() + piece.len())?;
        whole.extend_from_slice(&piece);
    }
    Ok((whole.freeze(), room))
}

fn too_large(limits: &Limits) -> Problem {
    let message = format!("the body is larger than {} MB", limits.body / 1_000_000);
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "large", message)
}

/// How a body holds its files.
enum Kind {
    File,
    Form(String),
}

impl Kind {
    fn of(headers: &HeaderMap) -> Result<Kind, Problem> {
        let Some(value) = headers.get(CONTENT_TYPE) else { return Ok(Kind::File) };
        let text = value.to_str().unwrap_or_default();
        let media = text.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        match media.as_str() {
            "multipart/form-data" => multer::parse_boundary(text).map(Kind::Form).map_err(|_| {
                Problem::new(StatusCode::BAD_REQUEST, "form", "the form's content type names no boundary")
            }),
            "image/jpeg" | "image/jpg" | "image/png" | "application/dicom" | "application/octet-stream" => {
                Ok(Kind::File)
            }
            _ => {
                let message = format!("a body of type {media:?} is not read here");
                Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "type", message)
                    .hint("send image/jpeg, image/png, or multipart/form-data with files"))
            }
        }
    }
}

async fn form(body: Bytes, boundary: String, limits: &Limits) -> Result<Vec<Upload>, Problem> {
    let broken = |error: multer::Error| {
        Problem::new(StatusCode::BAD_REQUEST, "form", format!("the form cannot be read: {error}"))
    };
    let stream = http_body_util::BodyDataStream::new(Body::from(body));
    let mut form = multer::Multipart::new(stream, boundary);
    let mut files = Vec::new();
    while let Some(field) = form.next_field().await.map_err(broken)? {
        let Some(name) = field.file_name().map(plain_name) else { continue };
        let file = field.bytes().await.map_err(broken)?;
        // What a browser sends for a field in which no file was chosen.
        if name.is_empty() && file.is_empty() {
            continue;
        }
        if files.len() == limits.images {
            let message = format!("more than {} images in one request", limits.images);
            return Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "images", message));
        }
        files.push(Upload { name, file });
    }
    if files.is_empty() {
        return Err(Problem::new(StatusCode::BAD_REQUEST, "form", "the form holds no file")
            .hint("choose an image, or send it in a field with a file name"));
    }
    Ok(files)
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
}

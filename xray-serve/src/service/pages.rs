//! The page.

use super::Service;
use super::api::{self, Sender};
use crate::answer::ImageAnswer;
use crate::examine::Wanted;
use crate::form::Upload;
use crate::page::Frame;
use crate::problem::Problem;
use crate::workers::Place;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderValue, Request, StatusCode};
use axum::response::{Html, IntoResponse, Response};
use std::sync::Arc;

/// What surrounds a page that lies so many folders deep.
fn frame(service: &Service, depth: usize) -> Frame<'_> {
    let base = service.settings.base.as_str();
    // Where no folder is named, links are relative: whatever a proxy takes away, a browser keeps.
    let root = if base.is_empty() { format!("./{}", "../".repeat(depth)) } else { format!("{base}/") };
    let card = service.model().ok().map(|model| &model.bundle.card);
    Frame { root, card, asks_for_key: service.settings.key.is_some() }
}

/// The form.
pub(super) async fn form(State(service): State<Arc<Service>>) -> Response {
    Html(service.pages.form(&frame(&service, 0))).into_response()
}

/// An image in, the page with its findings out.
pub(super) async fn findings(State(service): State<Arc<Service>>, request: Request<Body>) -> Response {
    let said = examine_body(&service, request).await;
    said_as_page(&service, 0, said)
}

/// What was said about an image, or why nothing was.
fn said_as_page(service: &Service, depth: usize, said: Result<(String, ImageAnswer), Problem>) -> Response {
    let frame = frame(service, depth);
    match said {
        Ok((name, answer)) => Html(service.pages.findings(&frame, &name, &answer)).into_response(),
        Err(problem) => {
            let page = service.pages.problem(&frame, &problem);
            let mut response = (problem.status(), Html(page)).into_response();
            if let Some(seconds) = problem.retry_after {
                response.headers_mut().insert("retry-after", seconds.into());
            }
            response
        }
    }
}

async fn examine_body(service: &Service, request: Request<Body>) -> Result<(String, ImageAnswer), Problem> {
    let (head, body) = request.into_parts();
    let sender = Sender::of(&head.extensions);
    let mut uploads = api::uploads(service, &sender, &head.headers, body).await?;
    let place = uploads.place.take();
    let [upload] = uploads.files.as_slice() else {
        let message = format!("the page looks at one image, and the form holds {}", uploads.files.len());
        return Err(Problem::new(StatusCode::BAD_REQUEST, "images", message)
            .hint("send several images to /v1/predict"));
    };
    examine_upload(service, sender, upload, place).await
}

async fn examine_upload(
    service: &Service,
    sender: Sender,
    upload: &Upload,
    place: Option<Place>,
) -> Result<(String, ImageAnswer), Problem> {
    let wanted = Wanted { maps: false, pictures: true };
    let mut said = api::examine_all(service, sender, std::slice::from_ref(upload), wanted, place).await?;
    Ok((upload.name.clone(), said.pop().expect("one image was sent")?))
}

pub(super) async fn style() -> Response {
    asset("text/css; charset=utf-8", include_str!("../../templates/style.css").as_bytes().to_vec())
}

pub(super) async fn script() -> Response {
    asset("text/javascript; charset=utf-8", include_str!("../../templates/page.js").as_bytes().to_vec())
}

/// `1.jpg` is a picture, `1` the page with its findings.
pub(super) async fn sample(
    State(service): State<Arc<Service>>,
    Path(name): Path<String>,
    request: Request<Body>,
) -> Result<Response, Problem> {
    let number = name.strip_suffix(".jpg").unwrap_or(&name).parse().ok();
    let file = number.and_then(|number| service.samples.jpeg(number)).map(<[u8]>::to_vec);
    let missing = || Problem::new(StatusCode::NOT_FOUND, "path", "there is no such sample");
    let file = file.ok_or_else(missing)?;
    if name.ends_with(".jpg") {
        return Ok(asset("image/jpeg", file));
    }
    let upload = Upload { name: format!("phantom {name}"), file: file.into() };
    let said = examine_upload(&service, Sender::of(request.extensions()), &upload, None).await;
    Ok(said_as_page(&service, 1, said))
}

/// Files of the page say nothing of anybody, and may be kept for a while.
fn asset(kind: &'static str, bytes: Vec<u8>) -> Response {
    let mut response = ([(CONTENT_TYPE, kind)], bytes).into_response();
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("public, max-age=600"));
    response
}

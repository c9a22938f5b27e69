//! The page.

use super::{Service, api};
use crate::answer::ImageAnswer;
use crate::examine::Wanted;
use crate::problem::Problem;
use crate::upload::{self, Upload};
use crate::workers::Place;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{Html, IntoResponse, Response};
use std::sync::Arc;

/// The form.
pub(super) async fn form(State(service): State<Arc<Service>>) -> Response {
    let card = service.model().ok().map(|model| &model.bundle.card);
    Html(service.pages.form(card, service.key.is_some())).into_response()
}

/// An image in, the page with its findings out.
pub(super) async fn findings(
    State(service): State<Arc<Service>>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let said = examine_body(&service, &headers, body).await;
    said_as_page(&service, said)
}

/// What was said about an image, or why nothing was.
fn said_as_page(service: &Service, said: Result<(String, ImageAnswer), Problem>) -> Response {
    let card = service.model().ok().map(|model| &model.bundle.card);
    match (said, card) {
        (Ok((name, answer)), Some(card)) => {
            Html(service.pages.findings(card, &name, &answer)).into_response()
        }
        (Err(problem), card) => {
            let page = service.pages.problem(card, &problem);
            let mut response = (problem.status(), Html(page)).into_response();
            if let Some(seconds) = problem.retry_after {
                response.headers_mut().insert("retry-after", seconds.into());
            }
            response
        }
        (Ok(_), None) => unreachable!("only a model says something about an image"),
    }
}

async fn examine_body(
    service: &Service,
    headers: &HeaderMap,
    body: Body,
) -> Result<(String, ImageAnswer), Problem> {
    let place = service.model()?.workers.keep_a_place();
    let mut uploads = upload::read(headers, body, &service.limits, &service.room, place).await?;
    let place = uploads.place.take();
    let first = uploads.files.first().expect("a body without a file is refused");
    examine_upload(service, first, place).await
}

async fn examine_upload(
    service: &Service,
    upload: &Upload,
    place: Option<Place>,
) -> Result<(String, ImageAnswer), Problem> {
    let wanted = Wanted { maps: false, pictures: true };
    let mut said = api::examine_all(service, std::slice::from_ref(upload), wanted, place).await?;
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
) -> Result<Response, Problem> {
    let number = name.strip_suffix(".jpg").unwrap_or(&name).parse().ok();
    let file = number.and_then(|number| service.samples.jpeg(number)).map(<[u8]>::to_vec);
    let missing = || Problem::new(StatusCode::NOT_FOUND, "path", "there is no such sample");
    let file = file.ok_or_else(missing)?;
    if name.ends_with(".jpg") {
        return Ok(asset("image/jpeg", file));
    }
    let upload = Upload { name: format!("phantom {name}"), file: file.into() };
    let said = examine_upload(&service, &upload, None).await;
    Ok(said_as_page(&service, said))
}

/// Files of the page say nothing of anybody, and may be kept for a while.
fn asset(kind: &'static str, bytes: Vec<u8>) -> Response {
    let mut response = ([(CONTENT_TYPE, kind)], bytes).into_response();
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("public, max-age=600"));
    response
}

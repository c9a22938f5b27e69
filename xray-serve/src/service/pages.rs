//! The page.

use super::Service;
use super::api::{self, Sender};
use crate::answer::ImageAnswer;
use crate::examine::{Task, Wanted};
use crate::form::Upload;
use crate::model::Model;
use crate::page::Frame;
use crate::problem::Problem;
use crate::request_id::RequestId;
use crate::settings::BasePath;
use crate::workers::Place;
use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{Extensions, HeaderValue, Request, StatusCode};
use axum::response::{Html, IntoResponse, Response};
use std::sync::Arc;

/// What a page needs to know of the request that it answers.
struct Asked {
    /// Where a proxy or a front door says that the service lies; else what the settings say.
    base: Option<BasePath>,
    /// How many folders deep the page lies.
    depth: usize,
    id: Option<RequestId>,
}

impl Asked {
    fn of(extensions: &Extensions, depth: usize) -> Self {
        Asked {
            base: extensions.get::<BasePath>().cloned(),
            depth,
            id: extensions.get::<RequestId>().cloned(),
        }
    }

    /// What links begin with.
    fn root(&self, service: &Service) -> String {
        let base = self.base.as_ref().unwrap_or(&service.settings.base).as_str();
        // Where no folder is named, links are relative: whatever a proxy takes away, a browser keeps.
        if base.is_empty() { format!("./{}", "../".repeat(self.depth)) } else { format!("{base}/") }
    }

    fn frame<'a>(&self, service: &Service, model: Option<&'a Model>) -> Frame<'a> {
        let card = model.map(|model| &model.bundle.card);
        Frame { root: self.root(service), card, asks_for_key: !service.keys().is_empty() }
    }
}

/// The form.
pub(super) async fn form(State(service): State<Arc<Service>>, request: Request<Body>) -> Response {
    let (asked, model) = (Asked::of(request.extensions(), 0), service.model().ok());
    Html(service.pages.form(&asked.frame(&service, model.as_deref()))).into_response()
}

/// An image in, the page with its findings out.
pub(super) async fn findings(State(service): State<Arc<Service>>, request: Request<Body>) -> Response {
    let asked = Asked::of(request.extensions(), 0);
    let said = examine_body(&service, request).await;
    said_as_page(&service, &asked, said)
}

/// What was said about an image, and by which model.
struct Found {
    model: Arc<Model>,
    name: String,
    answer: ImageAnswer,
}

/// What was said about an image, or why nothing was.
fn said_as_page(service: &Service, asked: &Asked, said: Result<Found, Problem>) -> Response {
    match said {
        Ok(Found { model, name, answer }) => {
            let frame = asked.frame(service, Some(&model));
            Html(service.pages.findings(&frame, &name, &answer)).into_response()
        }
        Err(problem) => {
            let model = service.model().ok();
            let request_id = asked.id.as_ref().map(|id| id.as_str().to_owned());
            let problem = Problem { request_id, ..problem };
            let page = service.pages.problem(&asked.frame(service, model.as_deref()), &problem);
            let mut response = (problem.status(), Html(page)).into_response();
            if let Some(seconds) = problem.retry_after {
                response.headers_mut().insert("retry-after", seconds.into());
            }
            response
        }
    }
}

async fn examine_body(service: &Service, request: Request<Body>) -> Result<Found, Problem> {
    let (head, body) = request.into_parts();
    let sender = Sender::of(&head.extensions);
    let mut uploads = api::uploads(service, &sender, &head.headers, body).await?;
    let place = uploads.place.take();
    let [upload] = uploads.files.as_slice() else {
        let message = format!("the page takes one image, but the form holds {}", uploads.files.len());
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
) -> Result<Found, Problem> {
    let model = service.model()?;
    let wanted = Wanted { maps: false, pictures: true };
    let task = Task { bundle: Arc::clone(&model.bundle), wanted };
    let mut said = api::examine_all(service, sender, std::slice::from_ref(upload), task, place).await?;
    let answer = said.pop().expect("one image was sent")?;
    Ok(Found { model, name: upload.name.clone(), answer })
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
    name: Result<Path<String>, PathRejection>,
    request: Request<Body>,
) -> Result<Response, Problem> {
    let missing = || Problem::new(StatusCode::NOT_FOUND, "path", "there is no such sample");
    let Path(name) = name.map_err(|_| missing())?;
    let number = name.strip_suffix(".jpg").unwrap_or(&name).parse().ok();
    let file = number.and_then(|number| service.samples.jpeg(number)).map(<[u8]>::to_vec);
    let file = file.ok_or_else(missing)?;
    if name.ends_with(".jpg") {
        return Ok(asset("image/jpeg", file));
    }
    let upload = Upload { name: format!("phantom {name}"), file: file.into() };
    let said = examine_upload(&service, Sender::of(request.extensions()), &upload, None).await;
    Ok(said_as_page(&service, &Asked::of(request.extensions(), 1), said))
}

/// Files of the page say nothing of anybody, and may be kept for a while.
fn asset(kind: &'static str, bytes: Vec<u8>) -> Response {
    let mut response = ([(CONTENT_TYPE, kind)], bytes).into_response();
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("public, max-age=600"));
    response
}

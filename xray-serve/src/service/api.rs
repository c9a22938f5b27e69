//! `POST /v1/predict`.

use super::Service;
use crate::answer::{DISCLAIMER, FORMAT, ImageAnswer};
use crate::client::Client;
use crate::examine::{Task, Wanted};
use crate::form::Upload;
use crate::hangup::Hangup;
use crate::problem::Problem;
use crate::upload::{self, Uploads};
use crate::workers::Place;
use axum::body::Body;
use axum::extract::{Query, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{Extensions, HeaderMap, Method, Request, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use xray_artifacts::Provenance;

/// What may be asked for in the address.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Asked {
    /// Whether to send maps too.
    #[serde(default)]
    maps: bool,
}

/// What is said about one of the images that were sent: the answer or the problem.
#[derive(Serialize)]
struct Entry<'a> {
    name: &'a str,
    #[serde(flatten)]
    said: Said,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Said {
    Answer(Box<ImageAnswer>),
    Problem { error: Problem },
}

/// The answer.
#[derive(Serialize)]
struct Answer<'a> {
    format: u32,
    disclaimer: &'static str,
    model: Answering<'a>,
    images: Vec<Entry<'a>>,
}

/// Which model it is of, and what that was trained on.
#[derive(Serialize)]
struct Answering<'a> {
    name: &'a str,
    hash: &'a str,
    #[serde(flatten)]
    provenance: &'a Provenance,
}

/// Who sent a request, and from where.
#[derive(Clone, Debug, Default)]
pub(super) struct Sender {
    client: Client,
    hangup: Option<Hangup>,
}

impl Sender {
    pub(super) fn of(extensions: &Extensions) -> Self {
        let client = extensions.get::<Client>().copied().unwrap_or_default();
        Sender { client, hangup: extensions.get::<Hangup>().cloned() }
    }
}

/// The files that a request brings.
pub(super) async fn uploads(
    service: &Service,
    sender: &Sender,
    headers: &HeaderMap,
    body: Body,
) -> Result<Uploads, Problem> {
    let (workers, client) = (service.workers()?, sender.client);
    let place = || workers.keep_a_place(client);
    upload::read(headers, body, client, &service.settings.limits, &service.room, place).await
}

/// Files in, findings out. Of several images those that can be read are answered and the others named; if none can, or
/// the server is busy, that is the answer.
pub(super) async fn predict(
    State(service): State<Arc<Service>>,
    asked: Result<Query<Asked>, axum::extract::rejection::QueryRejection>,
    request: Request<Body>,
) -> Result<Response, Problem> {
    let Query(Asked { maps }) = asked
        .map_err(|_| Problem::new(StatusCode::BAD_REQUEST, "query", "only `maps=true` may follow the `?`"))?;
    let (head, body) = request.into_parts();
    let sender = Sender::of(&head.extensions);
    let mut uploads = uploads(&service, &sender, &head.headers, body).await?;
    let place = uploads.place.take();
    let model = service.model()?;
    let task = Task { bundle: Arc::clone(&model.bundle), wanted: Wanted { maps, pictures: false } };
    let said = examine_all(&service, sender, &uploads.files, task, place).await?;
    let entries = uploads.files.iter().zip(said).map(|(upload, said)| Entry {
        name: &upload.name,
        said: match said {
            Ok(answer) => Said::Answer(Box::new(answer)),
            Err(error) => Said::Problem { error },
        },
    });
    let answer = Answer {
        format: FORMAT,
        disclaimer: DISCLAIMER,
        model: Answering { name: &model.name, hash: &model.hash, provenance: &model.bundle.card.provenance },
        images: entries.collect(),
    };
    let text = serde_json::to_string(&answer).expect("plain values");
    Ok(([(CONTENT_TYPE, "application/json")], text).into_response())
}

/// The answer about each file; an error where there is none about any, or the server has too much to do.
pub(super) async fn examine_all(
    service: &Service,
    sender: Sender,
    files: &[Upload],
    task: Task,
    place: Option<Place>,
) -> Result<Vec<Result<ImageAnswer, Problem>>, Problem> {
    let Sender { client, hangup } = sender;
    let files = files.iter().map(|upload| upload.file.clone());
    let said = service.workers()?.submit(client, files, task, place)?.answers(hangup).await?;
    for answer in said.iter().flatten() {
        service.metrics.images.inc();
        service.metrics.warned.inc_by(u64::from(!answer.warnings.is_empty()));
    }
    match said.iter().find_map(|said| said.as_ref().err()) {
        Some(problem) if said.iter().all(Result::is_err) => Err(problem.clone()),
        _ => Ok(said),
    }
}

/// For a path that exists and another method.
pub(super) async fn wrong_method(method: Method) -> Problem {
    // A word of the client's, as long as it likes.
    let name: String = method.as_str().chars().take(16).collect();
    let problem = format!("this path does not accept {name}");
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method", problem).hint("see openapi.json, beside the page")
}

/// For any other path.
pub(super) async fn nothing_here() -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "path", "there is nothing at this path")
        .hint("see openapi.json, beside the page")
}

//! What the server says about itself.

use super::Service;
use crate::memory::resident;
use crate::problem::Problem;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use std::sync::Arc;

/// The card of the model: what it is, what it was trained on, how it scored.
pub(super) async fn info(State(service): State<Arc<Service>>) -> Result<Response, Problem> {
    let model = service.model()?;
    let limits = &service.settings.limits;
    let answer = json!({
        "format": crate::answer::FORMAT,
        "server": env!("CARGO_PKG_VERSION"),
        "disclaimer": crate::answer::DISCLAIMER,
        "name": model.name,
        "hash": model.hash,
        "model": model.bundle.card,
        "limits": {
            "body_bytes": limits.body,
            "megapixels": limits.megapixels,
            "images": limits.images,
            "patience_seconds": limits.patience.as_secs_f64(),
            "decode_seconds": limits.decode.as_secs_f64(),
            "memory_bytes": limits.memory,
        },
    });
    Ok(as_json(&answer))
}

/// The API for programs that read APIs.
pub(super) async fn openapi() -> Response {
    ([(CONTENT_TYPE, "application/json")], include_str!("openapi.json")).into_response()
}

/// The process is alive, and which it is.
pub(super) async fn health() -> Response {
    as_json(&json!({ "status": "alive", "versions": { "xray-serve": env!("CARGO_PKG_VERSION") } }))
}

/// It answers.
pub(super) async fn ready(State(service): State<Arc<Service>>) -> Result<Response, Problem> {
    service.model().map(|_| as_json(&json!({ "status": "ready" })))
}

pub(super) async fn metrics(State(service): State<Arc<Service>>) -> Response {
    if let Ok(workers) = service.workers() {
        service.metrics.waiting.set(workers.waiting() as i64);
    }
    if let Some(bytes) = resident() {
        service.metrics.resident.set(i64::try_from(bytes).unwrap_or(i64::MAX));
    }
    service.metrics.log_lost.set(crate::log::lost() as i64);
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(CONTENT_TYPE, kind)], service.metrics.text()).into_response()
}

fn as_json(value: &Value) -> Response {
    ([(CONTENT_TYPE, "application/json")], value.to_string()).into_response()
}

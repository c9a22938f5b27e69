//! What answers requests: routes, and what they share. It knows no sockets.

mod api;
mod describe;
mod guard;
mod pages;

pub use guard::Client;

use crate::limits::Limits;
use crate::log::{Sparse, event};
use crate::metrics::{Answered, Metrics};
use crate::page::Pages;
use crate::problem::Problem;
use crate::rate::RateLimit;
use crate::samples::Samples;
use crate::upload::Room;
use crate::workers::Workers;
use axum::Router;
use axum::http::StatusCode;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::{get, post};
use serde_json::json;
use std::sync::{Arc, OnceLock};
use std::time::Instant;
use xray_bundle::Bundle;

/// Everything that handlers share.
pub struct Service {
    /// Bounds of requests.
    pub limits: Limits,
    /// Counters.
    pub metrics: Metrics,
    /// Who knows it may ask; none asks for one.
    key: Option<String>,
    model: OnceLock<Model>,
    rate: RateLimit,
    room: Room,
    pages: Pages,
    samples: Samples,
    turned_away: Sparse,
}

/// A model and the threads that use it.
pub struct Model {
    /// The bundle.
    pub bundle: Arc<Bundle>,
    /// Its threads.
    pub workers: Workers,
}

impl Service {
    /// Without a model yet. With a `key`, whoever asks must send it.
    pub fn new(limits: Limits, key: Option<String>) -> Self {
        Service {
            limits,
            metrics: Metrics::default(),
            key,
            model: OnceLock::new(),
            rate: RateLimit::new(limits.rate),
            room: Room::new(&limits),
            pages: Pages::new(),
            samples: Samples::default(),
            turned_away: Sparse::default(),
        }
    }

    /// Begins to answer with a model, on so many threads.
    ///
    /// # Errors
    /// If the system gives no threads.
    pub fn load(&self, bundle: Bundle, threads: usize) -> std::io::Result<()> {
        let bundle = Arc::new(bundle);
        let workers = Workers::start(&bundle, self.limits, threads, self.metrics.abandoned.clone())?;
        // A second model would be a second call, and there is none.
        let _ = self.model.set(Model { bundle, workers });
        Ok(())
    }

    /// Requests for findings that there is time for now. Before there is a model, any may be told so.
    pub(crate) fn free(&self) -> usize {
        let Some(Model { workers, .. }) = self.model.get() else { return usize::MAX };
        if self.room.is_taken() { 0 } else { workers.free() }
    }

    /// What is said to others.
    pub(crate) fn busy(&self) -> Problem {
        self.model.get().map_or_else(|| Problem::busy(1), |model| model.workers.busy())
    }

    /// Counts requests that were turned away, and says so in the log once in a second.
    pub(crate) fn turn_away(&self, route: &str, problem: &Problem, requests: u64) {
        let answered = Answered { route: route.to_owned(), status: problem.status };
        self.metrics.requests.get_or_create(&answered).inc_by(requests);
        self.say_turned_away(requests);
    }

    fn say_turned_away(&self, requests: u64) {
        if let Some(requests) = self.turned_away.happened(requests, Instant::now()) {
            event("turned_away", json!({ "requests": requests }));
        }
    }

    fn model(&self) -> Result<&Model, Problem> {
        self.model.get().ok_or_else(|| {
            let problem =
                Problem::new(StatusCode::SERVICE_UNAVAILABLE, "loading", "the model is not loaded yet");
            Problem { retry_after: Some(1), ..problem }
        })
    }
}

/// All routes.
pub fn router(service: Arc<Service>) -> Router {
    let guarded = Router::new()
        .route("/", get(pages::form).post(pages::findings))
        .route("/v1/predict", post(api::predict))
        .route("/samples/{name}", get(pages::sample))
        .layer(from_fn_with_state(Arc::clone(&service), guard::admit));
    let open = Router::new()
        .route("/style.css", get(pages::style))
        .route("/page.js", get(pages::script))
        .route("/info", get(describe::info))
        .route("/openapi.json", get(describe::openapi))
        .route("/health", get(describe::health))
        .route("/ready", get(describe::ready))
        .route("/metrics", get(describe::metrics));
    guarded
        .merge(open)
        .method_not_allowed_fallback(api::wrong_method)
        .fallback(api::nothing_here)
        .layer(from_fn(guard::headers))
        .layer(from_fn_with_state(Arc::clone(&service), guard::account))
        .with_state(service)
}

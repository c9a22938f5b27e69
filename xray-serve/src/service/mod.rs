//! What answers requests: routes, and what they share. It knows no sockets.

mod api;
mod describe;
mod guard;
mod pages;
mod reload;

pub use crate::client::Client;

use crate::keys::Keys;
use crate::log::{Sparse, event};
use crate::metrics::{Answered, Metrics, Named};
use crate::model::Model;
use crate::page::Pages;
use crate::problem::Problem;
use crate::rate::{BURST, RateLimit};
use crate::request_line::RequestLine;
use crate::room::Room;
use crate::samples::Samples;
use crate::settings::Settings;
use crate::workers::Workers;
use axum::Router;
use axum::http::StatusCode;
use axum::middleware::from_fn_with_state;
use axum::routing::{get, post};
use serde_json::json;
use std::sync::{Arc, OnceLock, PoisonError, RwLock};
use std::time::Instant;
use tokio::sync::Mutex;

/// Everything that handlers share.
pub struct Service {
    /// What it was told when it started.
    pub settings: Settings,
    /// Counters.
    pub metrics: Metrics,
    model: RwLock<Option<Arc<Model>>>,
    workers: OnceLock<Workers>,
    keys: RwLock<Arc<Keys>>,
    /// Held while files are read again.
    reloading: Arc<Mutex<()>>,
    rate: RateLimit,
    wrong_keys: RateLimit,
    /// How requests for findings begin.
    findings: Vec<Vec<u8>>,
    room: Room,
    pages: Pages,
    samples: Samples,
    turned_away: Sparse,
}

impl Service {
    /// Without a model yet.
    pub fn new(settings: Settings) -> Self {
        let limits = settings.limits;
        let begin = |base: &str| format!("POST {base}{ROUTE}").into_bytes();
        Service {
            metrics: Metrics::default(),
            model: RwLock::default(),
            workers: OnceLock::new(),
            keys: RwLock::new(Arc::new(settings.keys.clone())),
            reloading: Arc::default(),
            rate: RateLimit::new(limits.rate, limits.rate * BURST),
            wrong_keys: RateLimit::new(WRONG_KEYS, WRONG_KEYS_AT_ONCE),
            findings: vec![begin(""), begin(settings.base.as_str())],
            settings,
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
    pub fn load(&self, model: Model, threads: usize) -> std::io::Result<()> {
        let workers = Workers::start(self.settings.limits, threads, self.metrics.abandoned.clone())?;
        // Threads of a second call would be further ones, and there is none.
        let _ = self.workers.set(workers);
        self.take(&Arc::new(model));
        Ok(())
    }

    /// Answers with this model from now on.
    fn take(&self, model: &Arc<Model>) {
        let named = |model: &Model| Named { name: model.name.clone(), hash: model.hash.clone() };
        let old = self.model.write().unwrap_or_else(PoisonError::into_inner).replace(Arc::clone(model));
        if let Some(old) = old.as_deref().map(named).filter(|old| *old != named(model)) {
            self.metrics.model.remove(&old);
        }
        self.metrics.model.get_or_create(&named(model)).set(1);
    }

    /// Requests for findings that there is time for now. Before there is a model, any may be told so.
    pub(crate) fn free(&self) -> usize {
        let Some(workers) = self.workers.get() else { return usize::MAX };
        if self.room.is_taken() { 0 } else { workers.free() }
    }

    /// Whether a client would get findings now, be it in the place of another.
    pub(crate) fn admits(&self, client: Client) -> bool {
        let Some(workers) = self.workers.get() else { return true };
        self.room.admits(client) && workers.admits(client)
    }

    /// How requests for findings begin.
    pub(crate) fn findings(&self) -> &[Vec<u8>] {
        &self.findings
    }

    /// What is said to others.
    pub(crate) fn busy(&self) -> Problem {
        self.workers.get().map_or_else(|| Problem::busy(1), Workers::busy)
    }

    /// Counts an answered request, and logs it. Requests for `/health`, `/ready` and `/metrics` have no line, and of those
    /// that are turned away only some: how many had none is said once in a second.
    pub(crate) fn answered(&self, line: &RequestLine<'_>) {
        let answered = Answered { route: line.route.to_owned(), status: line.status };
        self.metrics.requests.get_or_create(&answered).inc();
        let is_probe = matches!(line.route, "/health" | "/ready" | "/metrics");
        if !is_probe && (line.status != StatusCode::SERVICE_UNAVAILABLE || self.turned_away()) {
            line.write();
        }
    }

    /// Whether a request that was turned away has a line.
    fn turned_away(&self) -> bool {
        let (has_line, before) = self.turned_away.happened(Instant::now());
        if before > 0 {
            event("turned_away", json!({ "requests": before }));
        }
        has_line
    }

    /// The model that answers now.
    fn model(&self) -> Result<Arc<Model>, Problem> {
        let model = self.model.read().unwrap_or_else(PoisonError::into_inner).clone();
        model.ok_or_else(loading)
    }

    fn workers(&self) -> Result<&Workers, Problem> {
        self.workers.get().ok_or_else(loading)
    }

    /// The keys that open now.
    fn keys(&self) -> Arc<Keys> {
        Arc::clone(&self.keys.read().unwrap_or_else(PoisonError::into_inner))
    }
}

fn loading() -> Problem {
    let problem = Problem::new(StatusCode::SERVICE_UNAVAILABLE, "loading", "the model is not loaded yet");
    Problem { retry_after: Some(1), ..problem }
}

/// Where findings are asked for by programs.
pub(crate) const ROUTE: &str = "/v1/predict";

/// Wrong keys of a client in a second, on average, and at once. Who sends more is not heard for a while, not with the
/// right one either: else whoever tries keys would learn which is right.
const WRONG_KEYS: f64 = 0.5;
const WRONG_KEYS_AT_ONCE: f64 = 10.0;

/// All routes, and the same in the folder where the service lies.
pub fn router(service: Arc<Service>) -> Router {
    let base = service.settings.base.as_str().to_owned();
    let mut router = routes(Router::new(), "");
    if !base.is_empty() {
        router = routes(router, &base).route(&base, get(pages::form).post(pages::findings));
    }
    router
        .method_not_allowed_fallback(api::wrong_method)
        .fallback(api::nothing_here)
        .layer(from_fn_with_state(Arc::clone(&service), guard::admit))
        .layer(from_fn_with_state(Arc::clone(&service), guard::headers))
        .layer(from_fn_with_state(Arc::clone(&service), guard::account))
        .with_state(service)
}

fn routes(router: Router<Arc<Service>>, base: &str) -> Router<Arc<Service>> {
    let at = |path: &str| format!("{base}{path}");
    router
        .route(&at("/"), get(pages::form).post(pages::findings))
        .route(&at(ROUTE), post(api::predict))
        .route(&at("/admin/reload"), post(reload::reload))
        .route(&at("/samples/{name}"), get(pages::sample))
        .route(&at("/style.css"), get(pages::style))
        .route(&at("/page.js"), get(pages::script))
        .route(&at("/info"), get(describe::info))
        .route(&at("/openapi.json"), get(describe::openapi))
        .route(&at("/health"), get(describe::health))
        .route(&at("/ready"), get(describe::ready))
        .route(&at("/metrics"), get(describe::metrics))
}

//! A new model and new keys in a running service, at `SIGHUP` or `POST /admin/reload`.
//!
//! The new model is read and tried beside the old one, then takes its place at once: a request whose body has come is
//! answered by the model that stood there then, and the old one is freed when the last such request is answered. What
//! cannot be read changes nothing. Memory must suffice for both, and only one reload is under way at a time.

use super::Service;
use crate::answer::FORMAT;
use crate::examine::{Task, Wanted, examine};
use crate::log::event;
use crate::memory::{Memory, resident};
use crate::metrics::Reloaded;
use crate::model::Model;
use crate::problem::Problem;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use rayon::ThreadPoolBuilder;
use serde_json::json;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::{Arc, PoisonError};
use std::time::Instant;
use tokio::task::spawn_blocking;
use xray_artifacts::Failure;

impl Service {
    /// Reads the files again that the service was started from, after whoever does so already.
    ///
    /// # Errors
    /// Why the keys, or the model, were kept as they were.
    pub async fn reload(self: &Arc<Self>) -> Result<Arc<Model>, Problem> {
        let (service, turn) = (Arc::clone(self), Arc::clone(&self.reloading).lock_owned().await);
        // It goes on when whoever asked has gone, and the next waits for its end.
        let reloaded = spawn_blocking(move || {
            let reloaded = service.reload_now();
            drop(turn);
            reloaded
        });
        reloaded.await.unwrap_or_else(|_| {
            let message = "the server failed at the new model";
            Err(Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", message))
        })
    }

    fn reload_now(&self) -> Result<Arc<Model>, Problem> {
        let begin = Instant::now();
        let reloaded = self.read_keys().and_then(|()| self.read_model());
        let outcome = if reloaded.is_ok() { "ok" } else { "failed" };
        self.metrics.reloads.get_or_create(&Reloaded { outcome }).inc();
        let milliseconds = (begin.elapsed().as_secs_f64() * 1e4).round() / 10.0;
        match &reloaded {
            Ok(model) => event(
                "reloaded",
                json!({
                    "model": { "name": model.name, "hash": model.hash },
                    "keys": self.keys().len(),
                    "milliseconds": milliseconds,
                    "resident_mib": resident().map(|bytes| bytes >> 20),
                }),
            ),
            Err(Problem { code, message, hint, .. }) => {
                event("reload_failed", json!({ "code": code, "message": message, "hint": hint }));
            }
        }
        reloaded
    }

    fn read_keys(&self) -> Result<(), Problem> {
        let Some(file) = &self.settings.files.keys else { return Ok(()) };
        let (keys, warning) = file.read().map_err(|failure| kept("keys", failure))?;
        if let Some(warning) = warning {
            event("warning", json!({ "message": warning }));
        }
        *self.keys.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(keys);
        Ok(())
    }

    fn read_model(&self) -> Result<Arc<Model>, Problem> {
        let Some(folder) = &self.settings.files.model else {
            return Err(Problem::new(
                StatusCode::CONFLICT,
                "bundle",
                "this server was not started from a folder",
            ));
        };
        let model = Arc::new(self.tried(folder)?);
        self.take(&model);
        Ok(model)
    }

    /// A model that looked at a phantom without a fault: while there is another, nobody need find out for it.
    fn tried(&self, folder: &Path) -> Result<Model, Problem> {
        let model = Model::open(folder).map_err(|failure| kept("bundle", failure))?;
        let phantom = self.samples.jpeg(1).expect("it is drawn");
        let task = Task { bundle: Arc::clone(&model.bundle), wanted: Wanted { maps: true, pictures: false } };
        let limits = &self.settings.limits;
        let failed = || {
            Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "the new model failed at a phantom")
        };
        // As on a worker: one thread, so that those who are served lose little.
        let alone = ThreadPoolBuilder::new().num_threads(1).build().map_err(|_| failed())?;
        let look = || alone.install(|| examine(&task, limits, &Memory::new(limits.memory), phantom));
        catch_unwind(AssertUnwindSafe(look)).unwrap_or_else(|_| Err(failed()))?;
        Ok(model)
    }
}

/// The files are at fault, which whoever runs the server can mend.
fn kept(code: &str, failure: Failure) -> Problem {
    let message =
        format!("the {} in use stays: {}", if code == "keys" { "keys" } else { "model" }, failure.message);
    let problem = Problem::new(StatusCode::INTERNAL_SERVER_ERROR, code, message);
    Problem { hint: failure.hint, ..problem }
}

/// `POST /admin/reload`.
pub(super) async fn reload(State(service): State<Arc<Service>>) -> Result<Response, Problem> {
    if service.keys().is_empty() {
        let message = "without keys the model cannot be reloaded by a request";
        return Err(Problem::new(StatusCode::FORBIDDEN, "keyless", message)
            .hint("start the server with --keys, or send its process SIGHUP"));
    }
    let model = service.reload().await?;
    let answer = json!({ "format": FORMAT, "model": { "name": model.name, "hash": model.hash } });
    Ok(([(CONTENT_TYPE, "application/json")], answer.to_string()).into_response())
}

//! The same service on AWS Lambda, behind a function URL or an HTTP API.
//!
//! The model lies in `model/` beside the program, or where `XRAY_MODEL` says.

use serde_json::json;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;
use xray_bundle::Bundle;
use xray_serve::limits::Limits;
use xray_serve::log::event;
use xray_serve::service::{Service, router};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Lambda takes six megabytes, of which a binary body's text in base64 leaves three quarters.
const BODY: usize = 4 << 20;

fn main() -> Result<(), lambda_http::Error> {
    let started = Instant::now();
    let beside = || std::env::current_exe().map(|program| program.with_file_name("model"));
    let folder = std::env::var_os("XRAY_MODEL").map_or_else(beside, |folder| Ok(PathBuf::from(folder)))?;
    // The key comes from the function's settings.
    let key = std::env::var("XRAY_API_KEY").ok().filter(|key| !key.is_empty());
    let service = Arc::new(Service::new(Limits { body: BODY, ..Limits::default() }, key));
    let bundle = Bundle::open(&folder).map_err(|failure| failure.to_string())?;
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    service.load(bundle, processors)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    event("ready", json!({ "milliseconds": (started.elapsed().as_secs_f64() * 1e4).round() / 10.0 }));
    runtime.block_on(lambda_http::run(router(service)))
}

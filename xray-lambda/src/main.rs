//! The same service on AWS Lambda, behind a function URL or an HTTP API.
//!
//! The model lies in `model/` beside the program, or where `XRAY_MODEL` says. `XRAY_API_KEY` is the key, `XRAY_BASE_PATH`
//! what addresses begin with, such as `/prod` of a stage.

use lambda_http::request::RequestContext;
use lambda_http::{RequestExt, tower::ServiceBuilder};
use serde_json::json;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;
use xray_bundle::Bundle;
use xray_serve::client::Client;
use xray_serve::key::Key;
use xray_serve::limits::Limits;
use xray_serve::log::event;
use xray_serve::service::{Service, router};
use xray_serve::settings::Settings;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Lambda takes six megabytes, of which a binary body's text in base64 leaves three quarters.
const BODY: usize = 4 << 20;

fn main() -> Result<(), lambda_http::Error> {
    let started = Instant::now();
    let beside = || std::env::current_exe().map(|program| program.with_file_name("model"));
    let folder = std::env::var_os("XRAY_MODEL").map_or_else(beside, |folder| Ok(PathBuf::from(folder)))?;
    let settings = Settings {
        limits: Limits { body: BODY, ..Limits::default() },
        key: std::env::var("XRAY_API_KEY").ok().and_then(|key| Key::new(&key)),
        base: std::env::var("XRAY_BASE_PATH").unwrap_or_default().parse()?,
        ..Settings::default()
    };
    let service = Arc::new(Service::new(settings));
    let bundle = Bundle::open(&folder).map_err(|failure| failure.to_string())?;
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    service.load(bundle, processors)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    event("ready", json!({ "milliseconds": (started.elapsed().as_secs_f64() * 1e4).round() / 10.0 }));
    let with_client = |mut request: lambda_http::Request| {
        let client = request.request_context_ref().and_then(client).unwrap_or_default();
        request.extensions_mut().insert(client);
        request
    };
    runtime
        .block_on(lambda_http::run(ServiceBuilder::new().map_request(with_client).service(router(service))))
}

/// Who asks, as Lambda's front door says it.
fn client(context: &RequestContext) -> Option<Client> {
    let RequestContext::ApiGatewayV2(context) = context else { return None };
    context.http.source_ip.as_deref()?.parse::<IpAddr>().ok().map(Client::from)
}

//! The same service on AWS Lambda, behind a function URL, an HTTP API or a REST API.
//!
//! The model lies in `model/` beside the program, or where `XRAY_MODEL` says. Flags are variables of the function's
//! environment; `xray-lambda --help` lists them.

mod front_door;

use clap::{Args, Parser};
use lambda_http::tower::ServiceBuilder;
use serde_json::json;
use std::sync::Arc;
use std::time::Instant;
use xray_artifacts::{Exit, Failure};
use xray_cli::build;
use xray_serve::environment::FromEnvironment;
use xray_serve::keys::Keys;
use xray_serve::limits::Limits;
use xray_serve::log::event;
use xray_serve::model::Model;
use xray_serve::options::ServiceOptions;
use xray_serve::service::{Service, router};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Lambda takes six megabytes, of which a binary body's text in base64 leaves three quarters.
const BODY: usize = 4 << 20;

/// Serve a model on AWS Lambda, which starts this program without flags: they are set in the function's environment.
#[derive(Debug, Parser)]
#[command(after_help = "Exit codes: 0 ok · 1 unexpected · 2 usage · 5 bad data · 7 other model or version")]
struct Arguments {
    #[command(flatten)]
    function: FromEnvironment<Function>,
}

#[derive(Debug, Args)]
struct Function {
    #[command(flatten)]
    service: ServiceOptions,
    /// The one key that whoever asks must send; empty lets anyone ask
    #[arg(long, value_name = "KEY", conflicts_with_all = ["keys", "api_key_file"])]
    api_key: Option<String>,
}

fn main() -> Exit {
    xray_cli::main(build!(), |arguments: Arguments| arguments.function.0.run().map(|()| Exit::Ok))
}

impl Function {
    fn run(&self) -> Result<(), Failure> {
        let started = Instant::now();
        let unexpected = |error: &dyn std::fmt::Display| Failure::new(Exit::Unexpected, error.to_string());
        let beside = || std::env::current_exe().map(|program| program.with_file_name("model"));
        let folder =
            self.service.model.clone().map_or_else(beside, Ok).map_err(|error| unexpected(&error))?;
        let key = Keys::one(self.api_key.as_deref().unwrap_or_default());
        let settings = self.service.settings(Limits { body: BODY, ..Limits::default() }, key)?;
        let service = Arc::new(Service::new(settings));
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        let model = Model::open(&folder)?;
        let named = json!({ "name": model.name, "hash": model.hash });
        service.load(model, processors).map_err(|error| unexpected(&error))?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let milliseconds = (started.elapsed().as_secs_f64() * 1e4).round() / 10.0;
        event("ready", json!({ "model": named, "milliseconds": milliseconds }));
        let function = ServiceBuilder::new().map_request(front_door::passed).service(router(service));
        let runtime = runtime.map_err(|error| unexpected(&error))?;
        runtime.block_on(lambda_http::run(function)).map_err(|error| unexpected(&error))
    }
}

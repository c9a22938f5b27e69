//! The command line.

use crate::check;
use crate::key::Key;
use crate::limits::Limits;
use crate::log::{self, event};
use crate::server;
use crate::service::{Service, router};
use crate::settings::{BasePath, Part, Settings};
use clap::{Args, Parser, Subcommand, ValueEnum};
use serde_json::json;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};
use xray_artifacts::{Exit, Failure};
use xray_bundle::Bundle;

const EXAMPLES: &str = "\
Examples:
  xray-serve --model RUN/model
  xray-serve --model RUN/export/safetensors-int8 --bind 0.0.0.0:8080 --api-key-file key.txt --rate 5
  xray-serve check RUN/model chest.jpg
  curl --data-binary @chest.jpg -H 'Content-Type: image/jpeg' http://127.0.0.1:8080/v1/predict

Exit codes: 0 ok · 1 unexpected · 2 usage · 5 bad data · 7 other model or version";

/// Serve a model: a web page and an API that say what is seen in a chest X-ray.
#[derive(Debug, Parser)]
#[command(after_help = EXAMPLES, arg_required_else_help = true, args_conflicts_with_subcommands = true)]
pub struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    serve: ServeArguments,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Print what the server would answer about an image
    Check {
        /// The folder of model.json and model.safetensors
        bundle: PathBuf,
        /// A JPEG or PNG file
        image: PathBuf,
        /// How the result is printed
        #[arg(long, value_enum, default_value = "text")]
        format: OutputFormat,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum OutputFormat {
    Text,
    Json,
}

#[derive(Debug, Args)]
struct ServeArguments {
    /// The folder of model.json and model.safetensors, such as model/ of a run
    #[arg(long, value_name = "BUNDLE")]
    model: Option<PathBuf>,
    /// Where to listen; other machines reach 0.0.0.0
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8080")]
    bind: SocketAddr,
    /// Threads that look at images, one image each [default: one per processor]
    #[arg(long, value_name = "N")]
    workers: Option<usize>,
    /// A file with the key that whoever asks must send
    #[arg(long, value_name = "FILE")]
    api_key_file: Option<PathBuf>,
    /// Requests of one client in a second, on average; 0 for no limit
    #[arg(long, value_name = "N", default_value = "0")]
    rate: f64,
    /// What is shown without the key; without this, nothing but whether the server lives
    #[arg(long, value_name = "PART,...", value_enum, value_delimiter = ',', requires = "api_key_file")]
    open: Vec<Part>,
    /// The folder of its host in which the server lies behind a proxy, such as /prod. Requests are answered with and
    /// without it
    #[arg(long, value_name = "PATH", default_value = "")]
    base_path: BasePath,
    /// Megabytes of a request's body, 96 at most
    #[arg(long, value_name = "MB", default_value = "16")]
    max_body: usize,
    /// Megapixels of an image
    #[arg(long, value_name = "N", default_value = "40")]
    max_megapixels: f64,
    /// Megabytes in which images are decoded, of all workers together
    #[arg(long, value_name = "MB", default_value = "160")]
    max_memory: u64,
    /// Milliseconds that decoding an image may take; longer, and it is refused with 422
    #[arg(long, value_name = "MS", default_value = "1500")]
    max_decode: u64,
    /// Milliseconds that a request may wait for a worker; longer, and it is turned away with 503
    #[arg(long, value_name = "MS", default_value = "1000")]
    patience: u64,
    /// Open connections
    #[arg(long, value_name = "N", default_value = "12000")]
    max_connections: usize,
}

impl Arguments {
    /// Does what was asked; gives what to print.
    pub fn run(&self) -> Result<String, Failure> {
        match &self.command {
            Some(Command::Check { bundle, image, format }) => {
                let answer = check::check(bundle, image)?;
                Ok(match format {
                    OutputFormat::Text => check::text(&answer),
                    OutputFormat::Json => serde_json::to_string_pretty(&answer).expect("plain values") + "\n",
                })
            }
            None => self.serve.run().map(|()| String::new()),
        }
    }
}

impl ServeArguments {
    fn run(&self) -> Result<(), Failure> {
        let started = Instant::now();
        let folder = self.model.as_ref().ok_or_else(|| {
            Failure::new(Exit::Usage, "no model is named").hint("name a bundle: --model RUN/model")
        })?;
        let processors = || std::thread::available_parallelism().map_or(1, usize::from);
        let workers = self.workers.unwrap_or_else(processors);
        if !(1..=MOST_WORKERS).contains(&workers) {
            let failure =
                Failure::new(Exit::Usage, format!("--workers is not a number from 1 to {MOST_WORKERS}"));
            return Err(failure.hint("leave it out for one per processor"));
        }
        server::check_clock(SystemTime::now())?;
        let service = Arc::new(Service::new(self.settings()?));
        let bundle = Bundle::open(folder)?;
        let unexpected =
            |what: &str, error: std::io::Error| Failure::new(Exit::Unexpected, format!("{what}: {error}"));
        service.load(bundle, workers).map_err(|error| unexpected("cannot start workers", error))?;
        log::write_behind().map_err(|error| unexpected("cannot start the log", error))?;
        say_panics();
        // Waiting for sockets takes little; the workers have the processors.
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads((processors() / 4).max(1))
            .thread_name("sockets")
            .on_thread_start(server::step_back)
            .enable_all()
            .build()
            .map_err(|error| unexpected("cannot start", error))?;
        runtime.block_on(async {
            let listener = server::listen(self.bind).map_err(|error| {
                unexpected(&format!("cannot listen on {}", self.bind), error)
                    .hint("choose another with --bind")
            })?;
            let address = listener.local_addr().unwrap_or(self.bind);
            event(
                "ready",
                json!({
                    "address": format!("http://{address}"),
                    "workers": workers,
                    "milliseconds": (started.elapsed().as_secs_f64() * 1e4).round() / 10.0,
                }),
            );
            let router = router(Arc::clone(&service));
            // Where sockets are, not on the thread that waits here.
            let served = tokio::spawn(server::serve(listener, router, service, server::asked_to_end())).await;
            event("end", json!({}));
            log::finish();
            served.expect("it does not panic").map_err(|error| unexpected("cannot take connections", error))
        })
    }

    fn settings(&self) -> Result<Settings, Failure> {
        let limits = Limits {
            body: self.max_body.saturating_mul(1 << 20),
            megapixels: self.max_megapixels,
            memory: self.max_memory.saturating_mul(1 << 20),
            decode: Duration::from_millis(self.max_decode),
            patience: Duration::from_millis(self.patience),
            connections: self.max_connections,
            rate: self.rate,
            ..Limits::default()
        };
        limits.check()?;
        // A connection more than there are files would be one that nobody takes.
        let connections = limits.connections.min(server::raise_descriptor_limit());
        Ok(Settings {
            limits: Limits { connections, ..limits },
            key: self.api_key_file.as_deref().map(Key::read).transpose()?,
            open: self.open.clone(),
            base: self.base_path.clone(),
        })
    }
}

/// More threads than any machine has processors.
const MOST_WORKERS: usize = 4096;

/// A panic is a line of the log as any other. The usual hook would write it itself, and wait if nobody reads.
fn say_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string);
        event("panic", json!({ "message": panic.payload_as_str(), "place": place }));
    }));
}

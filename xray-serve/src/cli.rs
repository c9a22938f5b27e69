//! The command line.

use crate::environment::FromEnvironment;
use crate::keys::Keys;
use crate::limits::Limits;
use crate::log::{self, event};
use crate::model::Model;
use crate::options::ServiceOptions;
use crate::proxies::{Network, Proxies};
use crate::service::{Service, router};
use crate::settings::Settings;
use crate::signals::{HangUps, asked_to_end};
use crate::{check, check_health, server};
use clap::{Args, Parser, Subcommand, ValueEnum};
use serde_json::json;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;
use std::time::{Instant, SystemTime};
use xray_artifacts::{Exit, Failure};

const EXAMPLES: &str = "\
Examples:
  xray-serve --model RUN/model
  xray-serve --model RUN/export/safetensors-int8 --bind 0.0.0.0:8080 --keys keys.txt --rate 5
  xray-serve --model RUN/model --base-path /xray --trusted-proxy 127.0.0.1
  xray-serve check RUN/model chest.jpg
  curl --data-binary @chest.jpg -H 'Content-Type: image/jpeg' http://127.0.0.1:8080/v1/predict

Where there are keys, everything needs one but /health and /ready (which probes ask), /openapi.json, \
/style.css and /page.js. `--open` shows more without a key, `--require-key` less. A key is sent as \
`Authorization: Bearer KEY`, or in a browser as password.

SIGHUP and POST /admin/reload (with a key) read keys and model again, without a dropped request.

Exit codes: 0 ok · 1 unexpected · 2 usage · 5 bad data · 7 other model or version";

/// Serve a model: a web page and an API that report findings in a chest X-ray.
#[derive(Debug, Parser)]
#[command(after_help = EXAMPLES, arg_required_else_help = true, args_conflicts_with_subcommands = true)]
pub struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    serve: FromEnvironment<ServeArguments>,
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
    /// Ask a server whether it answers, and end with 0 or 1: for containers and scripts
    CheckHealth {
        /// What is asked for
        #[arg(default_value = "http://127.0.0.1:8080/ready")]
        url: String,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum OutputFormat {
    Text,
    Json,
}

#[derive(Debug, Args)]
struct ServeArguments {
    #[command(flatten)]
    service: ServiceOptions,
    /// Where to listen: HOST:PORT. Other machines reach 0.0.0.0; of a name, all addresses are taken
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8080")]
    bind: Place,
    /// Threads that look at images, one image each [default: one per processor]
    #[arg(long, value_name = "N")]
    workers: Option<usize>,
    /// Trusted proxies, whose X-Forwarded-For or Forwarded header names the client: addresses or networks such as
    /// 10.0.0.0/8
    #[arg(long, value_name = "NETWORK,...", value_delimiter = ',')]
    trusted_proxy: Vec<Network>,
    /// Open connections
    #[arg(long, value_name = "N", default_value = "12000")]
    max_connections: usize,
}

/// `HOST:PORT`, of which the host may be a name.
#[derive(Clone, Debug)]
struct Place(String);

impl FromStr for Place {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (host, port) = text.rsplit_once(':').unwrap_or((text, ""));
        let is_bracketed = host.starts_with('[') && host.ends_with(']');
        if host.is_empty() || port.parse::<u16>().is_err() || (host.contains(':') && !is_bracketed) {
            return Err("an address is such as 127.0.0.1:8080, localhost:8080 or [::1]:8080".to_owned());
        }
        Ok(Place(text.to_owned()))
    }
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
            Some(Command::CheckHealth { url }) => check_health::check(url),
            None => self.serve.0.run().map(|()| String::new()),
        }
    }
}

impl ServeArguments {
    fn run(&self) -> Result<(), Failure> {
        let started = Instant::now();
        let folder = self.service.model.as_ref().ok_or_else(|| {
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
        let unexpected =
            |what: &str, error: std::io::Error| Failure::new(Exit::Unexpected, format!("{what}: {error}"));
        // Waiting for sockets takes little; the workers have the processors.
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads((processors() / 4).max(1))
            .thread_name("sockets")
            .on_thread_start(server::step_back)
            .enable_all()
            .build()
            .map_err(|error| unexpected("cannot start", error))?;
        runtime.block_on(async {
            let hang_ups =
                HangUps::listen().map_err(|error| unexpected("cannot listen for signals", error))?;
            let model = Model::open(folder)?;
            let named = json!({ "name": model.name, "hash": model.hash });
            service.load(model, workers).map_err(|error| unexpected("cannot start workers", error))?;
            log::write_behind().map_err(|error| unexpected("cannot start the log", error))?;
            say_panics();
            let Place(place) = &self.bind;
            let listeners = server::listen_at(place).map_err(|error| {
                unexpected(&format!("cannot listen on {place}"), error).hint("choose another with --bind")
            })?;
            let addresses = listeners.iter().filter_map(|listener| listener.local_addr().ok());
            let addresses: Vec<_> = addresses.map(|address| format!("http://{address}")).collect();
            event(
                "ready",
                json!({
                    "address": addresses.first(),
                    "addresses": addresses,
                    "model": named,
                    "keys": service.settings.keys.len(),
                    "workers": workers,
                    "milliseconds": (started.elapsed().as_secs_f64() * 1e4).round() / 10.0,
                }),
            );
            let (router, reloads) = (router(Arc::clone(&service)), hang_ups.reload(Arc::clone(&service)));
            let end = async {
                tokio::select! {
                    () = asked_to_end() => {}
                    () = reloads => {}
                }
            };
            // Where sockets are, not on the thread that waits here.
            let served = tokio::spawn(server::serve(listeners, router, service, end)).await;
            event("end", json!({}));
            log::finish();
            served.expect("it does not panic").map_err(|error| unexpected("cannot take connections", error))
        })
    }

    fn settings(&self) -> Result<Settings, Failure> {
        let limits = Limits { connections: self.max_connections, ..Limits::default() };
        let settings = self.service.settings(limits, Keys::default())?;
        // A connection more than there are files would be one that nobody takes.
        let connections = settings.limits.connections.min(server::raise_descriptor_limit());
        let limits = Limits { connections, ..settings.limits };
        Ok(Settings { limits, proxies: Proxies::new(self.trusted_proxy.clone()), ..settings })
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

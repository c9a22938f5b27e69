//! What a service is told on its command line or in its environment, on a machine and on Lambda alike.

use crate::keys::{KeyFile, Keys};
use crate::limits::Limits;
use crate::log::event;
use crate::origins::{Origin, Origins};
use crate::settings::{BasePath, Closed, Files, Part, Settings};
use clap::Args;
use serde_json::json;
use std::path::PathBuf;
use std::time::Duration;
use xray_artifacts::{Exit, Failure};

/// The flags of a service.
#[derive(Clone, Debug, Args)]
pub struct ServiceOptions {
    /// The folder of model.json and model.safetensors, such as model/ of a run. SIGHUP or POST /admin/reload reads it
    /// again
    #[arg(long, value_name = "BUNDLE")]
    pub model: Option<PathBuf>,
    /// File of accepted keys: lines `NAME = KEY` or `NAME = sha256:DIGITS`. Read again with
    /// the model; the log names the key of each request
    #[arg(long, value_name = "FILE", conflicts_with = "api_key_file")]
    keys: Option<PathBuf>,
    /// File with the one accepted key
    #[arg(long, value_name = "FILE")]
    api_key_file: Option<PathBuf>,
    /// What needs a key, if keys are given
    #[arg(long, value_name = "WHAT", value_enum, default_value = "usual")]
    require_key: Closed,
    /// What is shown without a key all the same
    #[arg(long, value_name = "PART,...", value_enum, value_delimiter = ',')]
    open: Vec<Part>,
    /// Requests of one client in a second, on average; 0 for no limit
    #[arg(long, value_name = "N", default_value = "0")]
    rate: f64,
    /// Base path of the server behind a proxy, such as /prod. Requests are answered with and without it
    #[arg(long, value_name = "PATH", default_value = "")]
    base_path: BasePath,
    /// Origins that browsers may send requests from (CORS), such as `https://viewer.example`, or `*` for all
    #[arg(long, value_name = "ORIGIN,...", value_delimiter = ',')]
    allow_origin: Vec<Origin>,
    /// Megabytes of a request's body, 96 at most [default: 16; on Lambda 4, which is all that it takes]
    #[arg(long, value_name = "MB")]
    max_body: Option<usize>,
    /// Megapixels of an image
    #[arg(long, value_name = "N", default_value = "40")]
    max_megapixels: f64,
    /// Megabytes for decoding images, for all workers together
    #[arg(long, value_name = "MB", default_value = "160")]
    max_memory: u64,
    /// Milliseconds that decoding an image may take; longer, and it is refused with 422
    #[arg(long, value_name = "MS", default_value = "1500")]
    max_decode: u64,
    /// Milliseconds that a request may wait for a worker; longer, and it is turned away with 503
    #[arg(long, value_name = "MS", default_value = "1000")]
    patience: u64,
}

impl ServiceOptions {
    /// What they come to, where other limits are `usual` and a key may be `given` otherwise than in a file.
    ///
    /// # Errors
    /// The first that cannot be.
    pub fn settings(&self, usual: Limits, given: Keys) -> Result<Settings, Failure> {
        let limits = Limits {
            body: self.max_body.map_or(usual.body, |megabytes| megabytes.saturating_mul(1 << 20)),
            megapixels: self.max_megapixels,
            memory: self.max_memory.saturating_mul(1 << 20),
            decode: Duration::from_millis(self.max_decode),
            patience: Duration::from_millis(self.patience),
            rate: self.rate,
            ..usual
        };
        limits.check()?;
        let named = self.keys.clone().map(KeyFile::Named);
        let file = named.or_else(|| self.api_key_file.clone().map(KeyFile::One));
        let keys = match &file {
            Some(file) => {
                let (keys, warning) = file.read()?;
                if let Some(warning) = warning {
                    event("warning", json!({ "message": warning }));
                }
                keys
            }
            None => given,
        };
        self.check_closed(&keys)?;
        Ok(Settings {
            limits,
            keys,
            closed: self.require_key,
            open: self.open.clone(),
            base: self.base_path.clone(),
            origins: Origins::new(self.allow_origin.clone()),
            files: Files { model: self.model.clone(), keys: file },
            ..Settings::default()
        })
    }

    /// That what they say of keys can be true.
    fn check_closed(&self, keys: &Keys) -> Result<(), Failure> {
        let is_usual = self.require_key == Closed::Usual;
        let refused = |what: &str, hint: &str| Err(Failure::new(Exit::Usage, what).hint(hint));
        match (keys.is_empty(), self.open.is_empty()) {
            (true, false) => {
                refused("--open without keys: everything is shown", "give keys with --keys, or leave it out")
            }
            (true, true) if !is_usual => {
                refused("--require-key without keys: there is none to send", "give keys with --keys")
            }
            (false, false) if !is_usual => {
                refused("--open and --require-key contradict each other", "give one of them")
            }
            _ => Ok(()),
        }
    }
}

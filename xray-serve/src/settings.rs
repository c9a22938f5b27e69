//! What a service is told when it starts.

use crate::keys::{KeyFile, Keys};
use crate::limits::Limits;
use crate::origins::Origins;
use crate::proxies::Proxies;
use clap::ValueEnum;
use std::path::PathBuf;
use std::str::FromStr;

/// Everything beside the model.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// Bounds of requests.
    pub limits: Limits,
    /// What whoever asks must send; nothing if there are none.
    pub keys: Keys,
    /// What needs a key.
    pub closed: Closed,
    /// What is shown without a key all the same.
    pub open: Vec<Part>,
    /// Where the service lies on its host.
    pub base: BasePath,
    /// Proxies that are believed when they say for whom they ask.
    pub proxies: Proxies,
    /// Pages of other hosts that may ask from a browser.
    pub origins: Origins,
    /// What is read again when the service is told to.
    pub files: Files,
}

/// Files that a service was started from.
#[derive(Clone, Debug, Default)]
pub struct Files {
    /// The model's folder.
    pub model: Option<PathBuf>,
    /// The keys.
    pub keys: Option<KeyFile>,
}

/// What needs a key, if keys are given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum Closed {
    /// Findings, the page, /info, /metrics, /admin/reload, and any path that does not exist
    #[default]
    Usual,
    /// Also /openapi.json and the page's style and script
    All,
    /// Also /health and /ready, which probes ask
    ProbesToo,
}

/// A part of the service that may be shown without a key. Images are examined with one only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Part {
    /// The form, with what it says of the model
    Page,
    /// The model card and the limits, /info
    Info,
    /// Counters, /metrics
    Metrics,
}

/// The folder of a host in which a service lies: nothing, or such as `/prod`. Requests are answered with and without it,
/// for some proxies take it away.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BasePath(String);

impl BasePath {
    /// Without a `/` at its end.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for BasePath {
    type Err = String;

    fn from_str(path: &str) -> Result<Self, String> {
        let folders = path.strip_prefix('/').unwrap_or(path).trim_end_matches('/');
        if folders.is_empty() {
            return Ok(BasePath::default());
        }
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
        let is_folder = |folder: &str| !matches!(folder, "" | "." | "..") && folder.bytes().all(is_plain);
        if !path.starts_with('/') || !folders.split('/').all(is_folder) {
            return Err("a base path is such as /prod or /tools/xray".to_owned());
        }
        Ok(BasePath(format!("/{folders}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_base_path_is_folders() {
        let parse = |text: &str| text.parse::<BasePath>().map(|base| base.0);
        for (text, expected) in
            [("/prod", "/prod"), ("/prod/", "/prod"), ("/a/b-c", "/a/b-c"), ("/", ""), ("", "")]
        {
            assert_eq!(parse(text).as_deref(), Ok(expected), "{text}");
        }
        for text in ["prod", "/a//b", "//a", "/../x", "/a b", "/{x}", "/a?b", "http://x/", "/*"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}

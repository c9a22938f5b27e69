//! What a service is told when it starts.

use crate::key::Key;
use crate::limits::Limits;
use clap::ValueEnum;
use std::str::FromStr;

/// Everything beside the model.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// Bounds of requests.
    pub limits: Limits,
    /// What whoever asks must send; nothing if there is none.
    pub key: Option<Key>,
    /// What is shown without the key.
    pub open: Vec<Part>,
    /// Where the service lies on its host.
    pub base: BasePath,
}

/// A part of the service that may be shown without the key. Images are examined with it only, and whether the server
/// lives (`/health`, `/ready`) is said to all.
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
        let folders = path.trim_matches('/');
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
        for text in ["prod", "/a//b", "/../x", "/a b", "/{x}", "/a?b", "http://x/", "/*"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}

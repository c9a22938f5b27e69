//! Other people's libraries at the same tasks, as scripts that print their figures as JSON.

use crate::competitor::{Competitor, Environment, TUNED_MALLOC};
use anyhow::{Result, bail};
use clap::Args;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// With whom to compare.
#[derive(Debug, Args)]
pub(crate) struct PeerArguments {
    /// Folder with scripts that measure other libraries at the same tasks
    #[arg(long, value_name = "DIR", requires = "python")]
    peers: Option<PathBuf>,

    /// A Python that can import those libraries, for --peers
    #[arg(long, value_name = "FILE", requires = "peers")]
    python: Option<PathBuf>,
}

impl PeerArguments {
    /// None where none were given; an error where a script is missing.
    pub(crate) fn get(&self, scripts: &[&str]) -> Result<Option<Peers>> {
        let given = self.peers.as_ref().zip(self.python.as_ref());
        given.map(|(folder, python)| Peers::new(folder, python, scripts)).transpose()
    }
}

/// Where the scripts are, and what runs them.
#[derive(Clone, Debug)]
pub(crate) struct Peers {
    scripts: PathBuf,
    python: PathBuf,
}

const TF_DATA: &str = "loader_tfdata.py";
const DATA_LOADER: &str = "loader_torch.py";
/// Those that [`Peers::read`] and [`Peers::load`] need.
pub(crate) const LOADERS: [&str; 2] = [TF_DATA, DATA_LOADER];

impl Peers {
    fn new(folder: &Path, python: &Path, scripts: &[&str]) -> Result<Peers> {
        let folder = std::path::absolute(folder)?;
        if let Some(missing) = scripts.iter().find(|script| !folder.join(script).is_file()) {
            bail!("there is no {missing} in {}", folder.display());
        }
        // Not resolved: that a Python is a link in a virtual environment is what makes it that environment's.
        Ok(Peers { scripts: folder, python: std::path::absolute(python)? })
    }

    /// A script of this crate with arguments.
    pub(crate) fn run(&self, script: &Path, arguments: &[&str]) -> Vec<OsString> {
        let mut command = vec![self.python.clone().into_os_string(), script.into()];
        command.extend(arguments.iter().map(Into::into));
        command
    }

    /// A script with arguments.
    pub(crate) fn command(&self, script: &str, arguments: &[&str]) -> Vec<OsString> {
        self.run(&self.scripts.join(script), arguments)
    }

    /// A script that prints `img_per_s` with `--json`.
    pub(crate) fn competitor(
        &self,
        name: String,
        script: &str,
        arguments: &[&str],
        environment: Environment,
    ) -> Competitor {
        let command = self.command(script, &[&["--json"], arguments].concat());
        Competitor { name, command, environment, rate: "/img_per_s", peaks: &["/peak_rss_mb"] }
    }

    /// Reads all records on one thread.
    pub(crate) fn read(&self, shards: &Path, passes: &[&str]) -> Vec<Competitor> {
        let arguments = [passes, &["--raw", "--workers", "1"]].concat();
        vec![
            self.loader("tf.data, checksums compared", TF_DATA, shards, &arguments, "/gb_per_s"),
            self.loader(
                "DataLoader's file reads, no checksums",
                DATA_LOADER,
                shards,
                &arguments,
                "/gb_per_s",
            ),
        ]
    }

    /// Makes batches of 32 with an antialiased resize.
    pub(crate) fn load(&self, shards: &Path, size: u32, workers: usize, passes: &[&str]) -> Vec<Competitor> {
        let (size, workers) = (size.to_string(), workers.to_string());
        let arguments = [passes, &["--size", &size, "--batch", "32", "--workers", &workers]].concat();
        let antialias = [&arguments[..], &["--resize", "antialias"]].concat();
        vec![
            self.loader("tf.data", TF_DATA, shards, &antialias, "/img_per_s"),
            // Pillow's bilinear filter widens when it shrinks: it antialiases.
            self.loader("PyTorch DataLoader, Pillow", DATA_LOADER, shards, &arguments, "/img_per_s"),
        ]
    }

    fn loader(
        &self,
        name: &str,
        script: &str,
        shards: &Path,
        arguments: &[&str],
        rate: &'static str,
    ) -> Competitor {
        let mut command = self.command(script, &["--json", "--shards"]);
        command.push(shards.into());
        command.extend(arguments.iter().map(Into::into));
        let peaks = &["/peak_rss_mb", "/workers_peak_rss_mb"];
        Competitor { name: name.to_owned(), command, environment: &[TUNED_MALLOC], rate, peaks }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_without_the_scripts_is_refused() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        std::fs::write(folder.path().join(TF_DATA), "").expect("writable");
        let error =
            Peers::new(folder.path(), Path::new("python"), &LOADERS).expect_err("one script is missing");
        assert!(error.to_string().starts_with("there is no loader_torch.py in "), "{error}");
    }

    #[test]
    fn all_sides_get_the_same_task() {
        let peers = Peers { scripts: "/peers".into(), python: "/venv/bin/python".into() };
        for competitor in peers.load(Path::new("/shards"), 224, 2, &["--repeats", "3"]) {
            let line = competitor.command.join(" ".as_ref());
            let line = line.to_str().expect("these paths are text");
            assert!(line.starts_with("/venv/bin/python /peers/loader_"), "{line}");
            let task = "--json --shards /shards --repeats 3 --size 224 --batch 32 --workers 2";
            assert!(line.contains(task), "{line}");
        }
    }
}

//! Other people's loaders, as scripts that print their figures as JSON.

use super::competitor::Competitor;
use anyhow::{Result, bail};
use std::path::{Path, PathBuf};

/// Where the scripts are, and what runs them.
#[derive(Clone, Debug)]
pub(super) struct Peers {
    scripts: PathBuf,
    python: PathBuf,
}

const TF_DATA: &str = "loader_tfdata.py";
const DATA_LOADER: &str = "loader_torch.py";

impl Peers {
    /// Refuses a folder without the scripts.
    pub(super) fn new(scripts: &Path, python: &Path) -> Result<Peers> {
        let scripts = std::path::absolute(scripts)?;
        for script in [TF_DATA, DATA_LOADER] {
            if !scripts.join(script).is_file() {
                bail!("there is no {script} in {}", scripts.display());
            }
        }
        // Not resolved: that a Python is a link in a virtual environment is what makes it that environment's.
        Ok(Peers { scripts, python: std::path::absolute(python)? })
    }

    /// Reads all records on one thread.
    pub(super) fn read(&self, shards: &Path, passes: &[&str]) -> Vec<Competitor> {
        let arguments = [passes, &["--raw", "--workers", "1"]].concat();
        vec![
            self.competitor("tf.data, checksums compared", TF_DATA, shards, &arguments, "/gb_per_s"),
            self.competitor(
                "DataLoader's file reads, no checksums",
                DATA_LOADER,
                shards,
                &arguments,
                "/gb_per_s",
            ),
        ]
    }

    /// Makes batches of 32 with an antialiased resize.
    pub(super) fn load(&self, shards: &Path, size: u32, workers: usize, passes: &[&str]) -> Vec<Competitor> {
        let (size, workers) = (size.to_string(), workers.to_string());
        let arguments = [passes, &["--size", &size, "--batch", "32", "--workers", &workers]].concat();
        let antialias = [&arguments[..], &["--resize", "antialias"]].concat();
        vec![
            self.competitor("tf.data", TF_DATA, shards, &antialias, "/img_per_s"),
            // Pillow's bilinear filter widens when it shrinks: it antialiases.
            self.competitor("PyTorch DataLoader, Pillow", DATA_LOADER, shards, &arguments, "/img_per_s"),
        ]
    }

    fn competitor(
        &self,
        name: &str,
        script: &str,
        shards: &Path,
        arguments: &[&str],
        rate: &'static str,
    ) -> Competitor {
        let mut command = vec![self.python.clone().into_os_string(), self.scripts.join(script).into()];
        command.extend(["--json".into(), "--shards".into(), shards.into()]);
        command.extend(arguments.iter().map(Into::into));
        Competitor { name: name.to_owned(), command, rate, peaks: &["/peak_rss_mb", "/workers_peak_rss_mb"] }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_without_the_scripts_is_refused() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        std::fs::write(folder.path().join(TF_DATA), "").expect("writable");
        let error = Peers::new(folder.path(), Path::new("python")).expect_err("one script is missing");
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

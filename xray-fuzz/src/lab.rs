//! What all attacks share: programs, a small model, good images, limits, and where failures are kept.

use crate::corpus::Kind;
use crate::fault::{Fault, Limits};
use crate::report::{Saved, Tally};
use crate::server::Server;
use crate::{program, table};
use anyhow::{Result, ensure};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use tempfile::TempDir;
use xray_image::{SynthConfig, encode_png, synthesise};
use xray_workspace::{Programs, steps};

pub(crate) struct Lab {
    folder: TempDir,
    programs: Programs,
    pub(crate) limits: Limits,
    saved: Saved,
    /// After so many failures of one attack no more are looked for one by one.
    most_failures: usize,
}

/// How long setting up may take, on a machine that does other things too.
const PATIENCE: Duration = Duration::from_secs(300);

impl Lab {
    /// Draws images and trains a model of no use.
    pub(crate) fn set_up(
        programs: Programs,
        limits: Limits,
        saved: Saved,
        most_failures: usize,
    ) -> Result<Lab> {
        let lab = Lab { folder: TempDir::new()?, programs, limits, saved, most_failures };
        let config =
            SynthConfig { images: table::IMAGES as u64, size: 32, seed: 7, ..SynthConfig::default() };
        fs::create_dir_all(lab.good_images())?;
        for (number, drawn) in synthesise(&config).enumerate() {
            fs::write(lab.good_images().join(table::image(number)), encode_png(&drawn.image))?;
        }
        let pipe = lab.good_images().join(table::PIPE);
        ensure!(steps::succeeds(Command::new("mkfifo").arg(pipe)), "mkfifo makes no pipe");
        let (shards, run) = (lab.path("shards"), lab.path("run"));
        lab.prepare("xray-data", &format!("synth --images 120 --size 32 --out {}", shards.display()))?;
        let train = format!(
            "--data {} --run {} --size 32 --steps 4 --batch-size 8 --set model.width=4",
            shards.display(),
            run.display()
        );
        lab.prepare("xray-train", &train)?;
        Ok(lab)
    }

    fn prepare(&self, name: &str, arguments: &str) -> Result<()> {
        // Training may take what it needs.
        let limits = Limits { address_mib: 1 << 16, ..self.limits };
        let ended = program::run(&self.program(name)?, arguments.split(' '), &limits, PATIENCE)?;
        ensure!(ended.status.success(), "{name} {arguments}: {}\n{}", ended.status, ended.stderr);
        Ok(())
    }

    pub(crate) fn program(&self, name: &str) -> Result<PathBuf> {
        self.programs.path(name)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Images that can be used, and a pipe.
    pub(crate) fn good_images(&self) -> PathBuf {
        self.path("images")
    }

    /// A server with the small model.
    pub(crate) fn server(&self) -> Result<Server> {
        let good = fs::read(self.good_images().join(table::image(0)))?;
        let bundle = self.path("run").join("model");
        Server::start(&self.program("xray-serve")?, &bundle, &self.path("serve.log"), good, self.limits)
    }

    /// Notes a failure and keeps the input.
    pub(crate) fn fail(
        &self,
        tally: &mut Tally,
        (kind, number, bytes): (Kind, u64, &[u8]),
        fault: Fault,
    ) -> Result<()> {
        let path = self.saved.save(kind, number, bytes, &fault.to_string())?;
        eprintln!("{} {number}: {fault} ({})", kind.name(), shown(&path));
        tally.fail(number, fault);
        Ok(())
    }

    /// Keeps an input that someone asked for.
    pub(crate) fn keep(&self, (kind, number, bytes): (Kind, u64, &[u8]), name: &str) -> Result<()> {
        let path = self.saved.save(kind, number, bytes, name)?;
        eprintln!("{} {number}: {name} ({})", kind.name(), shown(&path));
        Ok(())
    }

    /// Whether there are so many failures that it is not worth while to look for more.
    pub(crate) fn is_enough(&self, tally: &Tally) -> bool {
        tally.failed() >= self.most_failures
    }
}

fn shown(path: &Path) -> String {
    path.strip_prefix(steps::root()).unwrap_or(path).display().to_string()
}

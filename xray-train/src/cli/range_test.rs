//! `--find-learning-rate`: a range test in place of a run, and what is told of it.

use super::OutputFormat;
use crate::config::RunConfig;
use crate::observers::Console;
use crate::range_test::{Course, Findings};
use std::path::{Path, PathBuf};
use xray_artifacts::{Exit, Failure, write_bytes};

/// A range test that was asked for.
pub struct RangeTest {
    course: Course,
    chart: Option<PathBuf>,
    is_quiet: bool,
}

impl RangeTest {
    /// Through these rates, with a chart if there is a file for it, perhaps in place of an earlier one.
    ///
    /// # Errors
    /// If that file is not called `.svg`, is there already and not to be overwritten, or has no folder: said before the
    /// work and not after it. If nothing could be overwritten.
    pub fn new(
        course: Course,
        chart: Option<PathBuf>,
        overwrite: bool,
        is_quiet: bool,
    ) -> Result<RangeTest, Failure> {
        match &chart {
            Some(file) => check_place(file, overwrite)?,
            None if overwrite => {
                let message = "--find-learning-rate writes nothing that --overwrite could replace";
                return Err(Failure::new(Exit::Usage, message).hint("name the chart: --out rates.svg"));
            }
            None => {}
        }
        Ok(RangeTest { course, chart, is_quiet })
    }

    /// Does it, draws the chart, and returns what to print. `files` is as for [`Findings::of`].
    pub fn run(&self, config: &RunConfig, files: &Path, format: OutputFormat) -> Result<String, Failure> {
        let findings = Findings::of(config, files, &self.course, &mut Console::new(self.is_quiet))?;
        if let Some(file) = &self.chart {
            write_bytes(file, findings.chart().file().as_bytes())?;
        }
        Ok(match format {
            OutputFormat::Json => {
                serde_json::to_string_pretty(&findings).expect("numbers and strings") + "\n"
            }
            OutputFormat::Text => match &self.chart {
                Some(file) => format!("{}chart: {}\n", findings.text(), file.display()),
                None => findings.text(),
            },
        })
    }
}

fn check_place(file: &Path, overwrite: bool) -> Result<(), Failure> {
    let refuse = |what: &str, hint: &str| {
        Err(Failure::new(Exit::Usage, format!("{} {what}", file.display())).hint(hint))
    };
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty());
    if file.extension().is_none_or(|ending| !ending.eq_ignore_ascii_case("svg")) {
        refuse("is not named .svg", "the chart is a picture: --out rates.svg")
    } else if file.exists() && !overwrite {
        refuse("is there already", "choose another --out, or replace it with --overwrite")
    } else if folder.is_some_and(|folder| !folder.is_dir()) {
        refuse("lies in a folder that does not exist", "make the folder, or choose another --out")
    } else {
        Ok(())
    }
}

//! Work that is disturbed: what the programs do to folders.

use crate::lab::{
    BUILD, BUILD_TAR_GZ, BUILD_ZIP, IMPORT, Lab, PLAN, PREDICT, PREDICT_TAR_GZ, RANGE_TEST, TRAIN,
};
use crate::outcome::{Outcome, outcome, printed};
use crate::step::Step;
use anyhow::Result;
use serde_json::Value;
use std::path::Path;
use xray_workspace::watch::Ending;

/// One piece of work.
#[derive(Clone, Debug)]
pub(crate) struct Scene {
    pub(crate) name: &'static str,
    /// The folder that it begins with.
    pub(crate) template: Option<&'static str>,
    pub(crate) step: Step,
    /// What must be seen of what was there before, when it fails.
    pub(crate) keeps: Keeps,
    /// Whether what it prints counts.
    prints: bool,
}

/// What a failure may have done to files that were there before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Keeps {
    /// Whatever the next start can go on from.
    Progress,
    /// Each file is as it was or as it was to become.
    Each,
    /// All of them are as they were, or all as they were to become.
    Together,
}

/// What the undisturbed work comes to.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Done {
    pub(crate) files: Outcome,
    printed: Value,
}

impl Done {
    pub(crate) fn differences(&self, other: &Done) -> Vec<String> {
        let mut found = self.files.differences(&other.files);
        if self.printed != other.printed {
            found.push(PRINTED.to_owned());
        }
        found
    }
}

/// All of it.
pub(crate) fn scenes() -> Vec<Scene> {
    let scene = |name, template: &'static str, line: &str, keeps| Scene {
        name,
        template: (!template.is_empty()).then_some(template),
        step: Step::new(line),
        keeps,
        prints: false,
    };
    let reading = |name, template, line| Scene { prints: true, ..scene(name, template, line, Keeps::Each) };
    vec![
        scene("train", "", TRAIN, Keeps::Progress),
        scene("resume", "half", TRAIN, Keeps::Progress),
        scene("train again", "run", TRAIN, Keeps::Each),
        scene("cached", "", &format!("{TRAIN} --cache disk"), Keeps::Progress),
        scene("overwrite", "other", &format!("{TRAIN} --overwrite"), Keeps::Progress),
        scene("range test", "", RANGE_TEST, Keeps::Each),
        scene(
            "synth",
            "",
            "xray-data synth --images 60 --size 32 --threads 1 --out FOLDER/shards",
            Keeps::Each,
        ),
        scene("build", "", BUILD, Keeps::Each),
        scene("build zip", "", BUILD_ZIP, Keeps::Each),
        scene("build tar.gz", "", BUILD_TAR_GZ, Keeps::Each),
        scene("build tar.gz over", "built", &format!("{BUILD_TAR_GZ} --overwrite"), Keeps::Together),
        scene("build over", "built", &format!("{BUILD} --overwrite"), Keeps::Together),
        scene(
            "split",
            "",
            "xray-data split --csv LAB/images/labels.csv --labels Mass,Nodule --out FOLDER/split.csv",
            Keeps::Each,
        ),
        scene("publish", "", "xray-data publish LAB/shards FOLDER/web --threads 1", Keeps::Each),
        scene("show", "", "xray-data show LAB/shards --out FOLDER/sheet.png", Keeps::Each),
        reading("check", "data", "xray-data check FOLDER/shards --threads 1"),
        scene("plan", "", PLAN, Keeps::Each),
        scene("plan again", "planned", &format!("{PLAN} --axis loss.name=bce,focal"), Keeps::Each),
        scene("run", "planned", "xray-sweep run FOLDER/sweep --launcher local -j 1", Keeps::Progress),
        scene("collect", "swept", "xray-sweep collect FOLDER/sweep", Keeps::Each),
        scene("collect again", "reported", "xray-sweep collect FOLDER/sweep", Keeps::Each),
        scene("report", "reported", "xray-sweep report FOLDER/sweep", Keeps::Each),
        reading("status", "swept", "xray-sweep status FOLDER/sweep"),
        scene("calibrate", "run", "xray-eval calibrate FOLDER/run", Keeps::Each),
        scene("calibrate again", "calibrated", "xray-eval calibrate FOLDER/run --rule max-f1", Keeps::Each),
        scene(
            "export",
            "run",
            "xray-eval export FOLDER/run --to safetensors --dtype f16 --max-auc-drop 1",
            Keeps::Each,
        ),
        scene(
            "export over",
            "calibrated",
            "xray-eval export FOLDER/run --to onnx --dtype f16 --max-auc-drop 1 --out FOLDER/run/export/onnx-int8",
            Keeps::Each,
        ),
        scene(
            "explain",
            "run",
            "xray-eval explain FOLDER/run --test-records 2 --label Effusion --out FOLDER/maps",
            Keeps::Each,
        ),
        reading("evaluate", "run", "xray-eval run FOLDER/run --format json"),
        scene("import", "run", IMPORT, Keeps::Each),
        scene(
            "ensemble",
            "run",
            "xray-eval ensemble FOLDER/run LAB/templates/other/run --out FOLDER/ensemble.csv",
            Keeps::Each,
        ),
        scene(
            "ensemble bundle",
            "run",
            "xray-eval ensemble FOLDER/run LAB/templates/other/run --out FOLDER/ensemble.csv --bundle FOLDER/bundle",
            Keeps::Each,
        ),
        scene(
            "out of fold",
            "folds",
            "xray-eval out-of-fold FOLDER/fold-0 FOLDER/fold-1 --out FOLDER/out-of-fold.safetensors",
            Keeps::Each,
        ),
        scene("errors", "run", "xray-eval errors FOLDER/run --out FOLDER/errors.html", Keeps::Each),
        scene(
            "embed",
            "run",
            "xray-eval embed FOLDER/run LAB/images --threads 1 --out FOLDER/embeddings.parquet",
            Keeps::Each,
        ),
        scene("predict", "run", PREDICT, Keeps::Each),
        scene("predict tar.gz", "run", PREDICT_TAR_GZ, Keeps::Each),
        scene("predict on", "predicting", PREDICT, Keeps::Each),
        scene("predict parquet", "run", &PREDICT.replace(".csv", ".parquet"), Keeps::Each),
    ]
}

impl Scene {
    /// What is there now and was said.
    pub(crate) fn done(&self, folder: &Path, stdout: &str) -> Result<Done> {
        let printed = if self.prints { printed(stdout, folder) } else { Value::Null };
        Ok(Done { files: outcome(folder)?, printed })
    }

    /// Takes the next start: the same command, with `--overwrite` only where that is said to be needed, and after `retry`
    /// where cells failed.
    pub(crate) fn again(&self, lab: &Lab, folder: &Path) -> Result<Ending> {
        let plain = self.step.without(OVERWRITE);
        let ended = lab.run(&plain, folder, None)?;
        if !ended.status.success() && ended.stderr.contains(OVERWRITE) {
            return lab.run(&plain.and(OVERWRITE), folder, None);
        }
        // A cell that failed is tried again when that is asked for.
        if self.name == "run" && ended.status.code() == Some(SWEEP_INCOMPLETE) {
            lab.must(&Step::new("xray-sweep retry FOLDER/sweep"), folder)?;
            return lab.run(&plain, folder, None);
        }
        Ok(ended)
    }
}

/// What differs when a program prints something else.
pub(crate) const PRINTED: &str = "what is printed";

/// `xray-sweep run` ends so where a cell failed.
const SWEEP_INCOMPLETE: i32 = 4;

const OVERWRITE: &str = "--overwrite";

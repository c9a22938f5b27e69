//! The command line of other data: `xray-eval run --data`, `calibrate --data`.

use super::prediction::{PaceArguments, features, split};
use super::{AppraisalArguments, printed};
use crate::{CalibrationData, ExternalOptions, LabelMap, calibrate_bundle_on, external};
use clap::Args;
use std::path::{Path, PathBuf};
use xray_artifacts::{Exit, Failure, Split};
use xray_cli::print;
use xray_data::FeatureNames;
use xray_data::labels::parse_labels;
use xray_data::sources::csv_table::{Blank, CsvColumns};
use xray_data::sources::{Join, LabelSet, LabelledOptions, ViewFilter};

/// Another data set.
#[derive(Debug, Args)]
#[command(next_help_heading = "Another data set")]
pub(super) struct DataArguments {
    /// Evaluate on other data: shards, TFRecords, a published data set as downloaded (ChestX-ray14, CheXpert,
    /// MIMIC-CXR-JPG, PadChest, VinDr-CXR and others), a table, or a folder of images with --truth
    #[arg(long, value_name = "PATH")]
    pub(super) data: Option<PathBuf>,
    /// Table with the true labels of the images of --data, by their names
    #[arg(long, value_name = "TABLE", requires = "data")]
    truth: Option<PathBuf>,
    /// Matches labels of the model and of the data, where names differ: 'MODEL LABEL=DATA LABEL', or a CSV file with
    /// the columns model and data
    #[arg(long, value_name = "MAP", requires = "data")]
    map: Vec<String>,
    /// The labels that the table has, as one line of CSV [default: those of ChestX-ray14 among its columns]
    #[arg(long, value_name = "A,B,...", requires = "data")]
    labels: Option<String>,
    /// Column of the table with the image's path or name
    #[arg(long, value_name = "NAME", requires = "data")]
    path_column: Option<String>,
    /// Column of the table with the patient
    #[arg(long, value_name = "NAME", requires = "data")]
    patient_column: Option<String>,
    /// Column of the table with lists of findings
    #[arg(long, value_name = "NAME", requires = "data")]
    findings_column: Option<String>,
    /// What a blank label cell of the table says [default: unknown]
    #[arg(long, value_enum, value_name = "WHAT", requires = "data")]
    blank: Option<Blank>,
    /// How several rows of an image, one per reader or box, become one [default: refused; for VinDr-CXR the majority]
    #[arg(long, value_enum, value_name = "RULE", requires = "data")]
    rows: Option<Join>,
    /// Whose labels a published data set gets [default: own]
    #[arg(long, value_enum, value_name = "SET", requires = "data")]
    label_set: Option<LabelSet>,
    /// Use images of this view only
    #[arg(long, value_enum, value_name = "VIEW", requires = "data")]
    view: Option<ViewFilter>,
    /// Names of the features in TFRecords: kaggle-nih, image-encoded, jpg-bytes or chexpert-lower
    #[arg(long, value_name = "PRESET", value_parser = features, requires = "data")]
    features: Option<FeatureNames>,
    #[command(flatten)]
    pub(super) pace: PaceArguments,
}

/// What is done with it.
#[derive(Debug, Args)]
#[command(next_help_heading = "Another data set")]
pub(super) struct ElsewhereArguments {
    #[command(flatten)]
    pub(super) of: DataArguments,
    /// Only records of this split of --data: train, val or test
    #[arg(long, value_name = "SPLIT", value_parser = split, requires = "data")]
    split: Option<Split>,
    /// Calibrate again on the records of this split of --data, and report on the other splits
    #[arg(long, value_name = "SPLIT", value_parser = split, requires = "data")]
    recalibrate_on: Option<Split>,
    /// Equal patient identifiers in the two data sets belong to different people
    #[arg(long, requires = "data")]
    other_patients: bool,
}

impl DataArguments {
    /// How the data are read.
    fn labelled(&self) -> LabelledOptions {
        let columns = CsvColumns {
            path: self.path_column.clone(),
            patient: self.patient_column.clone(),
            findings: self.findings_column.clone(),
            labels: self.labels.as_deref().map(parse_labels).unwrap_or_default(),
            blank: self.blank.unwrap_or_default(),
            join: self.rows,
            // A finding that nobody has there is a result too.
            allow_empty: true,
            ..CsvColumns::default()
        };
        LabelledOptions {
            truth: self.truth.clone(),
            columns,
            features: self.features.clone(),
            label_set: self.label_set.unwrap_or_default(),
            view: self.view,
            // Nothing is written that it could lie beside.
            keep_in: Some(std::env::temp_dir()),
        }
    }

    /// Calibrates a bundle on it.
    pub(super) fn calibrate(&self, bundle: &Path, appraisal: &AppraisalArguments) -> Result<Exit, Failure> {
        let of = CalibrationData {
            data: self.data.clone().unwrap_or_default(),
            labelled: self.labelled(),
            map: LabelMap::read(&self.map)?,
            backend: self.pace.backend,
            pace: self.pace.pace(),
        };
        match calibrate_bundle_on(bundle, &of, &appraisal.options())? {
            Ok(mut found) => {
                found.appraisal.notes.extend(appraisal.draws.notes());
                print(&printed(appraisal.format, &found, || found.text()))?;
                Ok(Exit::Ok)
            }
            Err(stopped) => Ok(stopped),
        }
    }
}

impl ElsewhereArguments {
    pub(super) fn run(&self, model: &Path, appraisal: &AppraisalArguments) -> Result<Exit, Failure> {
        let options = ExternalOptions {
            data: self.of.data.clone().unwrap_or_default(),
            labelled: self.of.labelled(),
            map: LabelMap::read(&self.of.map)?,
            split: self.split,
            recalibrate_on: self.recalibrate_on,
            other_patients: self.other_patients,
            rule: appraisal.rule,
            calibration: appraisal.calibration,
            backend: self.of.pace.backend,
            pace: self.of.pace.pace(),
        };
        match external(model, &options)? {
            Ok(mut found) => {
                found.notes.extend(appraisal.draws.notes());
                print(&printed(appraisal.format, &found, || found.text()))?;
                Ok(Exit::Ok)
            }
            Err(stopped) => Ok(stopped),
        }
    }
}

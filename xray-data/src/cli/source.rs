//! Options of the commands that read a source of images and labels.

use clap::{Args, ValueEnum};
use std::path::{Path, PathBuf};
use xray_artifacts::{Exit, Failure};
use xray_data::labels::nih_14;
use xray_data::sources::{
    ImageFolder, ImageRow, Listing, Missing, SourceSet, csv_table, csv_table::CsvColumns, nih, tfrecord,
    tfrecord::RecordOptions,
};
use xray_data::split::{Assigned, NameList, SplitPlan, assign};
use xray_data::{FeatureNames, Preset, split_file};

/// Where images and labels come from.
#[derive(Debug, Args)]
pub(super) struct SourceArguments {
    #[command(flatten)]
    kind: SourceKind,

    /// Table of labels, where the folder of images holds none; for --tfrecord a table that says whose images
    /// they are. May be packed (.gz)
    #[arg(long, value_name = "FILE", help_heading = "Source")]
    labels_csv: Option<PathBuf>,

    /// Folder of images that the paths of --csv start from [default: the table's folder]
    #[arg(long, value_name = "DIR", help_heading = "Source", requires = "csv")]
    images: Option<PathBuf>,

    /// The labels to keep, in this order [default: the fourteen of ChestX-ray14, or those the table has]
    #[arg(long, value_name = "A,B,...", value_delimiter = ',', help_heading = "Source")]
    labels: Vec<String>,

    /// Column with the image's path
    #[arg(long, value_name = "NAME", help_heading = "Columns of a table")]
    path_column: Option<String>,

    /// Column with the patient
    #[arg(long, value_name = "NAME", help_heading = "Columns of a table")]
    patient_column: Option<String>,

    /// Column with findings joined by `|`, where labels have no columns of their own
    #[arg(long, value_name = "NAME", help_heading = "Columns of a table")]
    findings_column: Option<String>,

    /// Names of the features in TFRecords [default: they are recognised]
    #[arg(long, value_enum, value_name = "PRESET", help_heading = "Source", requires = "tfrecord")]
    features: Option<FeaturePreset>,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct SourceKind {
    /// Folder of ChestX-ray14: Data_Entry_2017*.csv and the images in any folders below
    #[arg(long, value_name = "DIR", help_heading = "Source")]
    nih: Option<PathBuf>,

    /// Any table with a path, a patient and labels in each row
    #[arg(long, value_name = "FILE", help_heading = "Source")]
    csv: Option<PathBuf>,

    /// Folder of TFRecords (*.tfrec, *.tfrecord, also packed or NAME-00000-of-00002; folders train, val and
    /// test in it), or a data set to build anew. Splits that its files carry are kept
    #[arg(long, value_name = "DIR", help_heading = "Source")]
    tfrecord: Option<PathBuf>,

    /// Folder of DICOM files; --labels-csv names them by file or SOP Instance UID
    #[arg(long, value_name = "DIR", help_heading = "Source", requires = "labels_csv")]
    dicom: Option<PathBuf>,
}

/// Presets of feature names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum FeaturePreset {
    /// image, image_id and one integer per label: the Kaggle set nih-chest-xrays-tfrecords
    KaggleNih,
    /// image/encoded and image/filename
    ImageEncoded,
    /// jpg_bytes: MIMIC-CXR
    JpgBytes,
    /// Lower-case labels as floats, -1 for uncertain: CheXpert
    ChexpertLower,
}

impl FeaturePreset {
    pub(super) fn names(self) -> FeatureNames {
        match self {
            FeaturePreset::KaggleNih => Preset::KaggleNih.feature_names(),
            FeaturePreset::ImageEncoded => Preset::ImageEncoded.feature_names(),
            FeaturePreset::JpgBytes => Preset::JpgBytes.feature_names(),
            FeaturePreset::ChexpertLower => Preset::ChexpertLower.feature_names(),
        }
    }
}

/// How images are given to train, val and test.
#[derive(Debug, Args)]
pub(super) struct SplitChoice {
    /// Fraction of the patients in val
    #[arg(long, value_name = "F", default_value_t = 0.1, help_heading = "Split")]
    val: f64,

    /// Fraction of the patients in test
    #[arg(long, value_name = "F", default_value_t = 0.2, help_heading = "Split")]
    test: f64,

    /// Draws the split and orders the train images
    #[arg(long, value_name = "N", default_value_t = 0, help_heading = "Split")]
    pub(super) seed: u64,
}

/// The same for sources that may bring a split of their own.
#[derive(Debug, Args)]
pub(super) struct SplitOptions {
    #[command(flatten)]
    pub(super) draw: SplitChoice,

    /// Official list of the images that are not for testing, such as train_val_list.txt; --val is drawn from
    /// its patients
    #[arg(long, value_name = "FILE", requires = "test_list", help_heading = "Split")]
    train_list: Option<PathBuf>,

    /// Official list of the images for testing, such as test_list.txt
    #[arg(long, value_name = "FILE", requires = "train_list", help_heading = "Split")]
    test_list: Option<PathBuf>,

    /// Column that says train, val or test
    #[arg(long, value_name = "NAME", conflicts_with_all = ["test_list", "split_file"], help_heading = "Split")]
    split_column: Option<String>,

    /// Table image_id,patient_id,split as `xray-data split` writes it
    #[arg(long, value_name = "FILE", conflicts_with = "test_list", help_heading = "Split")]
    split_file: Option<PathBuf>,

    /// Draw the splits by patient, whatever the source says of them: its test images may be trained on
    #[arg(long, conflicts_with_all = ["test_list", "split_file", "split_column"], help_heading = "Split")]
    redraw_splits: bool,
}

impl SplitChoice {
    pub(super) fn plan(&self) -> SplitPlan {
        SplitPlan::Patients { val: self.val, test: self.test }
    }
}

impl SplitOptions {
    pub(super) fn plan(&self) -> Result<SplitPlan, Failure> {
        Ok(match (&self.train_list, &self.test_list) {
            (Some(train_val), Some(test)) => SplitPlan::Official {
                train_val: NameList::read(train_val)?,
                test: NameList::read(test)?,
                val: self.draw.val,
            },
            _ if self.split_column.is_some() || self.split_file.is_some() => SplitPlan::Column,
            _ if self.redraw_splits => self.draw.plan(),
            _ => SplitPlan::Carried { val: self.draw.val, test: self.draw.test },
        })
    }

    pub(super) fn assign(&self, rows: &mut [ImageRow]) -> Result<Assigned, Failure> {
        let moved = self.apply_file(rows.iter_mut())?;
        let mut assigned = assign(&rows.iter().collect::<Vec<_>>(), &self.plan()?, self.draw.seed)?;
        assigned.warnings.extend(moved);
        Ok(assigned)
    }

    fn apply_file<'a>(&self, rows: impl Iterator<Item = &'a mut ImageRow>) -> Result<Vec<String>, Failure> {
        match &self.split_file {
            Some(file) => Ok(split_file::apply(file, rows)?),
            None => Ok(Vec::new()),
        }
    }
}

impl SourceArguments {
    /// The whole source, every image looked up.
    pub(super) fn read(&self, split: &SplitOptions, missing: Missing) -> Result<SourceSet, Failure> {
        let mut set = match (self.listing(split)?, &self.kind) {
            (Some((listing, folder)), _) => listing.locate(&ImageFolder::scan(&folder)?, missing)?,
            (None, SourceKind { tfrecord: Some(folder), .. }) => self.read_records(folder)?,
            (None, kind) => self.read_other(kind, split, missing)?,
        };
        let moved = split.apply_file(set.images.iter_mut().map(|image| &mut image.row))?;
        set.warnings.extend(moved);
        Ok(set)
    }

    /// What the source says of each image; tables are read without their images.
    pub(super) fn rows(&self, split: &SplitOptions) -> Result<Vec<ImageRow>, Failure> {
        if let Some((listing, _)) = self.listing(split)? {
            return Ok(listing.rows.into_iter().map(|listed| listed.row).collect());
        }
        let set = self.read(split, Missing::Skip)?;
        Ok(set.images.into_iter().map(|image| image.row).collect())
    }

    /// For sources that are a table beside a folder of images: the table, and the folder.
    fn listing(&self, split: &SplitOptions) -> Result<Option<(Listing, PathBuf)>, Failure> {
        if let Some(folder) = &self.kind.nih {
            if split.split_column.is_some() || self.path_column.is_some() || self.patient_column.is_some() {
                return Err(Failure::new(Exit::Usage, "the columns of a Data_Entry table are known")
                    .hint("read a table of another layout with --csv FILE --images DIR"));
            }
            let table = self.labels_csv.clone().map_or_else(|| nih::find_table(folder), Ok)?;
            let labels = if self.labels.is_empty() { nih_14() } else { self.labels.clone() };
            return Ok(Some((nih::read(&table, &labels)?, folder.clone())));
        }
        let Some(table) = &self.kind.csv else { return Ok(None) };
        let beside = table.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let images = self.images.clone().unwrap_or_else(|| beside.to_owned());
        Ok(Some((csv_table::read(table, &self.columns(split))?, images)))
    }

    fn read_records(&self, folder: &Path) -> Result<SourceSet, Failure> {
        let names = self.features.map(FeaturePreset::names);
        let (labels, patients) = (self.labels.clone(), self.labels_csv.clone());
        Ok(tfrecord::read(folder, &RecordOptions { names, labels, allow_empty: false, patients })?)
    }

    fn read_other(
        &self,
        kind: &SourceKind,
        split: &SplitOptions,
        missing: Missing,
    ) -> Result<SourceSet, Failure> {
        let (Some(folder), Some(table)) = (&kind.dicom, &self.labels_csv) else { return Err(no_source()) };
        Ok(xray_data::sources::dicom::read(folder, table, &self.columns(split), missing)?)
    }

    fn columns(&self, split: &SplitOptions) -> CsvColumns {
        CsvColumns {
            path: self.path_column.clone(),
            patient: self.patient_column.clone(),
            split: split.split_column.clone(),
            findings: self.findings_column.clone(),
            labels: self.labels.clone(),
        }
    }
}

fn no_source() -> Failure {
    Failure::new(Exit::Usage, "no source was given").hint("name one with --nih, --csv or --tfrecord")
}

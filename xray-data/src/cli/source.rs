//! Options of the commands that read a source of images and labels.

use super::kind::{Part, SourceKind};
use clap::{Args, ValueEnum};
use std::path::{Path, PathBuf};
use xray_artifacts::{Exit, Failure};
use xray_cli::say;
use xray_data::labels::{check_names, nih_14, parse_labels};
use xray_data::sources::{
    ImageFolder, ImageRow, Join, Keep, LabelSet, Listing, Missing, Release, ReleaseOptions, SourceSet,
    ViewFilter, beside, combine, csv_table, csv_table::Blank, csv_table::CsvColumns, nih, tfrecord,
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

    /// Folder of images, where they are not beside the tables: for --csv the folder that its paths start from
    #[arg(long, value_name = "DIR", help_heading = "Source", conflicts_with_all = ["tfrecord", "dicom"])]
    images: Option<PathBuf>,

    /// Labels to keep, in this order, as one line of CSV: quote a name that contains a comma [default: the
    /// fourteen of ChestX-ray14, or those of them that the table has]
    #[arg(long, value_name = "A,B,...", value_parser = label_names, help_heading = "Source")]
    labels: Vec<LabelNames>,

    /// Keep labels without a positive image
    #[arg(long, help_heading = "Source")]
    allow_empty_labels: bool,

    /// Whose labels a published data set gets; the map is printed and kept in dataset.json
    /// [default: own; nih where several sources become one set]
    #[arg(long, value_enum, value_name = "SET", help_heading = "Source",
          conflicts_with_all = ["csv", "dicom"])]
    label_set: Option<LabelSet>,

    /// Keep images of this view only, by the source
    #[arg(long, value_enum, value_name = "VIEW", help_heading = "Source")]
    view: Option<ViewFilter>,

    /// Column with the image's path
    #[arg(long, value_name = "NAME", help_heading = "Columns of a table")]
    path_column: Option<String>,

    /// Column with the patient
    #[arg(long, value_name = "NAME", help_heading = "Columns of a table")]
    patient_column: Option<String>,

    /// Column with lists of findings, where labels have no columns of their own: joined by `|`, `;` or `,`, or as
    /// Python prints a list
    #[arg(long, value_name = "NAME", help_heading = "Columns of a table")]
    findings_column: Option<String>,

    /// Separator of columns: a character, or `tab` [default: `,`, `;` or tab, as the header line shows]
    #[arg(long, value_name = "C", value_parser = separator, help_heading = "Columns of a table")]
    separator: Option<char>,

    /// Meaning of a blank label cell [default: unknown]
    #[arg(long, value_enum, value_name = "WHAT", help_heading = "Columns of a table")]
    blank: Option<Blank>,

    /// How several rows of an image, one per reader or box, become one [default: they are refused; for --vindr majority].
    /// For --nih-experts it takes the labels of single readers, in place of what they agreed on
    #[arg(long, value_enum, value_name = "RULE", help_heading = "Columns of a table")]
    rows: Option<Join>,

    /// Names of the features in TFRecords [default: they are recognised]
    #[arg(long, value_enum, value_name = "PRESET", help_heading = "Source", requires = "tfrecord")]
    features: Option<FeaturePreset>,
}

/// The names in one `--labels`.
pub(super) type LabelNames = Vec<String>;

/// Reads them.
pub(super) fn label_names(text: &str) -> Result<LabelNames, String> {
    match parse_labels(text) {
        names if names.is_empty() => Err("no label is named".to_owned()),
        names => Ok(names),
    }
}

fn separator(text: &str) -> Result<char, String> {
    let mut characters = text.chars();
    match (text, characters.next(), characters.next()) {
        ("tab" | "\\t", ..) => Ok('\t'),
        (_, Some(one), None) if one.is_ascii() && one != '"' && (!one.is_control() || one == '\t') => Ok(one),
        _ => Err("not one ASCII character, nor `tab`".to_owned()),
    }
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

    /// Seed of the split and of the order of train images
    #[arg(long, value_name = "N", default_value_t = 0, help_heading = "Split")]
    pub(super) seed: u64,
}

/// Splits of sources that may bring their own.
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

    /// Draw the splits by patient, ignoring those of the source: its test images may be trained on
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

    /// Whether the splits of the source are not wanted.
    fn gives_splits(&self) -> bool {
        self.redraw_splits || self.test_list.is_some() || self.split_file.is_some()
    }

    fn apply_file<'a>(&self, rows: impl Iterator<Item = &'a mut ImageRow>) -> Result<Vec<String>, Failure> {
        match &self.split_file {
            Some(file) => Ok(split_file::apply(file, rows)?),
            None => Ok(Vec::new()),
        }
    }
}

impl SourceArguments {
    /// The whole source, every image looked up; `keep` takes those that come by in an archive. Says how it was read.
    pub(super) fn read(
        &self,
        split: &SplitOptions,
        missing: Missing,
        skip_bad: bool,
        keep: Option<&Keep<'_>>,
    ) -> Result<SourceSet, Failure> {
        let parts = self.kind.parts()?;
        let mut set = match parts.is_empty() {
            true => self.read_one(split, missing, skip_bad, keep)?,
            false => self.read_parts(parts, split, missing, keep)?,
        };
        if let Some(view) = self.view {
            set.keep_view(view)?;
        }
        for note in &set.notes {
            say(format_args!("note: {note}"));
        }
        let moved = split.apply_file(set.images.iter_mut().map(|image| &mut image.row))?;
        set.warnings.extend(moved);
        Ok(set)
    }

    /// What the source says of each image, and what a person should know; tables are read without their images, unless
    /// these have to tell the view.
    pub(super) fn rows(&self, split: &SplitOptions) -> Result<(Vec<ImageRow>, Vec<String>), Failure> {
        if self.kind.parts()?.is_empty()
            && let Some((listing, _)) = self.listing(split)?
            && (self.view.is_none() || !listing.lookup.headers)
        {
            let Listing { mut rows, mut notes, warnings, .. } = listing;
            if let Some(view) = self.view {
                notes.extend(view.keep_rows(&mut rows)?);
            }
            for note in notes {
                say(format_args!("note: {note}"));
            }
            return Ok((rows.into_iter().map(|listed| listed.row).collect(), warnings));
        }
        let set = self.read(split, Missing::Skip, false, None)?;
        Ok((set.images.into_iter().map(|image| image.row).collect(), set.warnings))
    }

    fn read_one(
        &self,
        split: &SplitOptions,
        missing: Missing,
        skip_bad: bool,
        keep: Option<&Keep<'_>>,
    ) -> Result<SourceSet, Failure> {
        match (self.listing(split)?, self.kind.tfrecord.first()) {
            (Some((listing, folder)), _) => {
                Ok(listing.locate(&ImageFolder::scan(&folder)?, missing, keep)?)
            }
            (None, Some(folder)) => self.read_records(folder, self.labels()),
            (None, None) => self.read_other(&self.kind, split, missing, skip_bad),
        }
    }

    /// Several sources as one set.
    fn read_parts(
        &self,
        parts: Vec<(String, Part<'_>)>,
        split: &SplitOptions,
        missing: Missing,
        keep: Option<&Keep<'_>>,
    ) -> Result<SourceSet, Failure> {
        let given = [
            ("images", self.images.is_some()),
            ("labels-csv", self.labels_csv.is_some()),
            ("features", self.features.is_some()),
        ];
        if let Some((option, _)) = given.into_iter().find(|(_, given)| *given) {
            return Err(Failure::new(Exit::Usage, format!("--{option} does not say of which source it is"))
                .hint(
                    "build that source by itself, then name its folder with --tfrecord beside the others",
                ));
        }
        let published: Vec<Release> = self.kind.named().into_iter().map(|(release, _)| release).collect();
        let idle =
            self.table_options().into_iter().find(|option| !published.iter().any(|r| takes(*r, option)));
        if let Some(option) = idle {
            return Err(Failure::new(Exit::Usage, format!("--{option} acts on none of these sources"))
                .hint("the tables of published data sets are known"));
        }
        let mut sets = Vec::with_capacity(parts.len());
        for (name, part) in parts {
            let mut set = match part {
                Part::Records(folder) => self.read_records(folder, Vec::new())?,
                Part::Published(release, folder) => {
                    let set = self.label_set.unwrap_or(LabelSet::Nih);
                    let mut listing = release.read(folder, &self.release_options(set, Vec::new(), split))?;
                    if let Some(view) = self.view {
                        listing.keep_view(view)?;
                    }
                    listing.locate(&ImageFolder::scan(folder)?, missing, keep)?
                }
            };
            if let Some(view) = self.view {
                set.keep_view(view)?;
            }
            sets.push((name, set));
        }
        let mut all = combine(sets);
        let labels = self.labels();
        check_names(&labels).map_err(|problem| Failure::new(Exit::Usage, problem.to_string()))?;
        if !labels.is_empty() {
            all.select(&labels, self.allow_empty_labels)?;
        }
        Ok(all)
    }

    /// For sources that are tables beside a folder of images: the tables, and the folder. Images that are known not to
    /// be of the wanted view are left out, so that nobody misses their files.
    fn listing(&self, split: &SplitOptions) -> Result<Option<(Listing, PathBuf)>, Failure> {
        let found = match (&self.kind.nih, self.kind.named().first()) {
            (Some(folder), _) => Some(self.read_nih(folder, split)?),
            (None, Some((release, folder))) => Some(self.read_release(*release, folder, split)?),
            (None, None) => self.kind.csv.as_ref().map(|table| self.read_table(table, split)).transpose()?,
        };
        let Some((mut listing, folder)) = found else { return Ok(None) };
        if let Some(view) = self.view {
            listing.keep_view(view)?;
        }
        Ok(Some((listing, folder)))
    }

    fn read_table(&self, table: &Path, split: &SplitOptions) -> Result<(Listing, PathBuf), Failure> {
        let images = self.images.clone().unwrap_or_else(|| beside(table).to_owned());
        Ok((csv_table::read(table, &self.columns(split))?, images))
    }

    fn read_nih(&self, folder: &Path, split: &SplitOptions) -> Result<(Listing, PathBuf), Failure> {
        if self.table_option().is_some() || split.split_column.is_some() {
            return Err(Failure::new(Exit::Usage, "the columns of a Data_Entry table are known")
                .hint("read a table of another layout with --csv FILE --images DIR"));
        }
        let table = self.labels_csv.clone().map_or_else(|| nih::find_table(folder), Ok)?;
        let labels = self.labels();
        let chosen = !labels.is_empty();
        let listing = nih::read(&table, &if chosen { labels } else { nih_14() })?;
        let listing =
            if chosen && !self.allow_empty_labels { listing.refuse_empty_labels()? } else { listing };
        Ok((listing, self.images.clone().unwrap_or_else(|| folder.to_owned())))
    }

    fn read_release(
        &self,
        release: Release,
        folder: &Path,
        split: &SplitOptions,
    ) -> Result<(Listing, PathBuf), Failure> {
        let not_taken = self.table_options().into_iter().find(|option| !takes(release, option));
        let not_taken = not_taken.or(self.labels_csv.as_ref().map(|_| "labels-csv"));
        if let Some(option) = not_taken.or(split.split_column.as_ref().map(|_| "split-column")) {
            let why = format!("--{option} does not act on --{}", release.name());
            return Err(Failure::new(Exit::Usage, why)
                .hint("its tables are known; one of another layout is read with --csv FILE --images DIR"));
        }
        let options = self.release_options(self.label_set.unwrap_or_default(), self.labels(), split);
        let listing = release.read(folder, &options)?;
        Ok((listing, self.images.clone().unwrap_or_else(|| folder.to_owned())))
    }

    fn release_options(
        &self,
        label_set: LabelSet,
        labels: Vec<String>,
        split: &SplitOptions,
    ) -> ReleaseOptions {
        ReleaseOptions {
            label_set,
            labels,
            allow_empty: self.allow_empty_labels,
            blank: self.blank.unwrap_or_default(),
            join: self.rows,
            other_splits: split.gives_splits(),
        }
    }

    fn read_records(&self, folder: &Path, labels: Vec<String>) -> Result<SourceSet, Failure> {
        if let Some(option) = self.table_option().filter(|_| self.kind.named().is_empty()) {
            return Err(Failure::new(Exit::Usage, format!("--{option} is for tables of labels"))
                .hint("in TFRecords features have names: --labels says which to keep"));
        }
        let names = self.features.map(FeaturePreset::names);
        let (patients, allow_empty) = (self.labels_csv.clone(), self.allow_empty_labels);
        Ok(tfrecord::read(folder, &RecordOptions { names, labels, allow_empty, patients })?)
    }

    fn read_other(
        &self,
        kind: &SourceKind,
        split: &SplitOptions,
        missing: Missing,
        skip_bad: bool,
    ) -> Result<SourceSet, Failure> {
        let (Some(folder), Some(table)) = (&kind.dicom, &self.labels_csv) else { return Err(no_source()) };
        Ok(xray_data::sources::dicom::read(folder, table, &self.columns(split), missing, skip_bad)?)
    }

    fn columns(&self, split: &SplitOptions) -> CsvColumns {
        CsvColumns {
            path: self.path_column.clone(),
            patient: self.patient_column.clone(),
            split: split.split_column.clone(),
            other_splits: split.gives_splits(),
            findings: self.findings_column.clone(),
            labels: self.labels(),
            separator: self.separator,
            blank: self.blank.unwrap_or_default(),
            join: self.rows,
            allow_empty: self.allow_empty_labels,
            unlabelled: false,
        }
    }

    fn labels(&self) -> Vec<String> {
        self.labels.iter().flatten().cloned().collect()
    }

    /// An option that only means something for a table of any layout.
    fn table_option(&self) -> Option<&'static str> {
        self.table_options().first().copied()
    }

    fn table_options(&self) -> Vec<&'static str> {
        let given = [
            ("path-column", self.path_column.is_some()),
            ("patient-column", self.patient_column.is_some()),
            ("findings-column", self.findings_column.is_some()),
            ("separator", self.separator.is_some()),
            ("blank", self.blank.is_some()),
            ("rows", self.rows.is_some()),
        ];
        given.into_iter().filter(|(_, given)| *given).map(|(option, _)| option).collect()
    }
}

/// Whether an option for tables acts on a published data set.
fn takes(release: Release, option: &str) -> bool {
    match option {
        "blank" => matches!(release, Release::Chexpert | Release::Mimic),
        "rows" => matches!(release, Release::Vindr | Release::NihExperts),
        _ => false,
    }
}

fn no_source() -> Failure {
    Failure::new(Exit::Usage, "no source was given")
        .hint("name a published data set, such as --nih DIR, or --csv FILE, --tfrecord DIR or --dicom DIR")
}

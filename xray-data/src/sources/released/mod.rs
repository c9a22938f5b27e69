//! Published data sets as they are downloaded: each a preset of tables, columns, labels and a map of its labels to those of
//! ChestX-ray14, over one way of reading them.
//!
//! Every column is accounted for: used, known and not used, or refused. What was read how becomes the notes of the listing
//! and of the manifest.

mod cells;
mod chexpert;
mod experts;
mod labels;
mod mimic;
mod padchest;
mod rsna;
mod siim;
mod tables;
mod vindr;

pub use labels::{Equivalent, LabelSet};
pub(super) use tables::{Known, table_in};

use super::csv_table::Blank;
use super::{Join, Listed, Listing, Lookup, nih, select_labels};
use crate::error::{Error, Result};
use crate::labels::{NIH_14, nih_14};
use std::path::{Path, PathBuf};

/// A published data set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Release {
    /// NIH ChestX-ray14.
    Nih,
    /// CheXpert, of full size, small, or in batches.
    Chexpert,
    /// MIMIC-CXR-JPG, or the DICOM files of MIMIC-CXR with its tables.
    Mimic,
    /// PadChest.
    Padchest,
    /// VinDr-CXR from PhysioNet, or of the VinBigData challenge.
    Vindr,
    /// The RSNA Pneumonia Detection Challenge.
    Rsna,
    /// The SIIM-ACR Pneumothorax Segmentation challenge.
    Siim,
    /// Google's expert labels of images of ChestX-ray14.
    NihExperts,
}

/// How a published data set is read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReleaseOptions {
    /// Whose labels.
    pub label_set: LabelSet,
    /// The labels to keep of that set, in this order; where empty, all.
    pub labels: Vec<String>,
    /// Keep labels that were asked for and that no image shows.
    pub allow_empty: bool,
    /// What a blank label cell says, where the data set has such.
    pub blank: Blank,
    /// How several readers of an image agree, where the data set has such; a majority where none. Of the expert labels of
    /// ChestX-ray14 it asks for what single readers said, in place of what they agreed on.
    pub join: Option<Join>,
    /// The data set's own splits are not wanted: the table of them may be absent.
    pub other_splits: bool,
}

/// What a preset makes of its tables.
struct Draft {
    tables: Vec<PathBuf>,
    /// The data set's own, in the order of every row's labels.
    labels: Vec<String>,
    rows: Vec<Listed>,
    notes: Vec<String>,
    warnings: Vec<String>,
}

impl Release {
    /// All of them.
    pub const ALL: [Release; 8] = [
        Release::Nih,
        Release::Chexpert,
        Release::Mimic,
        Release::Padchest,
        Release::Vindr,
        Release::Rsna,
        Release::Siim,
        Release::NihExperts,
    ];

    /// Name on command lines and in manifests.
    pub fn name(self) -> &'static str {
        match self {
            Release::Nih => "nih",
            Release::Chexpert => "chexpert",
            Release::Mimic => "mimic",
            Release::Padchest => "padchest",
            Release::Vindr => "vindr",
            Release::Rsna => "rsna",
            Release::Siim => "siim",
            Release::NihExperts => "nih-experts",
        }
    }

    /// Title used in its papers.
    pub fn title(self) -> &'static str {
        match self {
            Release::Nih => "ChestX-ray14",
            Release::Chexpert => "CheXpert",
            Release::Mimic => "MIMIC-CXR-JPG",
            Release::Padchest => "PadChest",
            Release::Vindr => "VinDr-CXR",
            Release::Rsna => "the RSNA challenge",
            Release::Siim => "the SIIM-ACR challenge",
            Release::NihExperts => "the expert labels of ChestX-ray14",
        }
    }

    /// Which findings of ChestX-ray14 its labels stand for, and on whose word.
    pub fn equivalents(self) -> &'static [Equivalent] {
        match self {
            Release::Nih => labels::IDENTICAL,
            Release::Chexpert | Release::Mimic => chexpert::EQUIVALENTS,
            Release::Padchest => padchest::EQUIVALENTS,
            Release::Vindr => vindr::EQUIVALENTS,
            Release::Rsna => rsna::EQUIVALENTS,
            Release::Siim => siim::EQUIVALENTS,
            Release::NihExperts => experts::EQUIVALENTS,
        }
    }

    /// The data set whose tables lie in a folder, as it was downloaded.
    pub fn recognise(folder: &Path) -> Option<Release> {
        let has = |release: &Release| {
            let found = match release {
                Release::Nih => nih::find_table(folder).map(Some),
                Release::Chexpert => chexpert::find(folder),
                Release::Mimic => mimic::find(folder),
                Release::Padchest => padchest::find(folder),
                Release::Vindr => vindr::find(folder),
                Release::Rsna => rsna::find(folder),
                Release::Siim => siim::find(folder),
                Release::NihExperts => experts::find(folder),
            };
            matches!(found, Ok(Some(_)))
        };
        // A `train.csv` is CheXpert's or that of a challenge: its header line tells.
        Release::ALL.into_iter().find(has)
    }

    /// Reads the tables in `folder`; images are looked up by whoever wants them.
    ///
    /// # Errors
    /// Tables that are not there or lack a column, columns that the data set does not have, rows that contradict each
    /// other, patients whose identifiers lost digits, labels that are not in the set.
    pub fn read(self, folder: &Path, options: &ReleaseOptions) -> Result<Listing> {
        let draft = match self {
            Release::Nih => of_nih(folder),
            Release::Chexpert => chexpert::read(folder, options),
            Release::Mimic => mimic::read(folder, options),
            Release::Padchest => padchest::read(folder),
            Release::Vindr => vindr::read(folder, options),
            Release::Rsna => rsna::read(folder),
            Release::Siim => siim::read(folder),
            Release::NihExperts => experts::read(folder, options),
        }?;
        let mut draft = match options.label_set {
            LabelSet::Own => draft,
            LabelSet::Nih => labels::translated(draft, self),
        };
        if !options.labels.is_empty() {
            select(&mut draft, &options.labels)?;
        }
        let Draft { tables, labels, rows, notes, warnings } = draft;
        let lookup = Lookup { tail: Some(self.tail()), headers: self.has_headers() };
        let listing =
            Listing { tables, kind: self.name(), labels, rows, lookup, notes, warnings }.unique()?;
        match options.labels.is_empty() || options.allow_empty {
            true => Ok(listing),
            false => listing.refuse_empty_labels(),
        }
    }

    /// How many last parts of a path name one image.
    fn tail(self) -> usize {
        match self {
            Release::Chexpert => 3, // patient, study, view
            _ => 1,
        }
    }

    /// Whether the images are DICOM files, whose headers tell view, sex and age.
    fn has_headers(self) -> bool {
        matches!(self, Release::Vindr | Release::Rsna | Release::Siim)
    }
}

fn of_nih(folder: &Path) -> Result<Draft> {
    let Listing { tables, labels, rows, notes, warnings, .. } =
        nih::read(&nih::find_table(folder)?, &nih_14())?;
    Ok(Draft { tables, labels, rows, notes, warnings })
}

/// Keeps these labels, in this order.
fn select(draft: &mut Draft, names: &[String]) -> Result<()> {
    crate::labels::check_names(names).map_err(|problem| Error::Source {
        path: draft.tables.first().cloned().unwrap_or_default(),
        line: 1,
        problem: Box::new(problem.into()),
    })?;
    let Draft { labels, rows, notes, .. } = draft;
    notes.extend(select_labels(labels, rows.iter_mut().map(|listed| &mut listed.row.labels), names)?);
    Ok(())
}

#[cfg(test)]
mod tests;

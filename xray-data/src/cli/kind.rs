//! Options that name where images and labels come from.

use clap::Args;
use std::path::{Path, PathBuf};
use xray_data::sources::Release;

/// What is read: published data sets as they were downloaded, one or several, or one source of a person's own.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(super) struct SourceKind {
    /// Folder of ChestX-ray14: Data_Entry_2017*.csv and the images in any folders below
    #[arg(long, value_name = "DIR", help_heading = "Source")]
    pub(super) nih: Option<PathBuf>,

    /// Folder of CheXpert: train.csv, valid.csv and the images in any folders below
    #[arg(long, value_name = "DIR", help_heading = "Source")]
    chexpert: Option<PathBuf>,

    /// Folder of MIMIC-CXR-JPG: mimic-cxr-2.0.0-metadata, -chexpert and -split as .csv or .csv.gz, and files/
    #[arg(long, value_name = "DIR", help_heading = "Source")]
    mimic: Option<PathBuf>,

    /// Folder of PadChest: PADCHEST_chest_x_ray_images_labels_160K_01.02.19.csv, packed or not, and the images
    #[arg(long, value_name = "DIR", help_heading = "Source")]
    padchest: Option<PathBuf>,

    /// Folder of VinDr-CXR from PhysioNet (annotations/image_labels_train.csv), or of the VinBigData challenge
    /// (train.csv), and the DICOM files
    #[arg(long, value_name = "DIR", help_heading = "Source")]
    vindr: Option<PathBuf>,

    /// Folder of the RSNA Pneumonia Detection Challenge: stage_2_train_labels.csv and the DICOM files
    #[arg(long, value_name = "DIR", help_heading = "Source")]
    rsna: Option<PathBuf>,

    /// Folder of the SIIM-ACR Pneumothorax Segmentation challenge: train-rle.csv and the DICOM files
    #[arg(long, value_name = "DIR", help_heading = "Source")]
    siim: Option<PathBuf>,

    /// Folder of Google's expert labels of ChestX-ray14: test_labels.csv, validation_labels.csv; --images names the
    /// folder of NIH's images
    #[arg(long, value_name = "DIR", help_heading = "Source")]
    nih_experts: Option<PathBuf>,

    /// Any table with a path, a patient and labels in each row
    #[arg(long, value_name = "FILE", help_heading = "Source")]
    pub(super) csv: Option<PathBuf>,

    /// Folder of TFRecords (*.tfrec, *.tfrecord, also packed or NAME-00000-of-00002; folders train, val and
    /// test in it), or a data set to build anew. Splits that its files carry are kept
    #[arg(long, value_name = "DIR", help_heading = "Source")]
    pub(super) tfrecord: Option<PathBuf>,

    /// Folder of DICOM files; --labels-csv names them by file or SOP Instance UID
    #[arg(long, value_name = "DIR", help_heading = "Source", requires = "labels_csv")]
    pub(super) dicom: Option<PathBuf>,
}

impl SourceKind {
    /// The data sets that are named, with their folders.
    pub(super) fn named(&self) -> Vec<(Release, &Path)> {
        let folder = |release: Release| match release {
            Release::Nih => &self.nih,
            Release::Chexpert => &self.chexpert,
            Release::Mimic => &self.mimic,
            Release::Padchest => &self.padchest,
            Release::Vindr => &self.vindr,
            Release::Rsna => &self.rsna,
            Release::Siim => &self.siim,
            Release::NihExperts => &self.nih_experts,
        };
        let named = Release::ALL.into_iter().map(|release| Some((release, folder(release).as_deref()?)));
        named.flatten().collect()
    }
}

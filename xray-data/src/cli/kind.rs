//! Options that name where images and labels come from.

use clap::Args;
use std::path::{Path, PathBuf};
use xray_artifacts::{Exit, Failure};
use xray_data::sources::Release;

/// What is read: published data sets as they were downloaded and data sets that are built, one or several; or one source
/// of a person's own.
#[derive(Debug, Args)]
#[group(required = true, multiple = true)]
pub(super) struct SourceKind {
    /// Folder of ChestX-ray14: Data_Entry_2017*.csv and the images in any folders below, or in images_0NN.tar.gz as they are
    /// downloaded. Images of every data set may lie in zip, tar and tar.gz files, and tables in zip and tar files, which may
    /// be named in place of the folder
    #[arg(long, value_name = "DIR", help_heading = "Source")]
    pub(super) nih: Option<PathBuf>,

    /// Folder of CheXpert: train.csv, valid.csv and the images in any folders below; or its zip
    #[arg(long, value_name = "DIR", help_heading = "Source")]
    chexpert: Option<PathBuf>,

    /// Folder of MIMIC-CXR-JPG: mimic-cxr-2.0.0-metadata, -chexpert and -split as .csv or .csv.gz, and files/
    #[arg(long, value_name = "DIR", help_heading = "Source")]
    mimic: Option<PathBuf>,

    /// Folder of PadChest: PADCHEST_chest_x_ray_images_labels_160K_01.02.19.csv, packed or not, and the images or their zips
    #[arg(long, value_name = "DIR", help_heading = "Source")]
    padchest: Option<PathBuf>,

    /// Folder of VinDr-CXR from PhysioNet (annotations/image_labels_train.csv), or of the VinBigData challenge
    /// (train.csv), and the DICOM files
    #[arg(long, value_name = "DIR", help_heading = "Source")]
    vindr: Option<PathBuf>,

    /// Folder of the RSNA Pneumonia Detection Challenge: stage_2_train_labels.csv and the DICOM files; or its zip
    #[arg(long, value_name = "DIR", help_heading = "Source")]
    rsna: Option<PathBuf>,

    /// Folder of the SIIM-ACR Pneumothorax Segmentation challenge: train-rle.csv and the DICOM files; or its zip
    #[arg(long, value_name = "DIR", help_heading = "Source")]
    siim: Option<PathBuf>,

    /// Folder of Google's expert labels of ChestX-ray14: test_labels.csv, validation_labels.csv, or with --rows
    /// individual_readers.csv; --images names the folder of NIH's images
    #[arg(long, value_name = "DIR", help_heading = "Source")]
    nih_experts: Option<PathBuf>,

    /// Any table with a path, a patient and labels in each row; or the zip, tar or tar.gz that holds it and the images, or
    /// ARCHIVE.zip/TABLE.csv where it holds several
    #[arg(long, value_name = "FILE", help_heading = "Source")]
    pub(super) csv: Option<PathBuf>,

    /// Folder of TFRecords (*.tfrec, *.tfrecord, also packed or NAME-00000-of-00002; folders train, val and
    /// test in it), or a data set to build anew. Splits that its files carry are kept. May be given several times, and
    /// beside published data sets: all become one set
    #[arg(long, value_name = "DIR", help_heading = "Source")]
    pub(super) tfrecord: Vec<PathBuf>,

    /// Folder of DICOM files; --labels-csv names them by file or SOP Instance UID
    #[arg(long, value_name = "DIR", help_heading = "Source", requires = "labels_csv")]
    pub(super) dicom: Option<PathBuf>,
}

/// One of several sources.
#[derive(Clone, Copy, Debug)]
pub(super) enum Part<'a> {
    /// A published data set as it was downloaded.
    Published(Release, &'a Path),
    /// TFRecords, or a data set that is built.
    Records(&'a Path),
}

impl SourceKind {
    /// The sources that are to become one set, each with the name that its images and patients get; none of a single one.
    pub(super) fn parts(&self) -> Result<Vec<(String, Part<'_>)>, Failure> {
        let published = self.named().into_iter();
        let published =
            published.map(|(release, folder)| (release.name().to_owned(), Part::Published(release, folder)));
        let name = |folder: &Path| {
            let real = std::fs::canonicalize(folder).unwrap_or_else(|_| folder.to_owned());
            real.file_name().unwrap_or_default().to_string_lossy().into_owned()
        };
        let records = self.tfrecord.iter().map(|folder| (name(folder), Part::Records(folder)));
        let parts: Vec<(String, Part<'_>)> = published.chain(records).collect();
        let own = [("csv", self.csv.is_some()), ("dicom", self.dicom.is_some())];
        let own: Vec<&str> = own.into_iter().filter(|(_, given)| *given).map(|(option, _)| option).collect();
        if let Some(option) = own.first().filter(|_| own.len() + parts.len() > 1) {
            return Err(Failure::new(
                Exit::Usage,
                format!("--{option} cannot be read together with another source"),
            )
            .hint("build it by itself, then name its folder with --tfrecord beside the others"));
        }
        let mut names: Vec<&String> = parts.iter().map(|(name, _)| name).collect();
        names.sort_unstable();
        if let Some(pair) = names.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(Failure::new(Exit::Usage, format!("two sources are named `{}`", pair[0]))
                .hint("images and patients get their source's name: rename one of the folders"));
        }
        Ok(if parts.len() > 1 { parts } else { Vec::new() })
    }

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

//! Rows of a table before their image files are looked up. Enough to draw splits and count labels.

use crate::error::{Error, Result};
use crate::sources::folder::without_extension;
use crate::sources::{Found, ImageFolder, ImageRow, Origin, SourceImage, SourceProblem, SourceSet};
use std::collections::HashMap;
use std::path::PathBuf;

/// What a table says of the images, without the images.
#[derive(Clone, Debug)]
pub struct Listing {
    /// The table.
    pub table: PathBuf,
    /// The source, as in [`SourceSet::kind`].
    pub kind: &'static str,
    /// The findings, in the order of every row's labels.
    pub labels: Vec<String>,
    /// In the order of the table.
    pub rows: Vec<Listed>,
    /// What a person should know.
    pub warnings: Vec<String>,
}

/// One row.
#[derive(Clone, Debug)]
pub struct Listed {
    /// What it says.
    pub row: ImageRow,
    /// The image file as the table names it.
    pub file: String,
    /// Where the row stands, from 1.
    pub line: u64,
}

/// What to do about rows whose image file is not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missing {
    /// Say which, and stop.
    Refuse,
    /// Leave them out and count them.
    Skip,
}

impl Listing {
    /// Refuses a second row for one image, also where only the extension differs.
    pub(crate) fn unique(self) -> Result<Listing> {
        let mut lines = HashMap::with_capacity(self.rows.len());
        for listed in &self.rows {
            let id = &listed.row.image_id;
            if let Some(first) = lines.insert(without_extension(id), listed.line) {
                return Err(
                    self.problem(listed.line, SourceProblem::Duplicate { image_id: id.clone(), first })
                );
            }
        }
        Ok(self)
    }

    /// Looks the image files up. A name that fits two files is an error; a name that fits none is handled as
    /// `missing` says.
    pub fn locate(self, folder: &ImageFolder, missing: Missing) -> Result<SourceSet> {
        let mut images = Vec::with_capacity(self.rows.len());
        let mut absent = Vec::new();
        for listed in &self.rows {
            match folder.find(&listed.file) {
                Found::File(path) => {
                    images
                        .push(SourceImage { row: listed.row.clone(), origin: Origin::File(path.to_owned()) });
                }
                Found::Nothing => absent.push(listed),
                Found::Several(first, second) => {
                    let (first, second) = (first.to_owned(), second.to_owned());
                    let what = SourceProblem::AmbiguousImage { name: listed.file.clone(), first, second };
                    return Err(self.problem(listed.line, what));
                }
            }
        }
        match absent.first() {
            Some(first) if missing == Missing::Refuse || images.is_empty() => {
                let (name, folder) = (first.file.clone(), folder.root().to_owned());
                let more = absent.len() as u64 - 1;
                Err(self.problem(first.line, SourceProblem::MissingImage { name, folder, more }))
            }
            _ => {
                let missing = absent.len() as u64;
                let Listing { kind, labels, warnings, .. } = self;
                Ok(SourceSet { kind, labels, images, missing, warnings })
            }
        }
    }

    fn problem(&self, line: u64, problem: SourceProblem) -> Error {
        Error::Source { path: self.table.clone(), line, problem }
    }
}

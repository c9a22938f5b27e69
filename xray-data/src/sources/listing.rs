//! Rows of a table before their image files are looked up. Enough to draw splits and count labels.

use crate::error::{Error, Result};
use crate::schema::Label;
use crate::sources::folder::without_extension;
use crate::sources::kept::Keep;
use crate::sources::packed::Packed;
use crate::sources::paths::{Lead, Paths};
use crate::sources::tails::Tails;
use crate::sources::wanted::Wanted;
use crate::sources::{
    ArchiveProblem, ImageFolder, ImageRow, Origin, SourceImage, SourceProblem, SourceSet, ViewFilter, dicom,
};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use xray_artifacts::one_line;

/// What a table says of the images, without the images.
#[derive(Clone, Debug)]
pub struct Listing {
    /// The tables, as rows number them.
    pub tables: Vec<PathBuf>,
    /// The source, as in [`SourceSet::kind`].
    pub kind: &'static str,
    /// The findings, in the order of every row's labels.
    pub labels: Vec<String>,
    /// In the order of the table.
    pub rows: Vec<Listed>,
    /// Where the image files are looked for.
    pub lookup: Lookup,
    /// How the tables were read: which columns are used, and which are not.
    pub notes: Vec<String>,
    /// What a person should know.
    pub warnings: Vec<String>,
}

/// How the image file of a row is found below the folder of images.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lookup {
    /// By so many last parts of its path, which name one image of the data set wherever its folders were moved; by the
    /// whole path where none.
    pub tail: Option<usize>,
    /// Whether DICOM headers may tell view, sex and age.
    pub headers: bool,
}

/// One row.
#[derive(Clone, Debug)]
pub struct Listed {
    /// What it says.
    pub row: ImageRow,
    /// The image file as the table names it.
    pub file: String,
    /// The number of its table in the listing.
    pub table: usize,
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
    /// Keep them: whoever reads the image finds out. Unless no image at all is there.
    Keep,
}

enum Finder<'a> {
    Paths(Paths<'a>),
    Tails(Tails<'a>),
}

impl Finder<'_> {
    fn lead(&self, name: &str) -> Lead {
        match self {
            Finder::Paths(paths) => paths.lead(name),
            Finder::Tails(tails) => tails.lead(name),
        }
    }
}

impl Listing {
    /// Leaves out what is known not to be of this view, and notes it.
    ///
    /// # Errors
    /// [`NoView`](Error::NoView) where nothing is left.
    pub fn keep_view(&mut self, view: ViewFilter) -> Result<()> {
        let said = view.keep(&mut self.rows, true, |listed| listed.row.view.as_deref())?;
        self.notes.extend(said);
        Ok(())
    }

    /// Refuses a second row for one image, also where only the extension differs.
    pub(crate) fn unique(self) -> Result<Listing> {
        let mut lines = HashMap::with_capacity(self.rows.len());
        for listed in &self.rows {
            let id = &listed.row.image_id;
            if let Some(first) = lines.insert(without_extension(id), listed.line) {
                return Err(self.problem(listed, SourceProblem::Duplicate { image_id: id.clone(), first }));
            }
        }
        Ok(self)
    }

    /// Refuses labels that no row is positive for.
    ///
    /// # Errors
    /// All of them.
    pub fn refuse_empty_labels(self) -> Result<Listing> {
        let is_empty =
            |place: &usize| self.rows.iter().all(|listed| listed.row.labels[*place] != Label::Positive);
        let empty = (0..self.labels.len()).filter(is_empty).map(|place| self.labels[place].clone());
        match empty.collect::<Vec<_>>() {
            labels if labels.is_empty() => Ok(self),
            labels => {
                let problem = SourceProblem::EmptyLabels { labels };
                let path = self.tables.into_iter().next().unwrap_or_default();
                Err(Error::Source { path, line: 1, problem: problem.into() })
            }
        }
    }

    /// Looks the image files up, below the folder itself, then in archives below it. A name that fits two files is an error,
    /// as is a file that two rows name; a name that fits none is handled as `missing` says. Without `keep` a tar.gz is not
    /// read.
    pub fn locate(
        mut self,
        folder: &ImageFolder,
        missing: Missing,
        keep: Option<&Keep<'_>>,
    ) -> Result<SourceSet> {
        let mut leads = self.leads(folder);
        let mut packed = None;
        if !folder.archives().is_empty() && leads.contains(&Lead::Nothing) {
            packed = Some(self.look_in_archives(folder, keep, &mut leads)?);
        }
        let origin = |path: PathBuf| {
            let of_member = packed.as_ref().and_then(|packed| packed.origin(&path));
            of_member.unwrap_or(Origin::File(path))
        };
        let mut images = Vec::with_capacity(self.rows.len());
        let mut absent = Vec::new();
        let mut lines = HashMap::with_capacity(self.rows.len());
        for (listed, lead) in self.rows.iter().zip(leads) {
            let name = || listed.file.clone();
            match lead {
                Lead::File(path) => {
                    if let Some(first) = lines.insert(path.clone(), listed.line) {
                        let what = SourceProblem::OneFile { name: name(), path, first };
                        return Err(self.problem(listed, what));
                    }
                    images.push(SourceImage { row: listed.row.clone(), origin: origin(path) });
                }
                Lead::Nothing | Lead::NotAFile if missing == Missing::Keep => {
                    let row = listed.row.clone();
                    images.push(SourceImage { row, origin: Origin::File(folder.root().join(&listed.file)) });
                    absent.push(listed);
                }
                Lead::Nothing => absent.push(listed),
                Lead::NotAFile => {
                    return Err(self.problem(listed, SourceProblem::NotAFile { name: name() }));
                }
                Lead::Several(first, second) => {
                    let what = SourceProblem::AmbiguousImage { name: name(), first, second };
                    return Err(self.problem(listed, what));
                }
            }
        }
        let is_refused = missing == Missing::Refuse || absent.len() == self.rows.len();
        for path in packed.iter().flat_map(|packed| &packed.unread).filter(|_| !absent.is_empty()) {
            let unread =
                Error::Archive { path: path.clone(), member: None, problem: ArchiveProblem::FrontToBack };
            if is_refused {
                return Err(unread);
            }
            self.warnings.push(one_line(&unread));
        }
        match absent.first() {
            Some(first) if is_refused => {
                let (name, folder) = (first.file.clone(), folder.root().to_owned());
                let more = absent.len() as u64 - 1;
                Err(self.problem(first, SourceProblem::MissingImage { name, folder, more }))
            }
            _ => {
                let missing = absent.len() as u64;
                let Listing { kind, labels, notes, warnings, lookup, .. } = self;
                if lookup.headers {
                    dicom::complete_without_patients(&mut images);
                }
                let unusable = Vec::new();
                Ok(SourceSet { kind, labels, images, missing, unusable, notes, warnings, built: None })
            }
        }
    }

    /// Where the rows' files lead below a folder.
    fn leads(&mut self, folder: &ImageFolder) -> Vec<Lead> {
        let beside = self.tables.first().and_then(|table| table.parent()).unwrap_or(Path::new("")).to_owned();
        let names: Vec<&str> = self.rows.iter().map(|listed| listed.file.as_str()).collect();
        let finder = match self.lookup.tail {
            Some(parts) => Finder::Tails(Tails::of(folder, parts)),
            None => {
                let (paths, note) = Paths::new(folder, &beside, &names);
                self.warnings.extend(note);
                Finder::Paths(paths)
            }
        };
        names.into_iter().map(|name| finder.lead(name)).collect()
    }

    /// Leads the rows without a file to members of archives.
    fn look_in_archives(
        &mut self,
        folder: &ImageFolder,
        keep: Option<&Keep<'_>>,
        leads: &mut [Lead],
    ) -> Result<Packed> {
        let sought = self.rows.iter().zip(&*leads).filter(|(_, lead)| **lead == Lead::Nothing);
        let wanted = Wanted::of(sought.map(|(listed, _)| listed.file.as_str()), self.lookup.tail);
        let packed = Packed::open(folder, &wanted, keep)?;
        for (lead, of_member) in leads.iter_mut().zip(self.leads(&packed.folder)) {
            if *lead == Lead::Nothing {
                *lead = of_member;
            }
        }
        Ok(packed)
    }

    fn problem(&self, at: &Listed, problem: SourceProblem) -> Error {
        let path = self.tables.get(at.table).cloned().unwrap_or_default();
        Error::Source { path, line: at.line, problem: problem.into() }
    }
}

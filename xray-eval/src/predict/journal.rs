//! What is found so far, beside the table that it becomes: a line for each image, so that an interrupted prediction
//! goes on where it was. Each line bears a hash; what follows the first that is not whole is found anew.

use super::row::Row;
use serde::{Deserialize, Serialize};
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use xray_artifacts::{Exit, Failure, FileError, SealedLine, line_seal, sealed_line};

/// What a prediction is of. Rows of another are not its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Identity {
    /// The format of the lines below.
    pub(super) format: u32,
    /// Hash of the model's card, which names its weights.
    pub(super) model: String,
    /// The device: rounding differs.
    pub(super) backend: String,
    /// How many images.
    pub(super) images: usize,
    /// Hash of their names, places and lengths.
    pub(super) inputs: String,
}

pub(super) const FORMAT: u32 = 1;

/// The file, locked.
pub(super) struct Journal {
    path: PathBuf,
    file: File,
    /// Rows that are in it.
    rows: usize,
}

/// Where the rows of `out` are kept until it is written.
pub(super) fn beside(out: &Path) -> PathBuf {
    let mut name = out.as_os_str().to_owned();
    name.push(".part");
    name.into()
}

impl Journal {
    /// Goes on with the rows that an interrupted prediction left beside `out`, or begins.
    ///
    /// # Errors
    /// If they are of another model or of other images, unless they may be overwritten; if another process is at work;
    /// what the system refuses.
    pub(super) fn open(out: &Path, identity: &Identity, overwrite: bool) -> Result<Journal, Failure> {
        let path = beside(out);
        let error = |source| FileError::Io { path: path.clone(), action: "write", source };
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path);
        let file = file.map_err(error)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let message = format!("another prediction is writing {}", path.display());
                return Err(Failure::new(Exit::Usage, message).hint("wait for it, or choose another --out"));
            }
            // Some file systems know no locks.
            Err(TryLockError::Error(_)) => {}
        }
        let mut journal = Journal { path: path.clone(), file, rows: 0 };
        let is_own = match journal.identity()? {
            Some(found) => match found.difference(identity) {
                None => true,
                Some(what) if !overwrite => return Err(refused(&path, what)),
                Some(_) => false,
            },
            None => false,
        };
        let end = if is_own { journal.count()? } else { 0 };
        journal.file.set_len(end).map_err(|source| journal.cannot("write", source))?;
        journal.file.seek(SeekFrom::End(0)).map_err(|source| journal.cannot("write", source))?;
        if !is_own {
            journal.write(&line(identity))?;
        }
        Ok(journal)
    }

    /// Rows that are in it.
    pub(super) fn len(&self) -> usize {
        self.rows
    }

    /// Adds the next rows.
    pub(super) fn add(&mut self, rows: &[Row]) -> Result<(), Failure> {
        let lines: String = rows.iter().map(line).collect();
        self.write(&lines)?;
        self.rows += rows.len();
        Ok(())
    }

    /// Shows each row, in order.
    ///
    /// # Errors
    /// A row that is not as it was written, and what `show` says.
    pub(super) fn read(&self, mut show: impl FnMut(Row) -> Result<(), Failure>) -> Result<(), Failure> {
        let mut lines = self.lines()?;
        lines.next().transpose()?;
        for at in 0..self.rows {
            let (row, _) =
                lines.next().transpose()?.and_then(|(line, end)| Some((row(&line, at)?, end))).ok_or_else(
                    || {
                        let message = format!("{} changed while it was read", self.path.display());
                        Failure::new(Exit::Unexpected, message)
                            .hint("start it again: it continues from the rows already written")
                    },
                )?;
            show(row)?;
        }
        Ok(())
    }

    /// Removes it, because all is in the table.
    pub(super) fn remove(self) -> Result<(), Failure> {
        fs::remove_file(&self.path).map_err(|source| self.cannot("remove", source).into())
    }

    /// The first line, if it is whole.
    fn identity(&self) -> Result<Option<Identity>, Failure> {
        let first = self.lines()?.next().transpose()?;
        Ok(first.and_then(|(line, _)| serde_json::from_str(&without_seal(&line)?).ok()))
    }

    /// Counts the rows that are whole, and says where they end.
    fn count(&mut self) -> Result<u64, Failure> {
        let mut lines = self.lines()?;
        let (_, mut end) = lines.next().transpose()?.unwrap_or_default();
        let mut rows = 0;
        while let Some((line, after)) = lines.next().transpose()? {
            if row(&line, rows).is_none() {
                break;
            }
            (rows, end) = (rows + 1, after);
        }
        self.rows = rows;
        Ok(end)
    }

    /// Lines with their ends, from the beginning; a last one that is cut off is none.
    fn lines(&self) -> Result<impl Iterator<Item = Result<(Vec<u8>, u64), FileError>> + use<>, FileError> {
        let cannot = |source| self.cannot("read", source);
        let mut file = self.file.try_clone().map_err(cannot)?;
        file.seek(SeekFrom::Start(0)).map_err(cannot)?;
        let (mut reader, mut end, path) = (BufReader::new(file), 0, self.path.clone());
        Ok(std::iter::from_fn(move || {
            let mut line = Vec::new();
            match Read::by_ref(&mut reader).take(LONGEST).read_until(b'\n', &mut line) {
                Ok(length) if line.ends_with(b"\n") => {
                    end += length as u64;
                    Some(Ok((line, end)))
                }
                Ok(_) => None,
                Err(source) => Some(Err(FileError::Io { path: path.clone(), action: "read", source })),
            }
        }))
    }

    fn write(&mut self, lines: &str) -> Result<(), Failure> {
        // What is in part written is found when it goes on.
        Ok(self.file.write_all(lines.as_bytes()).map_err(|source| self.cannot("write", source))?)
    }

    fn cannot(&self, action: &'static str, source: io::Error) -> FileError {
        FileError::Io { path: self.path.clone(), action, source }
    }
}

/// No line of ours is longer: a thousand labels are 30 kB.
const LONGEST: u64 = 1 << 24;

fn line(object: &impl Serialize) -> String {
    sealed_line(&serde_json::to_string(object).expect("plain values")) + "\n"
}

fn row(line: &[u8], at: usize) -> Option<Row> {
    serde_json::from_str(&without_seal(line)?).ok().filter(|row: &Row| row.row == at)
}

/// The object on a line that is whole.
fn without_seal(line: &[u8]) -> Option<String> {
    if line_seal(line) != SealedLine::Whole {
        return None;
    }
    let text = str::from_utf8(line).ok()?;
    Some(text[..text.rfind(",\"blake3\":")?].to_owned() + "}")
}

impl Identity {
    /// What differs, in words.
    fn difference(&self, wanted: &Identity) -> Option<&'static str> {
        let Identity { format, model, backend, images, inputs } = wanted;
        match () {
            () if self.format != *format => Some("another version of this program"),
            () if self.model != *model => Some("another model, or this one before its card changed"),
            () if self.backend != *backend => Some("another device"),
            () if self.images != *images || self.inputs != *inputs => Some("other images"),
            () => None,
        }
    }
}

fn refused(path: &Path, what: &str) -> Failure {
    Failure::new(Exit::ModelMismatch, format!("{} holds the rows of {what}", path.display()))
        .hint("choose another --out, or start over with --overwrite")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity() -> Identity {
        let text = |text: &str| text.to_owned();
        Identity { format: FORMAT, model: text("m"), backend: text("cpu"), images: 9, inputs: text("i") }
    }

    fn rows(range: std::ops::Range<usize>) -> Vec<Row> {
        range.map(|row| Row { row, logits: vec![f64::from(0.1_f32), -3.5], ..Row::default() }).collect()
    }

    fn held(journal: &Journal) -> Vec<Row> {
        let mut rows = Vec::new();
        journal
            .read(|row| {
                rows.push(row);
                Ok(())
            })
            .expect("whole");
        rows
    }

    #[test]
    fn rows_are_there_again_and_of_a_damaged_one_nothing_that_follows() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let out = dir.path().join("out.csv");
        let open = || Journal::open(&out, &identity(), false).expect("its own");
        let mut journal = open();
        journal.add(&rows(0..3)).expect("writable");
        journal.add(&rows(3..5)).expect("writable");
        drop(journal);
        assert_eq!(held(&open()), rows(0..5));

        let whole = fs::read(beside(&out)).expect("there");
        for cut in 0..whole.len() {
            fs::write(beside(&out), &whole[..cut]).expect("writable");
            let mut journal = open();
            let left = whole[..cut].iter().filter(|byte| **byte == b'\n').count().saturating_sub(1);
            assert_eq!(journal.len(), left, "{cut}");
            journal.add(&rows(left..5)).expect("writable");
            drop(journal);
            assert_eq!(fs::read(beside(&out)).expect("there"), whole, "{cut}");
        }
        let mut damaged = whole.clone();
        let at = whole.len() / 2;
        damaged[at] ^= 1;
        fs::write(beside(&out), damaged).expect("writable");
        assert!((1..4).contains(&open().len()));
    }

    #[test]
    fn rows_of_something_else_are_refused_until_they_may_be_overwritten() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let out = dir.path().join("out.csv");
        Journal::open(&out, &identity(), false).expect("new").add(&rows(0..2)).expect("writable");
        let other = |change: fn(&mut Identity)| {
            let mut other = identity();
            change(&mut other);
            let failure = Journal::open(&out, &other, false).err().expect("of another");
            assert_eq!(failure.exit, Exit::ModelMismatch);
            failure.message
        };
        assert!(other(|other| other.model = "n".to_owned()).ends_with("before its card changed"));
        assert!(other(|other| other.backend = "wgpu".to_owned()).ends_with("another device"));
        assert!(other(|other| other.inputs = "j".to_owned()).ends_with("other images"));
        let model = Identity { model: "n".to_owned(), ..identity() };
        assert_eq!(Journal::open(&out, &model, true).expect("overwritten").len(), 0);
    }

    #[test]
    fn two_processes_do_not_share_one() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let out = dir.path().join("out.csv");
        let _first = Journal::open(&out, &identity(), false).expect("new");
        let failure = Journal::open(&out, &identity(), true).err().expect("busy");
        assert!(failure.message.contains("another prediction is writing"), "{failure}");
    }
}

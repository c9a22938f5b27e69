//! What is wrong with an archive or a member of it.

/// Why an archive, or one of its members, cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ArchiveProblem {
    /// Bytes of another kind than the name says.
    #[error("not a {kind} archive")]
    Other {
        /// Kind of archive by the file's name.
        kind: &'static str,
    },
    /// It was cut off.
    #[error("it ends too early")]
    Truncated,
    /// Its own bytes contradict each other.
    #[error("it is damaged: {0}")]
    Damaged(&'static str),
    /// More than the archive is in its file.
    #[error("something else follows its end")]
    Trailing,
    /// A zip in several files.
    #[error("it is one part of several")]
    Parts,
    /// A member that needs a password.
    #[error("it is encrypted")]
    Encrypted,
    /// A member with a compression that zips rarely use.
    #[error("it is compressed by method {method}, which is not read")]
    Method {
        /// Number of the method in the zip format.
        method: u16,
    },
    /// A member that is another file's name.
    #[error("it is a link, and links in archives are not followed")]
    Link,
    /// A member of which a tar leaves out the zeros.
    #[error("it is a sparse file, which is not read")]
    Sparse,
    /// A name with `..` or one that begins at the root.
    #[error("its name leads out of the archive")]
    Outside,
    /// A name that no file has.
    #[error("its name is longer than 4096 bytes or holds control characters")]
    Name,
    /// Two members of one name.
    #[error("there is a second member of this name")]
    Twice,
    /// A table that another archive has too.
    #[error("{other} holds the same table")]
    TwoTables {
        /// The other archive.
        other: String,
    },
    /// An archive that is named as a table.
    #[error("it holds no table, a .csv or .tsv")]
    NoTable,
    /// The same, where it is not clear which is meant.
    #[error("it holds several tables: {}", few(names))]
    SeveralTables {
        /// Their names in the archive.
        names: Vec<String>,
    },
    /// More members than any data set has.
    #[error("it has more than {limit} members")]
    Members {
        /// How many it may have.
        limit: u64,
    },
    /// More members than rows of a table can mean.
    #[error("more than {most} images have names that match the table")]
    TooMany {
        /// How many there may be.
        most: usize,
    },
    /// A member that is larger than images and tables are.
    #[error("it has {size} bytes, more than the {limit} that an image or table of its packed size may have")]
    Large {
        /// Size stated by the archive.
        size: u64,
        /// 1 GiB, or 32 times the packed size where that is less and more than 64 MiB.
        limit: u64,
    },
    /// A compressed archive that holds far more than its size.
    #[error("it inflates to more than {limit} bytes")]
    Inflates {
        /// 32 times its size, or 64 MiB where that is more.
        limit: u64,
    },
    /// A tar.gz where images are wanted in any order.
    #[error("a tar.gz can only be read from front to back")]
    FrontToBack,
}

/// The first names of many.
fn few(names: &[String]) -> String {
    const SHOWN: usize = 4;
    let shown = names.iter().take(SHOWN).cloned().collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(SHOWN) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

impl ArchiveProblem {
    /// What to do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            ArchiveProblem::Other { .. } => {
                "look at the file: it was not downloaded whole, or has another archive's name"
            }
            ArchiveProblem::Truncated | ArchiveProblem::Damaged(_) | ArchiveProblem::Trailing => {
                "the archive was cut off or damaged on the way: copy or download it again"
            }
            ArchiveProblem::Parts => "join the parts to one zip, or unpack them",
            ArchiveProblem::Encrypted => "unpack it with its password",
            ArchiveProblem::Method { .. } | ArchiveProblem::Sparse | ArchiveProblem::Link => {
                "unpack the archive"
            }
            ArchiveProblem::Outside
            | ArchiveProblem::Name
            | ArchiveProblem::Twice
            | ArchiveProblem::TooMany { .. } => "no published data set has such an archive: check its origin",
            ArchiveProblem::NoTable => "name the table beside it, and the archive with --images",
            ArchiveProblem::SeveralTables { .. } => {
                "name one as if the archive were a folder: ARCHIVE.zip/labels.csv"
            }
            ArchiveProblem::TwoTables { .. } => "move one of the archives away",
            ArchiveProblem::Members { .. }
            | ArchiveProblem::Large { .. }
            | ArchiveProblem::Inflates { .. } => {
                "images and tables hardly shrink so much: check the archive, and unpack it yourself if it is what \
                 you want"
            }
            ArchiveProblem::FrontToBack => {
                "unpack it, or read it with `xray-data build`, `xray-eval predict` or `xray-eval run --data`"
            }
        }
    }
}

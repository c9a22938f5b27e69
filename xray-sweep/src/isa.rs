//! Which processors a program was built for, read from the program without running it.
//!
//! `xray-train` carries its x86-64 level in an ELF section of its own, in HTCondor's spelling, so that a plan can
//! ask for machines that can run it.

use object::elf::{FileHeader64, PT_INTERP};
use object::read::elf::{FileHeader as _, ProgramHeader as _};
use object::{Architecture, Endianness, Object as _, ObjectSection as _};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use thiserror::Error;

/// The section that holds the level: `x86_64-v3` and a zero byte.
const SECTION: &str = ".xray.isa";

/// A level of x86-64: a set of instructions that contains those of the levels below.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Level {
    /// Every x86-64 processor.
    #[serde(rename = "x86_64-v1")]
    V1,
    /// SSE4.2.
    #[serde(rename = "x86_64-v2")]
    V2,
    /// AVX2 and FMA.
    #[serde(rename = "x86_64-v3")]
    V3,
    /// AVX-512.
    #[serde(rename = "x86_64-v4")]
    V4,
}

/// Why the level of a program cannot be told.
#[derive(Debug, Error)]
pub enum IsaError {
    /// The file cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The program.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// A script, or a program of another system.
    #[error("{}: not a program for Linux (no ELF file)", path.display())]
    NotElf {
        /// The file.
        path: PathBuf,
    },
    /// An ELF file that is cut off or damaged.
    #[error("{}: damaged", path.display())]
    Damaged {
        /// The program.
        path: PathBuf,
        /// What is wrong with it.
        source: object::read::Error,
    },
    /// A program for other processors.
    #[error("{}: built for {architecture}, not for x86-64", path.display())]
    Architecture {
        /// The program.
        path: PathBuf,
        /// What it is built for.
        architecture: String,
    },
    /// The section holds no level that is known here.
    #[error("{}: the section {SECTION} holds {content:?}, which is not an x86-64 level", path.display())]
    Content {
        /// The program.
        path: PathBuf,
        /// What stands there.
        content: String,
    },
}

/// A text that names no level.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{0:?} is not an x86-64 level: v1, v2, v3 or v4")]
pub struct UnknownLevel(String);

impl Level {
    /// All of them, lowest first.
    pub const ALL: [Level; 4] = [Level::V1, Level::V2, Level::V3, Level::V4];
}

/// The name that HTCondor's machines advertise in `Microarch`.
impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Level::V1 => "x86_64-v1",
            Level::V2 => "x86_64-v2",
            Level::V3 => "x86_64-v3",
            Level::V4 => "x86_64-v4",
        })
    }
}

/// `v3` or `x86_64-v3`.
impl FromStr for Level {
    type Err = UnknownLevel;

    fn from_str(text: &str) -> Result<Level, UnknownLevel> {
        let short = text.strip_prefix("x86_64-").unwrap_or(text);
        let level = Level::ALL.into_iter().find(|level| level.to_string().ends_with(&format!("-{short}")));
        level.ok_or_else(|| UnknownLevel(text.to_owned()))
    }
}

/// The level that a program was built for; none when it carries no level, as programs of others do.
///
/// # Errors
/// When the file cannot be read, is no x86-64 ELF file, or carries something else for a level.
pub fn level_of(path: &Path) -> Result<Option<Level>, IsaError> {
    let owned = || path.to_owned();
    let data = read(path)?;
    let damaged = |source| IsaError::Damaged { path: owned(), source };
    let file = object::File::parse(&*data).map_err(damaged)?;
    if file.architecture() != Architecture::X86_64 {
        let architecture = format!("{:?}", file.architecture());
        return Err(IsaError::Architecture { path: owned(), architecture });
    }
    let Some(section) = file.section_by_name(SECTION) else { return Ok(None) };
    let content = String::from_utf8_lossy(section.data().map_err(damaged)?);
    let level = content.strip_suffix('\0').filter(|text| text.starts_with("x86_64-"));
    let level = level.and_then(|text| text.parse().ok());
    level.map(Some).ok_or_else(|| IsaError::Content { path: owned(), content: content.into_owned() })
}

/// Whether a program asks for none of the system's libraries, so that it runs wherever its instructions do.
///
/// # Errors
/// When the file cannot be read, or is no 64-bit ELF file.
pub fn is_static(path: &Path) -> Result<bool, IsaError> {
    let data = read(path)?;
    let damaged = |source| IsaError::Damaged { path: path.to_owned(), source };
    let header = FileHeader64::<Endianness>::parse(&*data).map_err(damaged)?;
    let endian = header.endian().map_err(damaged)?;
    let segments = header.program_headers(endian, &*data).map_err(damaged)?;
    // The segment that names the program's interpreter, which loads libraries.
    Ok(!segments.iter().any(|segment| segment.p_type(endian) == PT_INTERP))
}

pub(crate) fn read(path: &Path) -> Result<Vec<u8>, IsaError> {
    let data = std::fs::read(path).map_err(|source| IsaError::Read { path: path.to_owned(), source })?;
    if data.starts_with(&object::elf::ELFMAG) {
        Ok(data)
    } else {
        Err(IsaError::NotElf { path: path.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::process::Command;
    use tempfile::TempDir;

    #[test]
    fn levels_are_read_and_written_as_condor_spells_them() {
        for level in Level::ALL {
            let text = level.to_string();
            assert_eq!(text.parse(), Ok(level));
            assert_eq!(text.trim_start_matches("x86_64-").parse(), Ok(level));
        }
        for text in ["", "3", "v", "v5", "V3", "-v3", "x86-64-v3", "x86_64-x86_64-v3", "x86_64-"] {
            assert_eq!(text.parse::<Level>(), Err(UnknownLevel(text.to_owned())));
        }
        assert!(Level::ALL.is_sorted() && Level::V2 < Level::V3);
    }

    /// A stripped program with `text` in the section, made by the system's C compiler.
    fn program(folder: &TempDir, text: Option<&str>) -> PathBuf {
        let section = text.map(|text| {
            format!(
                "__attribute__((section({SECTION:?}), used)) static const volatile char level[] = {text:?};"
            )
        });
        let main = if text.is_some() {
            "int main(void) { return level[0]; }"
        } else {
            "int main(void) { return 0; }"
        };
        let (source, program) = (folder.path().join("program.c"), folder.path().join("program"));
        fs::write(&source, section.unwrap_or_default() + "\n" + main).expect("a writable folder");
        let cc = Command::new("cc")
            .args(["-O2", "-s", "-Wl,--gc-sections", "-o"])
            .args([&program, &source])
            .status();
        assert!(cc.expect("a C compiler named cc").success());
        program
    }

    fn message(path: &Path) -> String {
        level_of(path).expect_err("must not be read").to_string().replace(&path.display().to_string(), "FILE")
    }

    #[test]
    #[cfg(all(target_os = "linux", target_arch = "x86_64"))]
    fn a_stripped_program_tells_its_level() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        for level in Level::ALL {
            let program = program(&folder, Some(&level.to_string()));
            assert_eq!(level_of(&program).expect("readable"), Some(level));
        }
        assert_eq!(level_of(&program(&folder, None)).expect("readable"), None);
        for text in ["x86_64-v5", "v3", "x86_64-v3 ", ""] {
            let expected = format!(
                "FILE: the section .xray.isa holds {:?}, which is not an x86-64 level",
                format!("{text}\0")
            );
            assert_eq!(message(&program(&folder, Some(text))), expected);
        }
    }

    #[test]
    #[cfg(all(target_os = "linux", target_arch = "x86_64"))]
    fn a_program_without_libraries_is_known() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        assert!(!is_static(&program(&folder, None)).expect("readable"));
        let (source, program) = (folder.path().join("program.c"), folder.path().join("static"));
        for flag in ["-static", "-static-pie"] {
            let cc = Command::new("cc").args([flag, "-o"]).args([&program, &source]).status();
            assert!(cc.expect("a C compiler named cc").success());
            assert!(is_static(&program).expect("readable"), "{flag}");
        }
        assert!(is_static(&source).is_err());
    }

    #[test]
    #[cfg(all(target_os = "linux", target_arch = "x86_64"))]
    fn what_is_no_program_for_x86_64_is_refused() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let file = folder.path().join("file");
        assert_eq!(message(&file), "cannot read FILE");
        for text in ["#!/bin/sh\n", "", "\u{7f}EL"] {
            fs::write(&file, text).expect("writable");
            assert_eq!(message(&file), "FILE: not a program for Linux (no ELF file)");
        }
        let mut program = fs::read(program(&folder, Some("x86_64-v3"))).expect("readable");
        for length in [4, 20, 63, program.len() / 2] {
            fs::write(&file, &program[..length]).expect("writable");
            assert_eq!(message(&file), "FILE: damaged");
        }
        let e_machine = 18;
        program[e_machine..e_machine + 2].copy_from_slice(&object::elf::EM_AARCH64.0.to_le_bytes());
        fs::write(&file, program).expect("writable");
        assert_eq!(message(&file), "FILE: built for Aarch64, not for x86-64");
    }
}

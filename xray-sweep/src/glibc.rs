//! The C library that a program needs, read from the program without running it.

use crate::isa::{IsaError, read};
use object::Endianness;
use object::elf::FileHeader64;
use object::read::elf::FileHeader as _;
use std::path::Path;

/// What stands before the version in the name of a set of symbols.
const PREFIX: &str = "GLIBC_";

/// The oldest glibc that a program runs with, such as `2.34`: the newest whose symbols it asks for. None of a program that
/// asks for none, as a static one.
///
/// # Errors
/// When the file cannot be read, or is no 64-bit ELF file.
pub fn glibc_of(path: &Path) -> Result<Option<String>, IsaError> {
    let data = read(path)?;
    let newest = newest(&data).map_err(|source| IsaError::Damaged { path: path.to_owned(), source })?;
    Ok(newest.map(|(major, minor)| format!("{major}.{minor}")))
}

fn newest(data: &[u8]) -> Result<Option<(u32, u32)>, object::read::Error> {
    let header = FileHeader64::<Endianness>::parse(data)?;
    let endian = header.endian()?;
    let sections = header.sections(endian, data)?;
    let Some((mut libraries, link)) = sections.gnu_verneed(endian, data)? else { return Ok(None) };
    let names = sections.strings(endian, data, link)?;
    let mut newest = None;
    while let Some((_, mut versions)) = libraries.next()? {
        while let Some(needed) = versions.next()? {
            newest = newest.max(version(needed.name(endian, names)?));
        }
    }
    Ok(newest)
}

/// `GLIBC_2.2.5` counts as 2.2; other names, such as those of other libraries, are none.
fn version(name: &[u8]) -> Option<(u32, u32)> {
    let mut numbers = std::str::from_utf8(name).ok()?.strip_prefix(PREFIX)?.split('.').map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_version_decides() {
        let check = |name: &str, expected| assert_eq!(version(name.as_bytes()), expected, "{name}");
        check("GLIBC_2.34", Some((2, 34)));
        check("GLIBC_2.2.5", Some((2, 2)));
        check("GLIBC_PRIVATE", None);
        check("GCC_3.0", None);
        assert!(version(b"GLIBC_2.4") < version(b"GLIBC_2.34"), "numbers, not text");
    }

    /// Compares with what binutils read from it.
    #[test]
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    fn this_program_tells_what_it_needs() {
        let this = std::env::current_exe().expect("a test is a program");
        let found = glibc_of(&this).expect("readable").expect("tests are linked to a C library");
        let output = std::process::Command::new("objdump").arg("-p").arg(&this).output().expect("binutils");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let versions = text.split_whitespace().filter_map(|word| version(word.as_bytes()));
        let (major, minor) = versions.max().expect("objdump lists them");
        assert_eq!(found, format!("{major}.{minor}"));
        let folder = tempfile::tempdir().expect("a temporary folder");
        let file = folder.path().join("program");
        std::fs::write(&file, &std::fs::read(&this).expect("readable")[..200]).expect("writable");
        assert!(glibc_of(&file).is_err(), "cut off");
    }
}

//! Workers that say something else of themselves than they were built with.

use object::{Object as _, ObjectSection as _};
use std::fs;
use std::path::{Path, PathBuf};

const SECTION: &str = ".xray.isa";

/// A copy that says it needs `level`, to plan and to its own guard.
pub(crate) fn saying(worker: &Path, level: &str, copy: PathBuf) -> PathBuf {
    let mut program = fs::read(worker).expect("a worker");
    let (start, length) = {
        let file = object::File::parse(program.as_slice()).expect("an ELF file");
        let section = file.section_by_name(SECTION).expect("a worker says what it needs");
        section.file_range().expect("it is in the file")
    };
    let place = start as usize..(start + length) as usize;
    let text = format!("{level}\0");
    assert_eq!(text.len(), place.len());
    program[place].copy_from_slice(text.as_bytes());
    write(copy, worker, &program)
}

/// A copy whose level nobody finds but its own guard: the section has another name.
pub(crate) fn silent(worker: &Path, copy: PathBuf) -> PathBuf {
    let mut program = fs::read(worker).expect("a worker");
    let name = format!("{SECTION}\0");
    let places: Vec<_> =
        (0..program.len()).filter(|&at| program[at..].starts_with(name.as_bytes())).collect();
    assert_eq!(places.len(), 1, "the name stands in one table");
    program[places[0]..][..SECTION.len()].copy_from_slice(b".xray.nil");
    write(copy, worker, &program)
}

fn write(copy: PathBuf, worker: &Path, program: &[u8]) -> PathBuf {
    fs::copy(worker, &copy).expect("a writable folder");
    fs::write(&copy, program).expect("a writable folder");
    copy
}

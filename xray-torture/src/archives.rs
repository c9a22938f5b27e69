//! The images and their table, packed.

use anyhow::Result;
use flate2::{Compression, write::GzEncoder};
use std::fs;
use std::io::{Cursor, Write};
use std::path::Path;
use zip::{ZipWriter, write::SimpleFileOptions};

/// Writes the files of a folder into `images.zip` and `images.tar.gz` in another one.
pub(crate) fn pack(files: &Path, to: &Path) -> Result<()> {
    let mut names: Vec<_> = fs::read_dir(files)?
        .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
        .collect::<Result<_>>()?;
    names.sort();
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    let mut tar = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
    for name in names {
        let content = fs::read(files.join(&name))?;
        zip.start_file(name.as_str(), SimpleFileOptions::default())?;
        zip.write_all(&content)?;
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        tar.append_data(&mut header, &name, content.as_slice())?;
    }
    fs::write(to.join("images.zip"), zip.finish()?.into_inner())?;
    Ok(fs::write(to.join("images.tar.gz"), tar.into_inner()?.finish()?)?)
}

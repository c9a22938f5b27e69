//! Programs and documents as one `.tar.gz`, to be unpacked into `/usr/local` or anywhere.

use super::{Item, VERSION};
use anyhow::{Context, Result};
use flate2::{Compression, GzBuilder};
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use tar::{Builder, Header};

/// Writes `xray-VERSION-x86_64-linux.tar.gz`.
pub(super) fn write(out: &Path, programs: &[Item], documents: &[Item]) -> Result<PathBuf> {
    let name = format!("xray-{VERSION}-x86_64-linux");
    let path = out.join(format!("{name}.tar.gz"));
    let file = File::create(&path).with_context(|| format!("cannot write {}", path.display()))?;
    pack(file, &name, programs.iter().chain(documents))?;
    Ok(path)
}

/// The same files make the same bytes: no dates, no owners.
fn pack<'a>(to: impl Write, folder: &str, items: impl Iterator<Item = &'a Item>) -> Result<()> {
    let mut tar = Builder::new(GzBuilder::new().write(to, Compression::best()));
    for item in items {
        let mut header = Header::new_gnu();
        header.set_size(item.bytes.len() as u64);
        header.set_mode(if item.is_program { 0o755 } else { 0o644 });
        tar.append_data(&mut header, format!("{folder}/{}", item.path), &item.bytes[..])?;
    }
    tar.into_inner()?.finish()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::read::GzDecoder;
    use std::io::Read;

    #[test]
    fn a_tarball_holds_programs_that_run_and_is_the_same_every_time() {
        let item = |path: &str, is_program| Item { path: path.to_owned(), bytes: path.into(), is_program };
        let items = [item("bin/xray-train", true), item("share/man/man1/xray-train.1", false)];
        let packed = || {
            let mut bytes = Vec::new();
            pack(&mut bytes, "xray-1", items.iter()).expect("packed");
            bytes
        };
        assert_eq!(packed(), packed());
        let bytes = packed();
        let mut archive = tar::Archive::new(GzDecoder::new(&bytes[..]));
        let found: Vec<_> = archive
            .entries()
            .expect("an archive")
            .map(|entry| {
                let mut entry = entry.expect("an entry");
                let path = entry.path().expect("a path").display().to_string();
                let mut text = String::new();
                entry.read_to_string(&mut text).expect("text");
                (path, text, entry.header().mode().expect("a mode"))
            })
            .collect();
        let entry = |path: &str, mode| (format!("xray-1/{path}"), path.to_owned(), mode);
        assert_eq!(found, [entry("bin/xray-train", 0o755), entry("share/man/man1/xray-train.1", 0o644)]);
    }
}

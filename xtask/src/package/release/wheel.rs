//! Python wheels (<https://packaging.python.org/en/latest/specifications/binary-distribution-format/>): `pip install`
//! puts the programs on the path, and nothing of them is Python.

use super::{Item, VERSION};
use anyhow::{Context, Result};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::{Seek, Write};
use std::path::{Path, PathBuf};
use zip::write::{SimpleFileOptions, ZipWriter};

/// Which wheel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// All programs, static.
    Programs,
    /// `xray-train-gpu` alone, which needs the system's C library.
    Gpu,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Kind::Programs => "xray-training",
            Kind::Gpu => "xray-training-gpu",
        }
    }

    /// Where it can be installed. Static programs ask nothing of the system, so any C library will do.
    fn platforms(self, programs: &[Item]) -> Result<Vec<String>> {
        Ok(match self {
            Kind::Programs => ["manylinux_2_17_x86_64", "manylinux2014_x86_64", "musllinux_1_1_x86_64"]
                .map(str::to_owned)
                .to_vec(),
            Kind::Gpu => {
                let newest =
                    programs.iter().map(|program| newest_glibc(&program.bytes)).max().unwrap_or((2, 17));
                vec![format!("manylinux_{}_{}_x86_64", newest.0, newest.1)]
            }
        })
    }
}

/// Writes the wheel; its name says what it is, for whom.
pub(super) fn write(out: &Path, kind: Kind, programs: &[Item], documents: &[Item]) -> Result<PathBuf> {
    let platforms = kind.platforms(programs)?;
    let stem = format!("{}-{VERSION}", kind.name().replace('-', "_"));
    let path = out.join(format!("{stem}-py3-none-{}.whl", platforms.join(".")));
    let file = File::create(&path).with_context(|| format!("cannot write {}", path.display()))?;
    let mut files: Vec<Item> =
        programs.iter().map(|program| placed(&format!("{stem}.data/scripts"), program)).collect();
    let is_wanted = |item: &&Item| item.path.ends_with(".cdx.json") || item.path.contains("LICENSE");
    files.extend(documents.iter().filter(is_wanted).map(|item| {
        let folder = if item.path.ends_with(".cdx.json") { "sboms" } else { "licenses" };
        placed(&format!("{stem}.dist-info/{folder}"), item)
    }));
    files.push(Item::document(&format!("{stem}.dist-info/METADATA"), metadata(kind, documents).into_bytes()));
    files.push(Item::document(&format!("{stem}.dist-info/WHEEL"), tags(&platforms).into_bytes()));
    pack(file, &stem, &files)?;
    Ok(path)
}

/// The item's file in another folder.
fn placed(folder: &str, item: &Item) -> Item {
    let name = item.path.rsplit('/').next().unwrap_or_default();
    Item { path: format!("{folder}/{name}"), ..item.clone() }
}

fn metadata(kind: Kind, documents: &[Item]) -> String {
    let summary = match kind {
        Kind::Programs => "Train, evaluate, sweep and serve chest X-ray classifiers",
        Kind::Gpu => "The GPU trainer of xray-training, for Vulkan",
    };
    let more = match kind {
        Kind::Programs => {
            format!("Provides-Extra: gpu\nRequires-Dist: xray-training-gpu=={VERSION}; extra == \"gpu\"\n")
        }
        Kind::Gpu => format!("Requires-Dist: xray-training=={VERSION}\n"),
    };
    let readme = documents.iter().find(|item| item.path.ends_with("README.md"));
    let readme = readme.map_or_else(String::new, |item| String::from_utf8_lossy(&item.bytes).into_owned());
    format!(
        "Metadata-Version: 2.4\nName: {}\nVersion: {VERSION}\nSummary: {summary}\nLicense-Expression: MIT OR Apache-2.0\n\
         License-File: LICENSE-APACHE\nLicense-File: LICENSE-MIT\nRequires-Python: >=3.8\n{more}\
         Description-Content-Type: text/markdown\n\n{readme}",
        kind.name()
    )
}

fn tags(platforms: &[String]) -> String {
    let tags: String = platforms.iter().map(|platform| format!("Tag: py3-none-{platform}\n")).collect();
    format!("Wheel-Version: 1.0\nGenerator: xtask ({VERSION})\nRoot-Is-Purelib: false\n{tags}")
}

/// The same files make the same bytes: all dates are the format's first.
fn pack(to: impl Write + Seek, stem: &str, files: &[Item]) -> Result<()> {
    let mut zip = ZipWriter::new(to);
    let mut record = String::new();
    let mut add = |path: &str, bytes: &[u8], is_program: bool| -> Result<()> {
        let options = SimpleFileOptions::default()
            .compression_method(zip::CompressionMethod::Deflated)
            .compression_level(Some(9))
            .last_modified_time(zip::DateTime::default())
            .unix_permissions(if is_program { 0o755 } else { 0o644 });
        zip.start_file(path, options)?;
        Ok(zip.write_all(bytes)?)
    };
    for Item { path, bytes, is_program } in files {
        add(path, bytes, *is_program)?;
        let hash = BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(bytes));
        record += &format!("{path},sha256={hash},{}\n", bytes.len());
    }
    let path = format!("{stem}.dist-info/RECORD");
    record += &format!("{path},,\n");
    add(&path, record.as_bytes(), false)?;
    zip.finish()?;
    Ok(())
}

/// The newest `GLIBC_2.N` that a program asks for: it runs with no older C library.
fn newest_glibc(program: &[u8]) -> (u32, u32) {
    let versions = program.windows(GLIBC.len()).enumerate().filter(|(_, window)| *window == GLIBC);
    let parsed = versions.filter_map(|(at, _)| version(&program[at + GLIBC.len()..]));
    parsed.max().unwrap_or((2, 17)).max((2, 17))
}

const GLIBC: &[u8] = b"\0GLIBC_";

/// `2.34` and the zero byte that ends a name.
fn version(text: &[u8]) -> Option<(u32, u32)> {
    let end = text.iter().take(8).position(|byte| *byte == 0)?;
    let (major, minor) = std::str::from_utf8(&text[..end]).ok()?.split_once('.')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wheel_holds_what_the_specification_asks_for_and_is_the_same_every_time() {
        let item = |path: &str, is_program| Item { path: path.to_owned(), bytes: path.into(), is_program };
        let programs = [item("bin/xray-train", true)];
        let documents = [
            "share/doc/xray/LICENSE-MIT",
            "share/doc/xray/LICENSE-APACHE",
            "share/doc/xray/README.md",
            "share/doc/xray/sbom.cdx.json",
            "share/man/man1/xray-train.1",
        ]
        .map(|path| item(path, false));
        let folder = tempfile::tempdir().expect("a temporary folder");
        let made = || write(folder.path(), Kind::Programs, &programs, &documents).expect("written");
        let path = made();
        let bytes = std::fs::read(&path).expect("readable");
        assert_eq!(bytes, std::fs::read(made()).expect("readable"));
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        let tags = "py3-none-manylinux_2_17_x86_64.manylinux2014_x86_64.musllinux_1_1_x86_64";
        assert_eq!(name, format!("xray_training-{VERSION}-{tags}.whl"));

        let mut archive = zip::ZipArchive::new(std::io::Cursor::new(bytes)).expect("a zip file");
        let mut files = std::collections::BTreeMap::new();
        for index in 0..archive.len() {
            let mut file = archive.by_index(index).expect("an entry");
            let mut text = String::new();
            std::io::Read::read_to_string(&mut file, &mut text).expect("text");
            let mode = file.unix_mode().map(|mode| mode & 0o777);
            files.insert(file.name().expect("plain").into_owned(), (text, mode));
        }
        let stem = format!("xray_training-{VERSION}");
        let (info, scripts) = (format!("{stem}.dist-info"), format!("{stem}.data/scripts"));
        assert_eq!(files[&format!("{scripts}/xray-train")], ("bin/xray-train".to_owned(), Some(0o755)));
        let metadata = &files[&format!("{info}/METADATA")].0;
        for licence in metadata.lines().filter_map(|line| line.strip_prefix("License-File: ")) {
            assert!(files.contains_key(&format!("{info}/licenses/{licence}")), "{licence}");
        }
        assert!(metadata.ends_with("\n\nshare/doc/xray/README.md"), "{metadata}");
        assert!(files.contains_key(&format!("{info}/sboms/sbom.cdx.json")));
        assert!(!files.keys().any(|path| path.contains("man1")), "{:?}", files.keys());

        let record_path = format!("{info}/RECORD");
        let record = files[&record_path].0.clone();
        let listed: Vec<&str> = record.lines().filter_map(|line| line.split(',').next()).collect();
        assert_eq!(listed.len(), files.len());
        assert!(files.keys().all(|path| listed.contains(&path.as_str())), "{record}");
        assert!(record.contains(&format!("{record_path},,\n")), "{record}");
        let hash = BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest("bin/xray-train"));
        assert!(record.contains(&format!("{scripts}/xray-train,sha256={hash},14\n")), "{record}");
    }

    #[test]
    fn the_newest_library_version_decides() {
        let check = |text: &[u8], expected| assert_eq!(newest_glibc(text), expected);
        check(b"\0GLIBC_2.2.5\0GLIBC_2.34\0GLIBC_2.28\0", (2, 34));
        check(b"\0GLIBC_2.9\0", (2, 17));
        check(b"\0GLIBC_PRIVATE\0", (2, 17));
        check(b"", (2, 17));
    }
}

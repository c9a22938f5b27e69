//! Tests on a Vulkan driver that is not installed, but unpacked in a folder: a newer Mesa than the system's.
//!
//! Its libraries need the C library they were built with, so programs are started through that folder's own loader.

use anyhow::{Result, bail};
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// Where Debian's packages put things on this processor.
const LIBRARIES: &str = "usr/lib/x86_64-linux-gnu";

/// What starts a program with the driver.
#[derive(Debug)]
pub(super) struct Driver {
    loader: PathBuf,
    libraries: PathBuf,
    manifest: PathBuf,
}

impl Driver {
    /// The software renderer of a folder into which Debian's mesa-vulkan-drivers and libvulkan1 were unpacked, with
    /// what they depend on.
    ///
    /// # Errors
    /// If a part is missing, or cargo could not name the folder.
    pub(super) fn unpacked_in(folder: &Path) -> Result<Driver> {
        let folder = std::path::absolute(folder)?;
        let libraries = folder.join(LIBRARIES);
        let loader = libraries.join("ld-linux-x86-64.so.2");
        let manifest = folder.join("usr/share/vulkan/icd.d/lvp_icd.json");
        for part in [&loader, &manifest, &libraries.join("libvulkan.so.1")] {
            if !part.exists() {
                bail!(
                    "there is no {}: unpack libvulkan1 and mesa-vulkan-drivers with what they need",
                    part.display()
                );
            }
        }
        if folder.to_string_lossy().contains(char::is_whitespace) {
            bail!("cargo cannot start programs from {}, whose name holds a space", folder.display());
        }
        Ok(Driver { loader, libraries, manifest })
    }

    /// The environment in which cargo starts tests with it.
    pub(super) fn environment(&self) -> [(&'static str, OsString); 2] {
        let mut runner = OsString::from(&self.loader);
        runner.push(" --library-path ");
        runner.push(&self.libraries);
        [
            ("CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUNNER", runner),
            ("VK_DRIVER_FILES", self.manifest.clone().into()),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn a_folder_without_a_part_is_refused() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let parts = [
            "usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2",
            "usr/share/vulkan/icd.d/lvp_icd.json",
            "usr/lib/x86_64-linux-gnu/libvulkan.so.1",
        ];
        for part in parts {
            let error = Driver::unpacked_in(folder.path()).expect_err("it lacks parts").to_string();
            assert!(error.contains(part), "{error}");
            let path = folder.path().join(part);
            fs::create_dir_all(path.parent().expect("it has a folder")).expect("a folder");
            fs::write(path, "").expect("a file");
        }
        let driver = Driver::unpacked_in(folder.path()).expect("all parts are there");
        let [(_, runner), (_, manifest)] = driver.environment();
        let runner = runner.into_string().expect("a plain name");
        let words: Vec<_> = runner.split(' ').collect();
        assert!(Path::new(words[0]).ends_with(parts[0]) && words[1] == "--library-path", "{runner}");
        assert!(Path::new(&manifest).ends_with(parts[1]));
    }
}

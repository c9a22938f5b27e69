//! A build that has begun: its folder is claimed before the source is read, because reading may take as long as writing does
//! where images come by in archives that can only be read from front to back.

use super::folder::OutputFolder;
use super::store::{Store, Stored};
use super::{BuildConfig, Built, write};
use crate::error::Result;
use crate::sources::dicom::DicomHeader;
use crate::sources::{ArchiveProblem, Content, Kept, Loaded, Origin, SourceSet, Spill};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use xray_image::{is_dicom, is_sixteen_bit_png, read_dicom_patient};

/// A folder that shards are being made for. Dropped before [`build`](Self::build) has ended, it is left as it was.
pub struct Output<'a> {
    config: &'a BuildConfig,
    folder: OutputFolder,
    store: Store,
    /// Where images are kept that come by; made for the first.
    spill: Mutex<Option<Arc<Spill>>>,
}

impl<'a> Output<'a> {
    /// Claims the folder.
    ///
    /// # Errors
    /// [`Build`](crate::Error::Build) for a folder that must not be written to, or a size that no image has.
    pub fn start(config: &'a BuildConfig, out: &Path) -> Result<Output<'a>> {
        let store = Store::new(config.size, config.encoding, config.white_level)?;
        let folder = OutputFolder::start(out, config.overwrite)?;
        Ok(Output { config, folder, store, spill: Mutex::new(None) })
    }

    /// Keeps an image that comes by, as its record will hold it; one of 16 bits as it is, as long as nobody knows which value
    /// is white in the set. What cannot be used is an image all the same, that says why when its shard is written.
    ///
    /// # Errors
    /// A disk that is full.
    pub fn keep(&self, place: String, bytes: std::result::Result<Vec<u8>, ArchiveProblem>) -> Result<Kept> {
        let spill = self.spill()?;
        let mut header = None;
        let content = match bytes {
            Err(problem) => Content::Refused(problem),
            Ok(bytes) if self.config.white_level.is_none() && is_sixteen_bit_png(&bytes) => {
                Content::Original(spill.write(&bytes)?)
            }
            Ok(bytes) => {
                if is_dicom(&bytes) {
                    header = read_dicom_patient(&bytes).ok().map(DicomHeader::of);
                }
                match Loaded::of(bytes).and_then(|loaded| self.store.encode(loaded)) {
                    Ok(Stored { bytes, size }) => Content::Stored(spill.write(&bytes)?, size),
                    Err(problem) => Content::Unusable(problem),
                }
            }
        };
        Ok(Kept { place, spill, content, header })
    }

    /// Writes the images of `set` as shards, in the current rayon pool. `progress` is told, from any thread, of every image
    /// that is done. Until the last byte is written the folder holds no `dataset.json` and no shard under its final name.
    ///
    /// # Errors
    /// [`Split`](crate::Error::Split) for the split, and [`Image`](crate::Error::Image) and others for an image that cannot be
    /// used, unless such are skipped.
    pub fn build(self, set: &SourceSet, progress: &(dyn Fn() + Sync)) -> Result<Built> {
        let is_ours = |kept: &Kept| {
            let spill = self.spill.lock().unwrap_or_else(PoisonError::into_inner);
            spill.as_ref().is_some_and(|spill| Arc::ptr_eq(spill, &kept.spill))
        };
        let kept = set.images.iter().filter_map(|image| match &image.origin {
            Origin::Kept(kept) => Some(kept),
            _ => None,
        });
        assert!(kept.into_iter().all(|kept| is_ours(kept)), "images stay as the build made them");
        write(set, self.config, self.folder, progress)
    }

    fn spill(&self) -> Result<Arc<Spill>> {
        let mut spill = self.spill.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(spill) = &*spill {
            return Ok(spill.clone());
        }
        let made = Arc::new(Spill::create(self.folder.workplace())?);
        *spill = Some(made.clone());
        Ok(made)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use xray_image::{GrayImage, encode_png};

    fn gradient() -> Vec<u8> {
        encode_png(&GrayImage { width: 16, height: 16, pixels: (0..=255).collect() })
    }

    #[test]
    fn what_is_kept_is_gone_with_the_build() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let out = dir.path().join("shards");
        let beside = dir.path().join(".shards.building");
        let names = || fs::read_dir(&beside).map(|entries| entries.count()).unwrap_or(0);
        let config = BuildConfig::default();
        let output = Output::start(&config, &out).expect("a new folder");
        let before = names();
        let kept = output.keep("a.tar.gz/a.png".into(), Ok(gradient())).expect("kept");
        assert_eq!((names(), before), (1, 1), "what is kept has no name, from the first image on");
        assert!(matches!(kept.content, Content::Stored(_, [16, 16])));
        drop(output);
        assert!(!beside.exists() && !out.exists());

        // Of a build that was killed before the name was gone.
        fs::create_dir(&beside).expect("writable");
        fs::write(beside.join(Spill::NAME), "images").expect("writable");
        let output = Output::start(&config, &out).expect("what was left is cleared");
        assert!(!beside.join(Spill::NAME).exists());
        output.keep("a.tar.gz/a.png".into(), Ok(gradient())).expect("kept");
    }

    #[test]
    fn what_cannot_be_used_says_why_when_it_is_loaded() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let config = BuildConfig::default();
        let output = Output::start(&config, &dir.path().join("shards")).expect("a new folder");
        let load = |bytes| {
            let kept = output.keep("a.tar.gz/a.png".into(), bytes).expect("kept");
            Origin::Kept(Box::new(kept)).load().map(drop)
        };
        load(Ok(gradient())).expect("a good image");
        let said = [load(Ok(b"text".to_vec())), load(Err(ArchiveProblem::Link))];
        let said = said.map(|result| xray_artifacts::one_line(&result.expect_err("bad")));
        assert!(said[0].starts_with("a.tar.gz/a.png: ") && !said[0].contains("link"), "{}", said[0]);
        assert_eq!(said[1], "a.tar.gz/a.png: it is a link, and links in archives are not followed");
    }

    #[test]
    #[should_panic(expected = "images stay as the build made them")]
    fn another_build_does_not_take_what_was_kept() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let (jpeg, png) = (
            BuildConfig::default(),
            BuildConfig { encoding: super::super::Encoding::Png, ..BuildConfig::default() },
        );
        let output = Output::start(&jpeg, &dir.path().join("one")).expect("a new folder");
        let kept = output.keep("a.tar.gz/a.png".into(), Ok(gradient())).expect("kept");
        let mut set = crate::sources::synthetic::read(&Default::default());
        set.images.truncate(1);
        set.images[0].origin = Origin::Kept(Box::new(kept));
        let other = Output::start(&png, &dir.path().join("other")).expect("a new folder");
        let _ = other.build(&set, &|| ());
    }
}

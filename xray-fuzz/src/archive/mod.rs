//! Archives of images with their table: zip, tar and tar.gz files as programs write them, and such that lie about what is
//! in them.

mod gzip;
mod tar;
mod zip;

use crate::corpus::{Corpus, Expected, Kind, Seed};
use crate::table::{IMAGES, image};
use std::sync::LazyLock;
use xray_image::{SynthConfig, encode_png, synthesise};
use xray_random::Random;

/// All archives.
pub(crate) fn corpus(seed: u64) -> Corpus {
    Corpus::new(Kind::Archive, seed, seeds(), lie)
}

/// As the file is called.
pub(crate) fn extension(bytes: &[u8]) -> &'static str {
    match bytes {
        [0x1f, 0x8b, ..] => "tar.gz",
        [b'P', b'K', ..] => "zip",
        _ => "tar",
    }
}

/// A file in an archive.
#[derive(Clone, Debug)]
struct Entry {
    name: String,
    content: Vec<u8>,
}

/// The good images, and a table that names them.
static FILES: LazyLock<Vec<Entry>> = LazyLock::new(|| {
    let config = SynthConfig { images: IMAGES as u64, size: 32, seed: 7, ..SynthConfig::default() };
    let mut table = "path,patient_id,Mass,Nodule\n".to_owned();
    let mut files = Vec::new();
    for (number, drawn) in synthesise(&config).enumerate() {
        table += &format!("{},p{number},{},{}\n", image(number), number % 2, number / 2 % 2);
        files.push(Entry { name: image(number), content: encode_png(&drawn.image) });
    }
    files.push(Entry { name: "labels.csv".into(), content: table.into_bytes() });
    files
});

fn seeds() -> Vec<Seed> {
    use Expected::Accepted;
    let below: Vec<Entry> =
        FILES.iter().map(|of| Entry { name: format!("top/{}", of.name), ..of.clone() }).collect();
    let plain = tar::of(&FILES);
    [
        ("zip, stored", zip::of(&FILES, false)),
        ("zip, deflated", zip::of(&FILES, true)),
        ("zip with a folder", zip::of(&below, true)),
        ("tar", plain.clone()),
        ("tar with a folder", tar::of(&below)),
        ("tar.gz", gzip::of(&plain)),
        ("tar.gz of two members", gzip::in_two(&plain)),
    ]
    .into_iter()
    .map(|(name, bytes)| Seed::new(name, Accepted, bytes))
    .collect()
}

/// Names that no member should have, or not here.
const NAMES: [&str; 16] = [
    "",
    ".",
    "..",
    "../a00.png",
    "/etc/passwd",
    "/",
    "a00.png",
    "a00.png/",
    "a00.png/b.png",
    "C:\\a00.png",
    "labels.csv",
    "other.csv",
    "inner.zip",
    "a\nb.png",
    "._a00.png",
    "\u{202E}gnp.00a",
];

/// The files with one to three of them called, filled or repeated as nobody expects.
fn strange_files(random: &mut Random) -> Vec<Entry> {
    let mut files = FILES.clone();
    for _ in 0..random.below(4) {
        let at = random.below(files.len());
        match random.below(6) {
            0 | 1 => NAMES[random.below(NAMES.len())].clone_into(&mut files[at].name),
            2 => files[at].name = "a/".repeat(1 << random.below(12)) + &files[at].name,
            3 => files[at].content.truncate(random.below(64)),
            4 => {
                let copy = files[at].clone();
                files.extend(std::iter::repeat_n(copy, 1 << (random.below(10) * random.below(2))));
            }
            _ => drop(files.remove(at)),
        }
        if files.is_empty() {
            break;
        }
    }
    files
}

fn lie(random: &mut Random) -> Vec<u8> {
    let files = strange_files(random);
    match random.below(3) {
        0 => zip::lie(&files, random),
        1 => tar::lie(&files, random),
        _ => gzip::lie(&tar::lie(&files, random), random),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_lies() {
        let mut kinds = [0; 3];
        for number in 0..300 {
            let bytes = lie(&mut Random::keyed(&[number]));
            kinds[["zip", "tar", "tar.gz"]
                .iter()
                .position(|kind| *kind == extension(&bytes))
                .expect("one")] += 1;
        }
        assert!(kinds.iter().all(|&count| count > 50), "{kinds:?}");
    }
}

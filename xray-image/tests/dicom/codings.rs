//! One picture in every coding (golden files by others' encoders), and how codings contradict their headers.

use crate::writer::{JPEG, Picture, element, encapsulated, file, short};
use xray_image::{GrayImage, decode_gray, encode_jpeg, is_dicom, mean_chroma, read_header};

/// The picture of `golden/dicom/make.py`: 12 bits, row by row.
fn picture() -> impl Iterator<Item = u32> {
    let value = |x: u32, y: u32| match x {
        ..9 => 700,
        _ => x * 40 + y * 25 + (x * x * 7 + y * 13 + x * y * 5) % 64 + if x > 30 { 900 } else { 0 },
    };
    (0..37).flat_map(move |y| (0..50).map(move |x| value(x, y)))
}

/// The same, its values stretched to 0..255.
fn expected() -> Vec<f64> {
    let values: Vec<f64> = picture().map(f64::from).collect();
    let (low, high) = values.iter().fold((f64::MAX, f64::MIN), |(l, h), &v| (l.min(v), h.max(v)));
    values.iter().map(|value| (value - low) / (high - low) * 255.0).collect()
}

pub(crate) fn golden(name: &str) -> Vec<u8> {
    let path = format!("{}/tests/golden/dicom/{name}.dcm", env!("CARGO_MANIFEST_DIR"));
    std::fs::read(path).expect("a golden file")
}

fn check_golden(name: &str, tolerance: f64) {
    let image = decode_gray(&golden(name)).expect(name);
    assert_eq!((image.width, image.height), (50, 37));
    let distance = |(&pixel, value): (&u8, f64)| (f64::from(pixel) - value).abs();
    let furthest = image.pixels.iter().zip(expected()).map(distance).fold(0.0, f64::max);
    assert!(furthest <= tolerance, "{name} differs by {furthest}");
}

#[test]
fn one_picture_comes_out_of_every_lossless_coding() {
    let names = ["implicit", "big-endian", "deflated", "rle", "jpeg-ls", "jpeg-2000", "jpeg-2000-signed"];
    names.iter().for_each(|name| check_golden(name, 0.5001));
    (1..=7).for_each(|predictor| check_golden(&format!("jpeg-lossless-{predictor}"), 0.5001));
}

#[test]
fn lossy_codings_come_close() {
    check_golden("jpeg-extended", 2.0);
    check_golden("jpeg-ls-near", 1.0);
    check_golden("jpeg-2000-lossy", 2.0);
    check_golden("jpeg-baseline", 6.0);
}

fn gradient() -> GrayImage {
    let pixels = (0..64 * 64).map(|i: u32| (i % 64 * 4 + i / 64 % 3) as u8).collect();
    GrayImage { width: 64, height: 64, pixels }
}

fn jpeg_of(picture: &Picture, table: &[u32], fragments: &[&[u8]]) -> Vec<u8> {
    file(JPEG, &[picture.elements(), vec![encapsulated(table, fragments)]].concat())
}

const EIGHT_BITS: Picture = Picture {
    photometric: "MONOCHROME2",
    samples: 1,
    size: [64, 64],
    allocated: 8,
    stored: 8,
    signed: false,
};

fn refused(file: &[u8]) -> String {
    decode_gray(file).expect_err("cannot be shown").to_string()
}

#[test]
fn fragments_are_joined_wherever_they_are_cut() {
    let mut jpeg = encode_jpeg(&gradient(), 95);
    jpeg.resize(jpeg.len().next_multiple_of(2), 0);
    let whole = decode_gray(&jpeg_of(&EIGHT_BITS, &[], &[&jpeg])).expect("one fragment");
    for cut in [2, 4, 20, jpeg.len() - 2] {
        let (first, second) = jpeg.split_at(cut);
        assert_eq!(decode_gray(&jpeg_of(&EIGHT_BITS, &[0], &[first, second])), Ok(whole.clone()), "{cut}");
    }
    // The delimiter at the end may be missing.
    let file = jpeg_of(&EIGHT_BITS, &[], &[&jpeg]);
    assert_eq!(decode_gray(&file[..file.len() - 8]), Ok(whole));
    assert!(
        refused(&jpeg_of(&EIGHT_BITS, &[0, 900], &[&jpeg, &jpeg])).ends_with("it holds 2 frames, not one")
    );
    assert!(refused(&jpeg_of(&EIGHT_BITS, &[], &[])).ends_with("it has no pixel data"));
}

#[test]
fn a_codestream_that_is_another_picture_is_refused_before_it_is_decoded() {
    let jpeg = encode_jpeg(&gradient(), 95);
    let check = |picture: Picture, expected: &str| {
        let message = refused(&jpeg_of(&picture, &[], &[&jpeg]));
        assert_eq!(message, format!("broken or unusual DICOM: {expected}"));
    };
    check(Picture { size: [64, 32], ..EIGHT_BITS }, "its header says 64x32, its JPEG data 64x64");
    check(
        Picture { photometric: "RGB", samples: 3, ..EIGHT_BITS },
        "its header says 3 samples a pixel, its JPEG data 1",
    );
    check(
        Picture { allocated: 16, stored: 12, ..EIGHT_BITS },
        "its header says 12 bits stored in 16, its JPEG data 8",
    );
    for name in ["jpeg-2000", "jpeg-ls", "jpeg-lossless-1", "jpeg-extended"] {
        let mut lies = golden(name);
        let columns = short(0x28, 0x11, 50);
        let at = lies.windows(columns.len()).position(|found| found == columns).expect("the columns");
        lies[at..at + columns.len()].copy_from_slice(&short(0x28, 0x11, 51));
        assert!(refused(&lies).contains("its header says 51x37, its JPEG"), "{}", refused(&lies));
    }
}

#[test]
fn what_is_not_read_is_named_with_a_way_out() {
    let with = |syntax: &str, picture: &Picture| {
        refused(&file(syntax, &[picture.elements(), vec![encapsulated(&[], &[b"xx"])]].concat()))
    };
    let htj2k = with("1.2.840.10008.1.2.4.201", &EIGHT_BITS);
    assert_eq!(
        htj2k,
        "broken or unusual DICOM: its pixels are High-Throughput JPEG 2000 (HTJ2K), which is not read here; convert \
         it, as with `gdcmconv --raw IN OUT`"
    );
    assert!(with("1.2.840.10008.1.2.4.102", &EIGHT_BITS).contains("a video"));
    assert!(with("1.2.3", &EIGHT_BITS).contains("transfer syntax 1.2.3"));
    let palette = Picture { photometric: "PALETTE COLOR", ..EIGHT_BITS };
    assert!(with(JPEG, &palette).contains("its colours are a palette in a coding other than RLE"));
}

#[test]
fn files_without_a_preamble_are_known_by_their_first_element() {
    let file = golden("implicit");
    let bare = &file[132..];
    assert_eq!(decode_gray(bare), decode_gray(&file));
    // Without meta information too: a class of object, or a character set.
    let start = bare.windows(8).position(|found| found == b"\x08\0\x16\0\x1A\0\0\0").expect("the class");
    assert_eq!(decode_gray(&bare[start..]), decode_gray(&file));
    assert_eq!(read_header(&bare[start..]).expect("a header").encoding, "dicom");
    for other in [&b"\x08\0 not a DICOM file"[..], b"\x02\0\0\0", b"", b"DICM"] {
        assert!(!is_dicom(other));
    }
}

/// A table of a palette: its descriptor and its entries, as words or as bytes.
fn table(number: u16, first: u16, bits: u16, entries: &[u16]) -> [Vec<u8>; 2] {
    let descriptor =
        [entries.len() as u16, first, bits].iter().flat_map(|n| n.to_le_bytes()).collect::<Vec<_>>();
    let data: Vec<u8> = match bits {
        8 => entries.iter().map(|&entry| entry as u8).collect(),
        _ => entries.iter().flat_map(|entry| entry.to_le_bytes()).collect(),
    };
    [element(0x28, 0x1100 + number, "US", &descriptor), element(0x28, 0x1200 + number, "OW", &data)]
}

#[test]
fn palettes_become_the_colours_that_they_name() {
    let palette = Picture { photometric: "PALETTE COLOR", size: [4, 1], ..EIGHT_BITS };
    let with = |first: u16, bits: u16, tables: [&[u16]; 3], pixels: [u8; 4]| {
        let mut more: Vec<Vec<u8>> =
            (1..).zip(tables).flat_map(|(number, entries)| table(number, first, bits, entries)).collect();
        more.sort_by_key(|element| element[2..4].iter().rev().copied().collect::<Vec<_>>());
        palette.native(&more, &pixels)
    };
    let check = |file: &[u8], expected: [u8; 4], is_gray: bool| {
        assert_eq!(decode_gray(file).expect("readable").pixels, expected);
        assert_eq!(mean_chroma(file, &Default::default()).expect("readable") < 1.0, is_gray);
    };
    // Below the first entry and beyond the last stand these.
    let gray: &[u16] = &[0, 10 * 257, 200 * 257, 65535];
    check(&with(5, 16, [gray; 3], [4, 6, 7, 90]), [0, 10, 200, 255], true);
    let gray: &[u16] = &[7, 90, 200, 255];
    check(&with(0, 8, [gray; 3], [3, 2, 1, 0]), [255, 200, 90, 7], true);
    let (red, rest): (&[u16], &[u16]) = (&[255, 0, 0, 9], &[0, 0, 0, 9]);
    check(&with(0, 8, [red, rest, rest], [0, 1, 2, 3]), [76, 0, 0, 9], false);

    let refused_by = |file: &[u8]| refused(file).replace("broken or unusual DICOM: ", "");
    assert_eq!(refused_by(&palette.native(&[], &[0; 4])), "its palette LUT cannot be read");
    let mut short_of_one = with(0, 8, [gray; 3], [0; 4]);
    let at =
        short_of_one.windows(4).position(|found| found == [0x28, 0, 0x01, 0x11]).expect("the descriptor");
    short_of_one[at + 8] = 7;
    assert_eq!(refused_by(&short_of_one), "its palette LUT cannot be read");
}

/// Made by pydicom, which reads the same colours out of it.
#[test]
fn a_palette_of_gray_content_is_the_gray_picture() {
    for name in ["palette", "palette-rle"] {
        let image = decode_gray(&golden(name)).expect(name);
        let gray: Vec<u8> = picture().map(|value| (value >> 4) as u8).collect();
        assert_eq!(image.pixels, gray, "{name}");
        assert_eq!(mean_chroma(&golden(name), &Default::default()).expect("readable"), 0.0);
    }
}

#[test]
fn colours_of_jpeg_ls_come_in_scans_lines_and_pixels() {
    let luma = |value: u32| {
        let gray = (value >> 4) as f64;
        0.299 * gray + 0.587 * (255.0 - gray) + 0.114 * (gray / 2.0).floor()
    };
    for what in ["scans", "lines", "pixels"] {
        for (name, tolerance) in [("jpeg-ls-colour", 0.51), ("jpeg-ls-colour-near", 2.51)] {
            let file = golden(&format!("{name}-{what}"));
            let image = decode_gray(&file).unwrap_or_else(|error| panic!("{name}-{what}: {error}"));
            let distances =
                image.pixels.iter().zip(picture()).map(|(&p, value)| (f64::from(p) - luma(value)).abs());
            let furthest = distances.fold(0.0, f64::max);
            assert!(furthest <= tolerance, "{name}-{what} differs by {furthest}");
            assert!(mean_chroma(&file, &Default::default()).expect("readable") > 50.0);
            // Whatever is cut off is missed, the last scan too.
            for end in [file.len() / 4, file.len() / 2, file.len() - 100] {
                refused(&file[..end]);
            }
        }
    }
    let lies = |from: &[u8], to: &[u8]| {
        let mut file = golden("jpeg-ls-colour-lines");
        let at = file.windows(from.len()).position(|found| found == from).expect("a part of it");
        file[at..at + to.len()].copy_from_slice(to);
        refused(&file)
    };
    let scan = b"\xFF\xDA\0\x0C\x03\x01\0\x02\0\x03\0\0\x01\0";
    assert!(
        lies(scan, b"\xFF\xDA\0\x0C\x03\x01\0\x02\0\x03\0\0\0\0").contains("a scan header makes no sense")
    );
    assert!(lies(scan, b"\xFF\xDA\0\x0C\x03\x01\0\x01").contains("a component is in two scans"));
    assert!(lies(scan, b"\xFF\xDA\0\x0C\x03\x01\0\x07").contains("a scan header makes no sense"));
    assert!(lies(scan, b"\xFF\xDA\0\x0C\x03\x01\x01").contains("JPEG-LS with a mapping"));
    assert!(lies(b"\x02\x11\0\x03\x11\0", b"\x02\x21").contains("fewer samples of some colours"));
}

/// Pixels of three samples, side by side.
fn colours(photometric: &'static str, planar: u16, pixels: &[u8]) -> Vec<u8> {
    let picture = Picture { photometric, samples: 3, size: [2, 1], ..EIGHT_BITS };
    let mut elements = picture.elements();
    elements.insert(2, short(0x28, 6, planar));
    elements.push(element(0x7FE0, 0x10, "OB", pixels));
    file(crate::writer::NATIVE, &elements)
}

#[test]
fn colours_become_luma_and_gray_ones_stay_gray() {
    let check = |file: &[u8], expected: [u8; 2], is_gray: bool| {
        assert_eq!(decode_gray(file).expect("readable").pixels, expected);
        assert_eq!(mean_chroma(file, &Default::default()).expect("readable") < 1.0, is_gray);
        assert!(!read_header(file).expect("a header").gray_8_bit);
    };
    check(&colours("RGB", 0, &[90, 90, 90, 200, 200, 200]), [90, 200], true);
    check(&colours("RGB", 0, &[200, 100, 50, 255, 0, 0]), [124, 76], false);
    check(&colours("RGB", 1, &[200, 255, 100, 0, 50, 0]), [124, 76], false);
    check(&colours("YBR_FULL", 0, &[90, 128, 128, 200, 128, 128]), [90, 200], true);
    check(&colours("YBR_FULL_422", 0, &[90, 200, 128, 128]), [90, 200], true);
    check(&colours("YBR_FULL_422", 0, &[90, 200, 128, 30]), [90, 200], false);
}

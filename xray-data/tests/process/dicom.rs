//! DICOM files written here byte by byte (PS3.5: explicit VR, little endian), read by the program.

use crate::workbench::Workbench;
use std::fs;
use xray_data::sources::dicom::read_header;
use xray_image::{GrayImage, decode_gray, encode_jpeg};

const UNCOMPRESSED: &str = "1.2.840.10008.1.2.1";
const JPEG_BASELINE: &str = "1.2.840.10008.1.2.4.50";

/// Tag, VR, length and value; values are padded to even length.
fn element(group: u16, number: u16, vr: &str, value: &[u8]) -> Vec<u8> {
    let mut value = value.to_vec();
    if value.len() % 2 == 1 {
        value.push(if vr == "UI" || vr.starts_with('O') { 0 } else { b' ' });
    }
    let mut bytes = [group.to_le_bytes(), number.to_le_bytes()].concat();
    bytes.extend(vr.as_bytes());
    if matches!(vr, "OB" | "OW" | "SQ") {
        bytes.extend([0, 0]);
        bytes.extend((value.len() as u32).to_le_bytes());
    } else {
        bytes.extend((value.len() as u16).to_le_bytes());
    }
    bytes.extend(value);
    bytes
}

fn short(group: u16, number: u16, value: u16) -> Vec<u8> {
    element(group, number, "US", &value.to_le_bytes())
}

/// A file of these data elements, which must be in order.
fn file(transfer_syntax: &str, elements: &[Vec<u8>]) -> Vec<u8> {
    let meta = [
        element(2, 1, "OB", &[0, 1]),
        element(2, 2, "UI", b"1.2.840.10008.5.1.4.1.1.1.1"),
        element(2, 3, "UI", b"1.2.3.4"),
        element(2, 0x10, "UI", transfer_syntax.as_bytes()),
        element(2, 0x12, "UI", b"1.2.3"),
    ]
    .concat();
    let mut bytes = vec![0; 128];
    bytes.extend(b"DICM");
    bytes.extend(element(2, 0, "UL", &(meta.len() as u32).to_le_bytes()));
    bytes.extend(meta);
    bytes.extend(elements.concat());
    bytes
}

/// An image of one row of 16-bit values of `bits` bits, with what else belongs between the geometry and the
/// pixels.
fn row(photometric: &str, bits: u16, signed: bool, values: &[i32], more: &[Vec<u8>]) -> Vec<u8> {
    let pixels: Vec<u8> = values.iter().flat_map(|&value| (value as u16).to_le_bytes()).collect();
    let mut elements = vec![
        short(0x28, 2, 1),
        element(0x28, 4, "CS", photometric.as_bytes()),
        short(0x28, 0x10, 1),
        short(0x28, 0x11, values.len() as u16),
        short(0x28, 0x100, 16),
        short(0x28, 0x101, bits),
        short(0x28, 0x102, bits - 1),
        short(0x28, 0x103, u16::from(signed)),
    ];
    elements.extend_from_slice(more);
    elements.push(element(0x7FE0, 0x10, "OW", &pixels));
    file(UNCOMPRESSED, &elements)
}

/// A square image of 12 bits with what headers tell of the patient.
pub(crate) fn xray(side: u16, pixels: &[u8], sex: &str, age: &str) -> Vec<u8> {
    let wide: Vec<u8> = pixels.iter().flat_map(|&pixel| (u16::from(pixel) * 16).to_le_bytes()).collect();
    let elements = [
        element(0x10, 0x20, "LO", b"anonymous"),
        element(0x10, 0x40, "CS", sex.as_bytes()),
        element(0x10, 0x1010, "AS", age.as_bytes()),
        short(0x28, 2, 1),
        element(0x28, 4, "CS", b"MONOCHROME2"),
        short(0x28, 0x10, side),
        short(0x28, 0x11, side),
        short(0x28, 0x100, 16),
        short(0x28, 0x101, 12),
        short(0x28, 0x102, 11),
        short(0x28, 0x103, 0),
        element(0x7FE0, 0x10, "OW", &wide),
    ];
    file(UNCOMPRESSED, &elements)
}

fn decimal(number: u16, value: &str) -> Vec<u8> {
    element(0x28, number, "DS", value.as_bytes())
}

fn window(center: &str, width: &str) -> [Vec<u8>; 2] {
    [decimal(0x1050, center), decimal(0x1051, width)]
}

fn check(file: &[u8], expected: &[u8]) {
    assert_eq!(decode_gray(file).expect("a good file").pixels, expected);
}

#[test]
fn stored_values_become_gray_as_the_standard_says() {
    // C.11.2.1.2: x <= c - 0.5 - (w-1)/2 is black, above c - 0.5 + (w-1)/2 white, linear between.
    let values = [0, 1000, 1499, 2000, 2500, 4095];
    let linear = |x: f64| ((x - 1999.5) / 999.0 + 0.5) * 255.0;
    let gray: Vec<u8> =
        values.iter().map(|&x| linear(f64::from(x)).round().clamp(0.0, 255.0) as u8).collect();
    check(&row("MONOCHROME2", 12, false, &values, &window("2000", "1000")), &gray);
    let inverted: Vec<u8> = gray.iter().map(|value| 255 - value).collect();
    check(&row("MONOCHROME1", 12, false, &values, &window("2000", "1000")), &inverted);
}

#[test]
fn values_are_rescaled_and_signed_before_the_window() {
    // 2 x - 1000: the stored values land on -1000, 0 and 1000.
    let [center, width] = window("0", "2001");
    let more = [center, width, decimal(0x1052, "-1000"), decimal(0x1053, "2")];
    check(&row("MONOCHROME2", 12, false, &[0, 500, 1000], &more), &[0, 128, 255]);
    let [center, width] = window("0", "2001");
    check(&row("MONOCHROME2", 12, true, &[-1000, 0, 1000], &[center, width]), &[0, 128, 255]);
}

#[test]
fn without_a_window_the_range_of_the_values_is_used() {
    check(&row("MONOCHROME2", 12, false, &[100, 200, 300], &[]), &[0, 128, 255]);
    // Bits above the twelve stored ones are not part of the value.
    check(&row("MONOCHROME2", 12, false, &[0xF064, 0xF0C8, 0x012C], &[]), &[0, 128, 255]);
}

#[test]
fn a_look_up_table_wins_over_a_window() {
    let descriptor = [3u16, 100, 16].iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<_>>();
    // Twelve bits used of the declared sixteen, as some devices write.
    let entries = [0u16, 1024, 4095].iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<_>>();
    let item = [element(0x28, 0x3002, "US", &descriptor), element(0x28, 0x3006, "OW", &entries)].concat();
    let mut sequence = vec![0xFE, 0xFF, 0x00, 0xE0];
    sequence.extend((item.len() as u32).to_le_bytes());
    sequence.extend(item);
    let [center, width] = window("0", "1");
    let more = [center, width, element(0x28, 0x3010, "SQ", &sequence)];
    check(&row("MONOCHROME2", 12, false, &[50, 100, 101, 102, 900], &more), &[0, 0, 64, 255, 255]);
}

/// An 8-bit image whose pixel data are one JPEG.
fn jpeg_file(image: &GrayImage) -> Vec<u8> {
    let mut fragment = encode_jpeg(image, 95);
    if fragment.len() % 2 == 1 {
        fragment.push(0);
    }
    // Undefined length: an empty offset table, one fragment, the delimiter.
    let mut pixels = [0x7FE0u16.to_le_bytes(), 0x10u16.to_le_bytes()].concat();
    pixels.extend(b"OB\0\0\xFF\xFF\xFF\xFF\xFE\xFF\x00\xE0\0\0\0\0\xFE\xFF\x00\xE0");
    pixels.extend((fragment.len() as u32).to_le_bytes());
    pixels.extend(fragment);
    pixels.extend(b"\xFE\xFF\xDD\xE0\0\0\0\0");
    file(
        JPEG_BASELINE,
        &[
            element(8, 0x18, "UI", b"1.2.3.4"),
            element(0x10, 0x20, "LO", b"P7"),
            element(0x10, 0x40, "CS", b"F"),
            element(0x10, 0x1010, "AS", b"061Y"),
            element(0x18, 0x5101, "CS", b"PA"),
            short(0x28, 2, 1),
            element(0x28, 4, "CS", b"MONOCHROME2"),
            short(0x28, 0x10, image.height as u16),
            short(0x28, 0x11, image.width as u16),
            short(0x28, 0x100, 8),
            short(0x28, 0x101, 8),
            short(0x28, 0x102, 7),
            short(0x28, 0x103, 0),
            pixels,
        ],
    )
}

fn gradient() -> GrayImage {
    let pixels = (0..64 * 64).map(|i: u32| (i % 64 * 4 + i / 64 % 3) as u8).collect();
    GrayImage { width: 64, height: 64, pixels }
}

#[test]
fn files_are_built_by_instance_with_what_their_headers_tell() {
    let bench = Workbench::new();
    let path = bench.write("in/series/IM0001", jpeg_file(&gradient()));
    let header = read_header(&path).expect("a good header");
    assert_eq!((header.instance.as_deref(), header.patient_id.as_deref()), (Some("1.2.3.4"), Some("P7")));
    assert_eq!(
        (header.view.as_deref(), header.sex.as_deref(), header.age),
        (Some("PA"), Some("F"), Some(61))
    );
    bench.write("labels.csv", "image,Mass\n1.2.3.4,1\n");
    let built =
        bench.json("build --dicom in --labels-csv labels.csv --val 0 --test 0 --encoding png --out shards");
    assert_eq!(built["manifest"]["splits"]["train"]["patients"], 1);
    assert_eq!(built["manifest"]["source"]["kind"], "dicom");
    bench.good("check shards");
}

#[test]
fn ages_of_headers_are_read_in_every_unit() {
    let bench = Workbench::new();
    for (text, age) in
        [("018M", Some(1)), ("144M", Some(12)), ("003W", Some(0)), ("058Y", Some(58)), ("????", None)]
    {
        let mut file = jpeg_file(&gradient());
        let at = file.windows(4).position(|found| found == b"061Y").expect("the age");
        file[at..at + 4].copy_from_slice(text.as_bytes());
        assert_eq!(read_header(&bench.write("IM0001", file)).expect("a good header").age, age, "{text}");
    }
}

#[test]
fn a_header_longer_than_what_is_read_first_is_read_whole() {
    let bench = Workbench::new();
    let mut file = jpeg_file(&gradient());
    let at = file.windows(4).position(|found| found == b"\x10\0\x20\0").expect("the patient");
    let long = [&b"\x09\0\x10\x10OB\0\0"[..], &(1_u32 << 19).to_le_bytes(), &vec![7; 1 << 19]].concat();
    file.splice(at..at, long);
    assert_eq!(
        read_header(&bench.write("IM0001", file)).expect("a header").patient_id.as_deref(),
        Some("P7")
    );
}

#[test]
fn jpeg_pixels_come_out_as_the_picture() {
    let image = gradient();
    let decoded = decode_gray(&jpeg_file(&image)).expect("a good file");
    let worst = image.pixels.iter().zip(&decoded.pixels).map(|(a, b)| a.abs_diff(*b)).max();
    assert!(worst <= Some(8), "{worst:?}");
}

#[test]
fn what_cannot_be_shown_is_refused() {
    let refused = |bytes: &[u8]| {
        let error = decode_gray(bytes).expect_err("cannot be shown");
        xray_artifacts::one_line(&error)
    };
    let rgb = refused(&row("RGB", 8, false, &[1, 2], &[]));
    assert!(rgb.starts_with("broken or unusual DICOM: its colours are RGB"), "{rgb}");
    let good = row("MONOCHROME2", 12, false, &[1, 2, 3, 4], &[]);
    let cut = refused(&good[..good.len() - 6]);
    assert!(cut.starts_with("broken or unusual DICOM: "), "{cut}");
    for length in (0..good.len()).step_by(7) {
        refused(&good[..length]);
    }
    // A JPEG of other size than its file says: it might be a small file that fills all memory.
    let mut lies = jpeg_file(&gradient());
    let rows = short(0x28, 0x10, 64);
    let at = lies.windows(rows.len()).position(|found| found == rows).expect("the rows");
    lies[at..at + rows.len()].copy_from_slice(&short(0x28, 0x10, 32));
    assert_eq!(refused(&lies), "broken or unusual DICOM: its header says 64x32, its JPEG data 64x64");
}

#[test]
fn a_header_is_read_without_the_pixels() {
    let file = jpeg_file(&gradient());
    let header = xray_image::read_header(&file).expect("a header");
    assert_eq!((header.width, header.height, header.encoding), (64, 64, "dicom"));
}

#[test]
fn a_file_that_cannot_be_shown_is_named() {
    let bench = Workbench::new();
    bench.write("in/odd.dcm", row("RGB", 8, false, &[1, 2], &[]));
    bench.write("labels.csv", "image,Mass\nodd.dcm,1\n");
    let output = bench.run("build --dicom in --labels-csv labels.csv --val 0 --test 0 --out shards");
    assert!(
        output.stderr.contains("odd.dcm: broken or unusual DICOM: its colours are RGB"),
        "{}",
        output.stderr
    );
}

/// Whose such a file is, only its header could say, so neither a split nor a warning may count on it.
#[test]
fn a_file_whose_header_cannot_be_read_is_left_out_where_that_is_asked_for() {
    let bench = Workbench::new();
    for name in ["a", "b", "c"] {
        bench.write(&format!("in/{name}.dcm"), jpeg_file(&gradient()));
    }
    let good = jpeg_file(&gradient());
    let patient = good.windows(8).position(|found| found == b"\x10\0\x20\0LO\x02\0").expect("the patient");
    let mut broken = good;
    broken[patient + 6..patient + 8].copy_from_slice(&u16::MAX.to_le_bytes());
    bench.write("in/broken.dcm", broken);
    bench.write("labels.csv", "image,Mass\na.dcm,1\nbroken.dcm,1\nb.dcm,0\nc.dcm,0\n");
    let source = "--dicom in --labels-csv labels.csv --val 0 --test 0";
    let said = "in/broken.dcm: broken or unusual DICOM: element (0010,0020) should have 65535 bytes";

    let refused = bench.refused(5, &format!("build {source} --out shards"));
    assert!(refused.contains(said) && refused.contains("--skip-bad"), "{refused}");
    let refused = bench.refused(5, &format!("split {source} --out split.csv"));
    assert!(refused.contains(said), "{refused}");

    let built = bench.run(&format!("build {source} --skip-bad --out shards --format json"));
    assert_eq!(built.code, 0, "{}", built.stderr);
    assert!(built.stderr.contains(&format!("skipped: {said}")), "{}", built.stderr);
    assert!(!built.stderr.contains("without a patient"), "{}", built.stderr);
    let built: serde_json::Value = serde_json::from_str(&built.stdout).expect("JSON");
    assert_eq!(built["skipped"], 1);
    assert_eq!(built["manifest"]["split_rule"], "patient");
    assert_eq!(built["manifest"]["splits"]["train"]["images"], 3);

    for name in ["a", "b", "c"] {
        fs::copy(bench.path("in/broken.dcm"), bench.path(&format!("in/{name}.dcm"))).expect("writable");
    }
    let nothing = bench.refused(5, &format!("build {source} --skip-bad --out none"));
    assert!(nothing.contains("none of the 4 images can be used: in/a.dcm: "), "{nothing}");
}

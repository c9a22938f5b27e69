//! Files that mean harm, each refused from its header.

use crate::writer::{JPEG, NATIVE, Picture, element, encapsulated, file, short};
use xray_image::{Budget, ImageProblem, decode_gray, decode_gray_within, read_dicom_patient, read_header};

fn refused(file: &[u8]) -> String {
    let problem = decode_gray(file).expect_err("cannot be shown");
    assert!(!matches!(problem, ImageProblem::Decoder(_)), "{problem}");
    problem.to_string().replace("broken or unusual DICOM: ", "")
}

#[test]
fn nested_sequences_do_not_reach_the_stack() {
    let open = b"\x08\0\x40\x11SQ\0\0\xFF\xFF\xFF\xFF\xFE\xFF\x00\xE0\xFF\xFF\xFF\xFF";
    for depth in [33, 1812, 200_000] {
        let file = file(NATIVE, &[open.repeat(depth)]);
        assert_eq!(refused(&file), "its sequences are nested more than 32 deep");
        assert!(read_header(&file).is_err() && read_dicom_patient(&file).is_err());
    }
}

#[test]
fn no_length_is_believed() {
    let good = Picture::gray(4, 1, 12);
    let long = |head: &[u8]| [head, &0xFFFF_FFF0_u32.to_le_bytes(), b"x"].concat();
    for head in
        [&b"\x08\0\x16\0UN\0\0"[..], b"\x08\0\x99\x99OW\0\0", b"\x28\0\0\x30SQ\0\0", b"\xE0\x7F\x10\0OW\0\0"]
    {
        let mut elements = good.elements();
        elements.push(long(head));
        assert!(refused(&file(NATIVE, &elements)).ends_with("1 are left in the file"));
    }
    let cut = good.native(&[], &[0; 6]);
    assert_eq!(refused(&cut), "its pixel data have 6 bytes, where its header makes it 8");
    let two = good.native(&[], &[0; 16]);
    assert_eq!(refused(&two), "its pixel data have 16 bytes, where its header makes it 8");
    let padded = good.native(&[], &[0, 0, 1, 0, 2, 0, 3, 0, 0, 0]);
    assert!(decode_gray(&padded).is_ok());
}

#[test]
fn the_header_decides_before_a_pixel_is_looked_at() {
    let with = |picture: &Picture, more: Vec<u8>| {
        let mut elements = picture.elements();
        elements.insert(2, more);
        elements.push(encapsulated(&[], &[b"no picture at all"]));
        refused(&file(JPEG, &elements))
    };
    let frames = |text: &str| element(0x28, 8, "IS", text.as_bytes());
    let eight = Picture { allocated: 8, stored: 8, ..Picture::gray(8, 8, 8) };
    assert_eq!(with(&eight, frames("4")), "it holds 4 frames, not one");
    assert_eq!(with(&eight, frames("0")), "it holds 0 frames, not one");
    assert!(with(&eight, frames("1A")).contains("not a number of frames"));
    assert!(with(&Picture { size: [60000, 60000], ..eight }, vec![]).contains("60000x60000"));
    assert!(with(&Picture { allocated: 24, ..eight }, vec![]).contains("24 bits"));
    assert!(with(&Picture { allocated: 16, stored: 17, ..eight }, vec![]).contains("of 17 bits"));
    assert_eq!(with(&eight, short(0x28, 0x10, 9)), "element (0028,0010) is there twice and differs");
    let mut elements = eight.elements();
    elements[6] = short(0x28, 0x102, 65535);
    elements.push(element(0x7FE0, 0x10, "OB", &[0; 64]));
    assert!(refused(&file(NATIVE, &elements)).contains("the highest bit 65535"));
}

#[test]
fn a_deflated_file_unpacks_as_far_as_its_header_goes() {
    use std::io::Write;
    let deflated = |data: &[u8]| {
        let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(data).expect("memory");
        file("1.2.840.10008.1.2.1.99", &[encoder.finish().expect("memory")])
    };
    let picture = Picture::gray(5000, 4000, 12);
    let pixels = element(0x7FE0, 0x10, "OW", &vec![0; 40_000_000]);
    let whole = deflated(&[picture.elements().concat(), pixels].concat());
    assert_eq!(decode_gray(&whole).expect("more than is unpacked at first").width, 5000);
    let bomb = deflated(&element(8, 0x16, "UN", &vec![0; 100_000_000]));
    assert!(refused(&bomb).contains("are left in the file"));
}

#[test]
fn a_budget_holds_for_every_coding() {
    let late = Budget { until: Some(std::time::Instant::now()), ..Budget::default() };
    let tight = Budget { memory: 1000, ..Budget::default() };
    let small = Budget { pixels: 1000, ..Budget::default() };
    for name in ["rle", "jpeg-lossless-1", "jpeg-extended", "jpeg-ls", "jpeg-2000", "jpeg-baseline"] {
        let file = crate::codings::golden(name);
        assert_eq!(decode_gray_within(&file, None, &late), Err(ImageProblem::OutOfTime), "{name}");
        let problem = decode_gray_within(&file, None, &tight).expect_err(name);
        assert!(matches!(problem, ImageProblem::TooMuchMemory { .. }), "{name}: {problem}");
        let problem = decode_gray_within(&file, None, &small).expect_err(name);
        assert!(matches!(problem, ImageProblem::TooLarge { .. }), "{name}: {problem}");
    }
}

//! The way to gray (PS3.3, C.11), by hand-computed values.

use crate::writer::{Picture, decimal, element, row, sequence, short, words};
use xray_image::decode_gray;

fn check(file: &[u8], expected: &[u8]) {
    assert_eq!(decode_gray(file).expect("a good file").pixels, expected);
}

fn refused(more: &[Vec<u8>]) -> String {
    let error =
        decode_gray(&row("MONOCHROME2", 12, false, &[0, 1000, 4095], more)).expect_err("cannot be shown");
    error.to_string().replace("broken or unusual DICOM: ", "")
}

fn window(center: &str, width: &str) -> Vec<Vec<u8>> {
    vec![decimal(0x1050, center), decimal(0x1051, width)]
}

fn function(name: &str) -> Vec<u8> {
    element(0x28, 0x1056, "CS", name.as_bytes())
}

#[test]
fn windows_follow_their_functions() {
    let values = [0, 1000, 1500, 2000, 2500, 4095];
    let shown = |function: &dyn Fn(f64) -> f64| -> Vec<u8> {
        values.iter().map(|&x| (function(f64::from(x)) * 255.0).round().clamp(0.0, 255.0) as u8).collect()
    };
    let with = |more: &[Vec<u8>]| row("MONOCHROME2", 12, false, &values, more);
    let linear = shown(&|x| (x - 1999.5) / 999.0 + 0.5);
    check(&with(&window("2000", "1000")), &linear);
    check(&with(&[window("2000\\100", "1000\\5"), vec![function("LINEAR")]].concat()), &linear);
    let exact = [window("2000", "1000"), vec![function("LINEAR_EXACT")]].concat();
    check(&with(&exact), &shown(&|x| (x - 2000.0) / 1000.0 + 0.5));
    let sigmoid = [window("2000", "1000"), vec![function("SIGMOID")]].concat();
    check(&with(&sigmoid), &shown(&|x| 1.0 / (1.0 + (-4.0 * (x - 2000.0) / 1000.0).exp())));
    check(&with(&window("1500", "1")), &[0, 0, 255, 255, 255, 255]);
}

#[test]
fn a_window_that_shows_nothing_is_refused() {
    for (center, width) in
        [("2000", "0"), ("2000", "-5"), ("2000", "NaN"), ("nan", "100"), ("2000", "inf"), ("1e300", "9")]
    {
        let message = refused(&window(center, width));
        assert!(
            message.starts_with("its window of center ") && message.ends_with("shows nothing"),
            "{message}"
        );
    }
    assert!(refused(&window("2000", "0.5")).contains("(LINEAR)"));
    let exact = [window("2000", "0.5"), vec![function("LINEAR_EXACT")]].concat();
    assert!(decode_gray(&row("MONOCHROME2", 12, false, &[0, 4095], &exact)).is_ok());
    assert!(refused(&[window("2000", "100"), vec![function("CUBIC")]].concat()).contains("(CUBIC)"));
    assert!(refused(&[decimal(0x1050, "2000")]).contains("width nothing"));
    assert!(refused(&window("2000", "wide")).contains("`wide`, not a decimal number"));
    // Empty elements say nothing: the range of the values.
    check(&row("MONOCHROME2", 12, false, &[0, 4095], &window("", "")), &[0, 255]);
}

#[test]
fn a_rescale_that_makes_no_values_is_refused() {
    for (slope, intercept) in
        [("0", "0"), ("NaN", "0"), ("inf", "0"), ("1", "NaN"), ("1", "-inf"), ("1e300", "0")]
    {
        let message = refused(&[decimal(0x1052, intercept), decimal(0x1053, slope)]);
        assert!(message.starts_with("its rescale slope"), "{message}");
    }
    let values = [0, 1000, 2000];
    let with = |slope: &str| {
        row("MONOCHROME2", 12, false, &values, &[decimal(0x1052, "-1000"), decimal(0x1053, slope)])
    };
    check(&with("2"), &[0, 128, 255]);
    check(&with("-2"), &[255, 128, 0]);
}

#[test]
fn signed_and_inverted_values_and_unused_bits() {
    check(&row("MONOCHROME2", 12, true, &[-2048, 0, 2047], &[]), &[0, 128, 255]);
    check(&row("MONOCHROME2", 10, true, &[-512, 511], &[]), &[0, 255]);
    check(&row("MONOCHROME1", 12, false, &[0, 4095], &[]), &[255, 0]);
    let shape = |shape: &str| element(0x2050, 0x20, "CS", shape.as_bytes());
    check(&row("MONOCHROME1", 12, false, &[0, 4095], &[shape("INVERSE")]), &[255, 0]);
    check(&row("MONOCHROME2", 12, false, &[0, 4095], &[shape("INVERSE")]), &[255, 0]);
    check(&row("MONOCHROME2", 12, false, &[0, 4095], &[shape("IDENTITY")]), &[0, 255]);
    // An overlay in the unused bits.
    check(&row("MONOCHROME2", 12, false, &[0xF064, 0xF0C8, 0x012C], &[]), &[0, 128, 255]);
}

#[test]
fn samples_of_one_and_of_32_bits() {
    let bits = Picture { allocated: 1, stored: 1, ..Picture::gray(10, 1, 1) };
    check(&bits.native(&[], &[0b0000_0101, 0b10]), &[255, 0, 255, 0, 0, 0, 0, 0, 0, 255]);
    let long = Picture { allocated: 32, stored: 32, ..Picture::gray(3, 1, 32) };
    let pixels: Vec<u8> = [0_u32, 1 << 31, u32::MAX].iter().flat_map(|value| value.to_le_bytes()).collect();
    check(&long.native(&[], &pixels), &[0, 128, 255]);
}

#[test]
fn padding_is_black_and_no_part_of_the_range() {
    let padding = |value: u16| short(0x28, 0x120, value);
    check(&row("MONOCHROME2", 12, false, &[0, 1500, 3000, 2250], &[padding(0)]), &[0, 0, 255, 128]);
    check(&row("MONOCHROME2", 16, false, &[65535, 0, 3758], &[padding(65535)]), &[0, 0, 255]);
    // All sixteen bits where twelve are used.
    check(&row("MONOCHROME2", 12, false, &[65535, 0, 4095], &[padding(65535)]), &[0, 0, 255]);
    check(&row("MONOCHROME1", 12, false, &[0, 1500, 3000], &[padding(0)]), &[0, 255, 0]);
    let signed = element(0x28, 0x120, "SS", &(-2000_i16).to_le_bytes());
    check(&row("MONOCHROME2", 16, true, &[-2000, -1000, 1000], &[signed]), &[0, 0, 255]);
    let range = [padding(10), short(0x28, 0x121, 0)];
    check(&row("MONOCHROME2", 12, false, &[0, 5, 10, 100, 300], &range), &[0, 0, 0, 0, 255]);
    // Through a window it would be white.
    let more = [vec![padding(4095)], window("2000", "1000")].concat();
    check(&row("MONOCHROME2", 12, false, &[4095, 4094, 0], &more), &[0, 255, 0]);
}

fn lut(number: u16, descriptor: [u16; 3], entries: &[u8]) -> Vec<u8> {
    let descriptor: Vec<u8> = descriptor.iter().flat_map(|value| value.to_le_bytes()).collect();
    sequence(0x28, number, &[element(0x28, 0x3002, "US", &descriptor), element(0x28, 0x3006, "OW", entries)])
}

#[test]
fn look_up_tables_come_first_and_must_be_readable() {
    let entries = words(&[0, 1024, 4095]);
    // Twelve bits used of the declared sixteen, as some devices write.
    let more = [window("0", "1"), vec![lut(0x3010, [3, 100, 16], &entries)]].concat();
    check(&row("MONOCHROME2", 12, false, &[50, 100, 101, 102, 900], &more), &[0, 0, 64, 255, 255]);
    let bytes = [lut(0x3010, [3, 100, 8], &[0, 64, 255])];
    check(&row("MONOCHROME2", 12, false, &[100, 101, 102], &bytes), &[0, 64, 255]);
    let modality = [lut(0x3000, [3, 0, 16], &words(&[0, 1000, 4000]))];
    check(&row("MONOCHROME2", 12, false, &[0, 1, 2], &modality), &[0, 64, 255]);
    for (count, bits, length) in [(4, 16, 3), (3, 16, 2), (0, 16, 3), (3, 0, 3), (3, 40, 3), (3, 9, 3)] {
        let entries = &words(&[600, 1024, 4095])[..2 * length];
        assert_eq!(refused(&[lut(0x3010, [count, 100, bits], entries)]), "its VOI LUT cannot be read");
        assert_eq!(refused(&[lut(0x3000, [count, 100, bits], entries)]), "its modality LUT cannot be read");
    }
    let both = [decimal(0x1053, "2"), lut(0x3000, [3, 0, 16], &entries)];
    assert_eq!(refused(&both), "it has a modality LUT and a rescale slope or intercept");
}

//! Decoding against libjpeg's own pixels, every kind of PNG, and files that are broken, bombs or neither.

#[path = "crafted/mod.rs"]
mod crafted;

use proptest::prelude::*;
use std::num::NonZeroU16;
use std::time::{Duration, Instant};
use xray_image::{
    Budget, GrayImage, ImageProblem, decode_gray, decode_gray_within, encode_jpeg, encode_png,
    find_white_level, mean_chroma, read_header,
};

/// A smooth picture with an edge, `width` x `height`.
fn picture(width: u32, height: u32) -> GrayImage {
    let value = |x: u32, y: u32| {
        let wave = (f64::from(x) / 9.0).sin() * (f64::from(y) / 7.0).cos() * 80.0;
        (130.0 + wave + if x > width / 2 { 40.0 } else { 0.0 }) as u8
    };
    let pixels = (0..height).flat_map(|y| (0..width).map(move |x| value(x, y))).collect();
    GrayImage { width, height, pixels }
}

fn largest_difference(a: &GrayImage, b: &GrayImage) -> u8 {
    assert_eq!((a.width, a.height), (b.width, b.height));
    a.pixels.iter().zip(&b.pixels).map(|(&a, &b)| a.abs_diff(b)).max().expect("there are pixels")
}

fn check_against_libjpeg(name: &str, tolerance: u8) {
    let file = |extension: &str| {
        let path = format!("{}/tests/golden/jpeg/{name}.{extension}", env!("CARGO_MANIFEST_DIR"));
        decode_gray(&std::fs::read(path).expect("a golden file")).expect("a whole image")
    };
    let difference = largest_difference(&file("jpg"), &file("png"));
    assert!(difference <= tolerance, "{name} differs from libjpeg by {difference}");
}

#[test]
fn gray_baseline_pixels_are_those_of_libjpeg() {
    for name in ["gray-q90", "gray-q15", "gray-q100-optimised", "gray-restarts"] {
        check_against_libjpeg(name, 0);
    }
}

#[test]
fn other_jpegs_are_within_a_gray_level_of_libjpeg() {
    for name in ["gray-progressive", "colour-420"] {
        check_against_libjpeg(name, 1);
    }
}

/// A segment that calls itself Adobe's and ends before it says which colours these are. libjpeg passes over it.
#[test]
fn short_segments_of_adobe_say_nothing() {
    let whole = include_bytes!("golden/jpeg/colour-420.jpg");
    let with = |segments: &[&[u8]]| [&whole[..2], &segments.concat(), &whole[2..]].concat();
    let expected = decode_gray(whole).expect("a good file");
    for short in [&b"\xFF\xEE\0\x07Adobe"[..], b"\xFF\xEE\0\x0CAdobe\0\x64\0\0\0", b"\xFF\xEE\0\x02"] {
        assert_eq!(decode_gray(&with(&[short])).as_ref(), Ok(&expected));
        assert_eq!(decode_gray(&with(&[short, b"\xFF", short])).as_ref(), Ok(&expected));
        let chroma =
            [mean_chroma(&with(&[short]), &Budget::default()), mean_chroma(whole, &Budget::default())];
        assert_eq!(chroma[0], chroma[1]);
    }
    // A whole one counts: red, green and blue instead of luma and differences.
    let said = with(&[b"\xFF\xEE\0\x0EAdobe\0\x64\0\0\0\0\0"]);
    assert_ne!(decode_gray(&said).ok(), Some(expected));
}

fn encode_colour(pixels: &[u8], side: u16, colour: jpeg_encoder::ColorType) -> Vec<u8> {
    let mut bytes = Vec::new();
    let encoder = jpeg_encoder::Encoder::new(&mut bytes, 95);
    encoder.encode(pixels, side, side, colour).expect("an encodable picture");
    bytes
}

#[test]
fn colour_and_ink_become_luma() {
    use jpeg_encoder::ColorType::{Cmyk, CmykAsYcck, Rgb};
    let check = |pixel: &[u8], colour, expected: u8| {
        let image = decode_gray(&encode_colour(&pixel.repeat(16 * 16), 16, colour)).expect("a whole image");
        assert_eq!((image.width, image.height), (16, 16));
        let far = image.pixels.iter().map(|&p| p.abs_diff(expected)).max().expect("there are pixels");
        assert!(far <= 2, "{colour:?} {pixel:?} gave {} not {expected}", image.pixels[0]);
    };
    check(&[200, 100, 50], Rgb, 124); // 0.299 * 200 + 0.587 * 100 + 0.114 * 50
    check(&[90, 90, 90], Rgb, 90);
    // jpeg-encoder takes ink amounts and stores them inverted, as Adobe does.
    check(&[0, 0, 0, 0], Cmyk, 255);
    check(&[0, 0, 0, 155], Cmyk, 100);
    check(&[0, 0, 0, 155], CmykAsYcck, 100);
}

fn encode_any_png(color: png::ColorType, depth: png::BitDepth, width: u32, data: &[u8]) -> Vec<u8> {
    encode_png_with(color, depth, width, data, |_| {})
}

fn encode_png_with(
    color: png::ColorType,
    depth: png::BitDepth,
    width: u32,
    data: &[u8],
    more: impl Fn(&mut png::Encoder<'_, &mut Vec<u8>>),
) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, width, 1);
    encoder.set_color(color);
    encoder.set_depth(depth);
    more(&mut encoder);
    let mut writer = encoder.write_header().expect("a header");
    writer.write_image_data(data).expect("the right amount of data");
    drop(writer);
    bytes
}

fn wide(values: &[u16]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_be_bytes()).collect()
}

#[test]
fn every_png_colour_type_and_depth() {
    use png::BitDepth::{Eight, Four, One, Sixteen, Two};
    use png::ColorType::{Grayscale, GrayscaleAlpha, Rgb, Rgba};
    let check = |color, depth, data: &[u8], expected: [u8; 3]| {
        let image = decode_gray(&encode_any_png(color, depth, 3, data)).expect("a whole image");
        assert_eq!(image.pixels, expected, "{color:?} {depth:?}");
    };
    check(Grayscale, One, &[0b1010_0000], [255, 0, 255]);
    check(Grayscale, Two, &[0b0001_1000], [0, 85, 170]);
    check(Grayscale, Four, &[0x0F, 0x70], [0, 255, 119]);
    check(Grayscale, Eight, &[1, 128, 254], [1, 128, 254]);
    check(Grayscale, Sixteen, &wide(&[0, 0x8080, 0xFFFF]), [0, 128, 255]);
    check(GrayscaleAlpha, Eight, &[9, 255, 8, 0, 7, 3], [9, 8, 7]);
    check(GrayscaleAlpha, Sixteen, &wide(&[0x0900, 65535, 0xFFFF, 0, 0, 1]), [9, 255, 0]);
    check(Rgb, Eight, &[255, 0, 0, 0, 255, 0, 0, 0, 255], [76, 150, 29]);
    check(Rgb, Sixteen, &wide(&[65535, 0, 0, 0, 65535, 0, 0, 0, 65535]), [76, 150, 29]);
    check(Rgba, Eight, &[5, 5, 5, 255, 6, 6, 6, 128, 255, 255, 255, 0], [5, 6, 255]);
    check(Rgba, Sixteen, &wide(&[65535, 65535, 65535, 1, 0, 0, 0, 1, 257, 257, 257, 1]), [255, 0, 1]);
}

#[test]
fn palettes_become_gray_with_and_without_transparency() {
    use png::BitDepth::{Eight, Four, One, Two};
    let palette = [10, 10, 10, 250, 250, 250, 255, 0, 0];
    for (depth, data) in [(Eight, vec![0, 1, 2]), (Four, vec![0x01, 0x20]), (Two, vec![0b0001_1000])] {
        for transparent in [false, true] {
            let bytes = encode_png_with(png::ColorType::Indexed, depth, 3, &data, |encoder| {
                encoder.set_palette(palette.to_vec());
                if transparent {
                    encoder.set_trns(vec![0, 100]);
                }
            });
            assert_eq!(decode_gray(&bytes).expect("a whole image").pixels, [10, 250, 76], "{depth:?}");
        }
    }
    let two = encode_png_with(png::ColorType::Indexed, One, 3, &[0b0100_0000], |encoder| {
        encoder.set_palette(palette[..6].to_vec());
    });
    assert_eq!(decode_gray(&two).expect("a whole image").pixels, [10, 250, 10]);
}

fn sixteen_bits(values: &[u16]) -> Vec<u8> {
    encode_any_png(png::ColorType::Grayscale, png::BitDepth::Sixteen, values.len() as u32, &wide(values))
}

#[test]
fn fewer_bits_in_sixteen_use_the_whole_range() {
    let check = |values: &[u16], expected: &[u8], white: u16| {
        let bytes = sixteen_bits(values);
        assert_eq!(decode_gray(&bytes).expect("a whole image").pixels, expected, "{values:?}");
        assert_eq!(find_white_level(&bytes), Ok(NonZeroU16::new(white)), "{values:?}");
    };
    check(&[0, 128, 255], &[0, 128, 255], 255);
    check(&[0, 512, 1023], &[0, 128, 255], 1023);
    check(&[0, 2048, 4095], &[0, 128, 255], 4095);
    check(&[0, 2048, 4096], &[0, 32, 64], 16_383);
    check(&[0, 8192, 16_383], &[0, 128, 255], 16_383);
    check(&[0, 8192, 16_384], &[0, 32, 64], 65_535);
    assert_eq!(find_white_level(&encode_png(&picture(9, 9))), Ok(None));
}

#[test]
fn a_burned_in_marker_does_not_darken_the_rest() {
    for bits in [8, 10, 12, 14] {
        let white = (1_u16 << bits) - 1;
        let mut values: Vec<u16> = (0..200).map(|i| (u32::from(white) * i / 199) as u16).collect();
        let clean = decode_gray(&sixteen_bits(&values)).expect("a whole image");
        values.extend([u16::MAX; 4]);
        let marked = decode_gray(&sixteen_bits(&values)).expect("a whole image");
        assert_eq!(marked.pixels[..200], clean.pixels, "{bits} bits");
        assert_eq!(marked.pixels[200..], [255; 4]);
        // More than one pixel in fifty is not a marker.
        values.push(u16::MAX);
        assert_eq!(find_white_level(&sixteen_bits(&values)), Ok(Some(NonZeroU16::MAX)));
    }
}

#[test]
fn a_white_level_of_the_set_is_taken_as_it_is() {
    let check = |values: &[u16], level: u16, expected: &[u8]| {
        let level = NonZeroU16::new(level);
        let image = decode_gray_within(&sixteen_bits(values), level, &Budget::default());
        assert_eq!(image.expect("a whole image").pixels, expected);
    };
    check(&[0, 1000, 4000], 16_383, &[0, 16, 62]);
    check(&[0, 1000, 4000], 2000, &[0, 128, 255]);
}

#[test]
fn interlaced_files_hold_the_same_pixels() {
    let kinds: [(u8, usize, usize); 6] = [(0, 1, 1), (0, 1, 4), (0, 1, 8), (0, 1, 16), (2, 3, 8), (6, 4, 16)];
    for (colour, channels, depth) in kinds {
        for size in [[1, 1], [3, 2], [5, 9], [17, 11]] {
            let sample = |x: usize, y: usize| ((x * 37 + y * 11) % (1 << depth.min(8))) as u8;
            let pixel = |x, y| vec![sample(x, y); (channels * depth).div_ceil(8)];
            let file = |is_interlaced| {
                let header =
                    crafted::header(size[0] as u32, size[1] as u32, depth as u8, colour, is_interlaced);
                let lines = crafted::lines(size, channels * depth, is_interlaced, pixel);
                let chunks = [(b"IHDR", header), (b"IDAT", crafted::stored(&lines)), (b"IEND", Vec::new())];
                decode_gray(&crafted::png(&chunks)).expect("a whole image")
            };
            assert_eq!(file(true), file(false), "{colour} {depth} {size:?}");
        }
    }
}

#[test]
fn an_animation_that_begins_smaller_than_it_says_is_refused() {
    let frame = |width: u32| {
        let numbers = [0, width, 4, 0, 0].map(u32::to_be_bytes).concat();
        let lines = crafted::lines([width as usize, 4], 8, false, |x, y| vec![(x * 9 + y) as u8]);
        crafted::png(&[
            (b"IHDR", crafted::header(4, 4, 8, 0, false)),
            (b"acTL", [1_u32.to_be_bytes(), [0; 4]].concat()),
            (b"fcTL", [&numbers[..], &[0, 1, 0, 1, 0, 0]].concat()),
            (b"IDAT", crafted::stored(&lines)),
            (b"IEND", Vec::new()),
        ])
    };
    assert_eq!(decode_gray(&frame(4)).expect("a whole picture").pixels.len(), 16);
    decode_gray(&frame(3)).expect_err("a smaller picture");
}

#[test]
fn a_decoder_that_panics_is_one_bad_file() {
    // png 0.18 trusts that a palette holds whole colours.
    let lines = crafted::lines([3, 2], 8, false, |x, _| vec![x as u8]);
    let bytes = crafted::png(&[
        (b"IHDR", crafted::header(3, 2, 8, 3, false)),
        (b"PLTE", vec![1, 2, 3, 4, 5]),
        (b"IDAT", crafted::stored(&lines)),
        (b"IEND", Vec::new()),
    ]);
    for problem in [decode_gray(&bytes).err(), mean_chroma(&bytes, &Budget::default()).err()] {
        let problem = problem.expect("no picture");
        assert!(matches!(problem, ImageProblem::Decoder(_) | ImageProblem::Png(_)), "{problem:?}");
    }
    assert_eq!(read_header(&bytes).expect("the header is good").width, 3);
}

/// A progressive JPEG of `side` x `side` whose first scan is followed by `scans` that hold one run of empty blocks each.
fn endless(side: u16, scans: usize) -> Vec<u8> {
    let [high, low] = side.to_be_bytes();
    let table = |place: u8, symbols: &[u8]| {
        // Codes of two bits: 00, 01, 10.
        let mut counts = [0; 16];
        counts[1] = symbols.len() as u8;
        let length = (19 + symbols.len()) as u8;
        [&[0xFF, 0xC4, 0, length, place][..], &counts, symbols].concat()
    };
    let mut file = vec![0xFF, 0xD8, 0xFF, 0xDB, 0, 67, 0];
    file.extend([1; 64]);
    file.extend([0xFF, 0xC2, 0, 11, 8, high, low, high, low, 1, 1, 0x11, 0]);
    file.extend(table(0x00, &[0]));
    file.extend(table(0x10, &[0xE0]));
    // DC: every block is zero, two bits each.
    file.extend([0xFF, 0xDA, 0, 8, 1, 1, 0, 0, 0, 0]);
    let blocks = usize::from(side).div_ceil(8).pow(2);
    file.extend(vec![0; blocks.div_ceil(4)]);
    for _ in 0..scans {
        file.extend([0xFF, 0xDA, 0, 8, 1, 1, 0, 1, 63, 0]);
        // Runs of 2^14 blocks and what 14 bits add: two bits of code, fourteen of number.
        file.extend([0x3F, 0xFE].repeat(blocks.div_ceil(32_766)));
    }
    file.extend([0xFF, 0xD9]);
    file
}

#[test]
fn hundreds_of_scans_are_refused_without_a_clock() {
    let few = decode_gray(&endless(64, 3)).expect("a gray picture");
    assert!(few.pixels.iter().all(|&pixel| pixel == 128));
    let budget = Budget { pixels: 512 * 512, ..Budget::default() };
    // 512 x 512 are 4096 blocks: 31 scans of them and the first are what the budget has.
    decode_gray_within(&endless(512, 31), None, &budget).expect("thirty-two visits");
    let clock = Instant::now();
    let refused = decode_gray_within(&endless(512, 500), None, &budget);
    assert_eq!(refused, Err(ImageProblem::TooMuchWork));
    assert!(clock.elapsed() < Duration::from_millis(500), "{:?}", clock.elapsed());
}

#[test]
fn decoding_stops_at_the_deadline() {
    let kinds: [&[u8]; 4] = [
        include_bytes!("golden/jpeg/gray-q90.jpg"),
        include_bytes!("golden/jpeg/gray-progressive.jpg"),
        include_bytes!("golden/jpeg/colour-420.jpg"),
        include_bytes!("golden/jpeg/gray-q90.png"),
    ];
    for bytes in kinds {
        let until = |until| Budget { until: Some(until), ..Budget::default() };
        let over = until(Instant::now());
        assert_eq!(decode_gray_within(bytes, None, &over), Err(ImageProblem::OutOfTime));
        let ahead = until(Instant::now() + Duration::from_secs(600));
        assert_eq!(decode_gray_within(bytes, None, &ahead), decode_gray(bytes));
    }
    let over = Budget { until: Some(Instant::now()), ..Budget::default() };
    assert_eq!(mean_chroma(kinds[2], &over), Err(ImageProblem::OutOfTime));
}

#[test]
fn memory_is_asked_for_before_it_is_taken() {
    let bytes = include_bytes!("golden/jpeg/gray-progressive.jpg");
    // 66 blocks of 64 coefficients of two bytes, and 83 x 45 pixels.
    let needed = 66 * 128 + 83 * 45;
    let with = |memory| decode_gray_within(bytes, None, &Budget { memory, ..Budget::default() });
    assert!(with(needed).is_ok());
    assert_eq!(with(needed - 1), Err(ImageProblem::TooMuchMemory { bytes: needed, allowed: needed - 1 }));
}

#[test]
fn a_colour_copy_of_a_gray_image_decodes_to_the_same_pixels() {
    let gray: Vec<u8> = (0..=255).collect();
    let rgba: Vec<u8> = gray.iter().flat_map(|&v| [v, v, v, 255]).collect();
    let copy = encode_any_png(png::ColorType::Rgba, png::BitDepth::Eight, 256, &rgba);
    assert_eq!(decode_gray(&copy).expect("a whole image").pixels, gray);
}

#[test]
fn our_own_files_come_back() {
    let image = picture(61, 37);
    assert_eq!(decode_gray(&encode_png(&image)).as_ref(), Ok(&image));
    let again = decode_gray(&encode_jpeg(&image, 100)).expect("a whole image");
    assert!(largest_difference(&image, &again) <= 2);
}

#[test]
fn other_formats_are_refused_by_name() {
    let check = |bytes: &[u8], name: &str| {
        let message = decode_gray(bytes).expect_err("not an image we read").to_string();
        assert!(message.contains(name), "{message:?} does not name {name:?}");
    };
    check(b"", "empty");
    check(b"GIF89a\x01\0", "a GIF");
    check(b"BM\x36\0", "a BMP");
    check(b"II*\0\x08\0", "a TIFF");
    check(b"RIFF\0\0\0\0WEBPVP8 ", "a WebP");
    check(&[&[0; 128][..], b"DICM"].concat(), "DICOM");
    check(b"\0\0\0\x0CjP  \r\n", "a JPEG 2000");
    check(b"\x1f\x8b\x08", "a gzip file");
    check(b"PK\x03\x04", "a zip file");
    check(b"hello", "5 bytes that begin with 68 65 6c 6c 6f");
}

/// A JPEG frame header of this size, with nothing behind it.
fn jpeg_header(width: u16, height: u16, components: u8) -> Vec<u8> {
    let [h1, h0] = height.to_be_bytes();
    let [w1, w0] = width.to_be_bytes();
    let mut bytes = vec![0xFF, 0xD8, 0xFF, 0xE0, 0, 4, 0, 0, 0xFF, 0xC0, 0, 8 + 3 * components, 8];
    bytes.extend([h1, h0, w1, w0, components]);
    bytes.extend((1..=components).flat_map(|name| [name, 0x11, 0]));
    bytes
}

#[test]
fn bombs_are_refused_from_the_header() {
    let jpegs = [(65535, 65535, 1), (65535, 8, 3), (8193, 1, 1)];
    let jpegs = jpegs.map(|(w, h, components)| (jpeg_header(w, h, components), u32::from(w), u32::from(h)));
    let pngs = [(100_000, 100_000), (2_000_000_000, 1), (8193, 10)].map(|(width, height)| {
        let mut bytes = Vec::new();
        let writer = png::Encoder::new(&mut bytes, width, height).write_header().expect("a header");
        drop(writer);
        (bytes, width, height)
    });
    for (bytes, width, height) in jpegs.into_iter().chain(pngs) {
        let start = Instant::now();
        assert_eq!(decode_gray(&bytes), Err(ImageProblem::TooLarge { width, height, allowed: 1 << 26 }));
        assert!(start.elapsed() < Duration::from_millis(100), "took {:?}", start.elapsed());
    }
    assert!(matches!(decode_gray(&jpeg_header(0, 7, 1)), Err(ImageProblem::NoPixels { .. })));
}

#[test]
fn every_truncation_is_an_error() {
    let image = picture(40, 40);
    let progressive = include_bytes!("golden/jpeg/gray-progressive.jpg").to_vec();
    let restarts = include_bytes!("golden/jpeg/gray-restarts.jpg").to_vec();
    for whole in [encode_jpeg(&image, 90), encode_png(&image), progressive, restarts] {
        decode_gray(&whole).expect("a whole image");
        // Without its last bytes (end markers, padding) a file may still hold every pixel.
        for length in (0..whole.len() - 16).step_by(7) {
            assert!(decode_gray(&whole[..length]).is_err(), "{length} of {} bytes decode", whole.len());
        }
    }
}

#[test]
fn a_missing_end_marker_loses_no_pixel() {
    let image = picture(40, 40);
    let whole = encode_jpeg(&image, 90);
    assert_eq!(decode_gray(&whole[..whole.len() - 2]), decode_gray(&whole));
}

#[test]
fn restart_markers_must_count() {
    let mut bytes = include_bytes!("golden/jpeg/gray-restarts.jpg").to_vec();
    let is_marker = |pair: &[u8]| pair[0] == 0xFF && (0xD0..=0xD7).contains(&pair[1]);
    let second = bytes.windows(2).enumerate().filter(|(_, pair)| is_marker(pair)).nth(1).expect("a marker").0;
    bytes[second + 1] ^= 4;
    let message = decode_gray(&bytes).expect_err("markers out of order").to_string();
    assert!(message.contains("restart"), "{message}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn flipped_bits_never_panic(
        which in 0_usize..6,
        flips in prop::collection::vec((any::<prop::sample::Index>(), 0_u32..8), 1..12),
    ) {
        let files: [&[u8]; 6] = [
            include_bytes!("golden/jpeg/gray-q90.jpg"),
            include_bytes!("golden/jpeg/gray-restarts.jpg"),
            include_bytes!("golden/jpeg/gray-q100-optimised.jpg"),
            include_bytes!("golden/jpeg/gray-progressive.jpg"),
            include_bytes!("golden/jpeg/colour-420.jpg"),
            include_bytes!("golden/jpeg/gray-q90.png"),
        ];
        let mut bytes = files[which].to_vec();
        for (place, bit) in flips {
            let place = place.index(bytes.len());
            bytes[place] ^= 1 << bit;
        }
        if let Ok(image) = decode_gray(&bytes) {
            prop_assert_eq!(image.pixels.len(), image.width as usize * image.height as usize);
        }
    }

    #[test]
    fn garbage_never_panics(head in 0_usize..3, body in prop::collection::vec(any::<u8>(), 0..300)) {
        let heads: [&[u8]; 3] = [b"", b"\xFF\xD8\xFF", b"\x89PNG\r\n\x1a\n"];
        prop_assert!(decode_gray(&[heads[head], &body].concat()).is_err());
    }
}

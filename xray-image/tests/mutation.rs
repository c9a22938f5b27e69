//! Thousands of damaged files: none ends the program, takes long or much memory. One test alone in its process, because
//! the peak of memory is the process's.

#[path = "crafted/mod.rs"]
mod crafted;

use std::time::{Duration, Instant};
use xray_image::{
    Budget, GrayImage, ImageProblem, decode_gray_within, encode_jpeg, mean_chroma, read_header,
};
use xray_random::Random;

/// Files of every kind, small, so that a mutation hits something.
fn files() -> Vec<Vec<u8>> {
    let mut files: Vec<Vec<u8>> = [
        &include_bytes!("golden/jpeg/gray-q90.jpg")[..],
        include_bytes!("golden/jpeg/gray-restarts.jpg"),
        include_bytes!("golden/jpeg/gray-progressive.jpg"),
        include_bytes!("golden/jpeg/colour-420.jpg"),
        include_bytes!("golden/jpeg/gray-q90.png"),
    ]
    .map(<[u8]>::to_vec)
    .into();
    let image = GrayImage { width: 40, height: 24, pixels: (0..960).map(|i| (i % 251) as u8).collect() };
    files.push(encode_jpeg(&image, 60));
    // Below 90 the colours have fewer samples.
    for (colour, channels, quality) in
        [(jpeg_encoder::ColorType::Rgb, 3, 70), (jpeg_encoder::ColorType::Cmyk, 4, 95)]
    {
        for is_progressive in [false, true] {
            let pixels: Vec<u8> = (0..40 * 24 * channels).map(|i| (i * 7 % 256) as u8).collect();
            let mut bytes = Vec::new();
            let mut encoder = jpeg_encoder::Encoder::new(&mut bytes, quality);
            encoder.set_progressive(is_progressive);
            encoder.encode(&pixels, 40, 24, colour).expect("encodable");
            files.push(bytes);
        }
    }
    // Colour type, channels, depths [PNG, 11.2.2].
    let kinds: [(u8, usize, &[usize]); 5] = [
        (0, 1, &[1, 2, 4, 8, 16]),
        (2, 3, &[8, 16]),
        (3, 1, &[1, 2, 4, 8]),
        (4, 2, &[8, 16]),
        (6, 4, &[8, 16]),
    ];
    for (colour, channels, depths) in kinds {
        for &depth in depths {
            for is_interlaced in [false, true] {
                let pixel = |x: usize, y: usize| {
                    let value = (x * 5 + y * 3) % (1 << depth.min(8));
                    vec![value as u8; (channels * depth).div_ceil(8)]
                };
                let lines = crafted::lines([19, 13], channels * depth, is_interlaced, pixel);
                let mut chunks = vec![(b"IHDR", crafted::header(19, 13, depth as u8, colour, is_interlaced))];
                if colour == 3 {
                    chunks.push((b"PLTE", (0..3 << depth).map(|i| i as u8).collect()));
                    chunks.push((b"tRNS", vec![9; 1 << depth]));
                }
                if is_interlaced {
                    // The first picture of an animation.
                    chunks.push((b"acTL", [2_u32.to_be_bytes(), [0; 4]].concat()));
                    let sides = [0_u32, 19, 13, 0, 0].map(u32::to_be_bytes).concat();
                    chunks.push((b"fcTL", [&sides[..], &[0, 1, 0, 1, 0, 0]].concat()));
                }
                chunks.push((b"eXIf", b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0".to_vec()));
                chunks.push((b"IDAT", crafted::stored(&lines)));
                chunks.push((b"IEND", Vec::new()));
                files.push(crafted::png(&chunks));
            }
        }
    }
    files
}

/// One to four changes of the kinds that find most: bits, bytes of extreme value, lengths, cuts, repeats.
fn mutate(bytes: &mut Vec<u8>, random: &mut Random) {
    for _ in 0..=random.below(4) {
        if bytes.len() < 8 {
            return;
        }
        let at = random.below(bytes.len());
        match random.below(7) {
            0 | 1 => bytes[at] ^= 1 << random.below(8),
            2 => bytes[at] = [0, 1, 0x7F, 0x80, 0xFF][random.below(5)],
            3 => bytes.truncate(at.max(4)),
            4 => {
                let end = (at + random.below(64)).min(bytes.len());
                bytes.drain(at..end);
            }
            5 => {
                let end = (at + 1 + random.below(200)).min(bytes.len());
                let again = bytes[at..end].to_vec();
                bytes.splice(at..at, again);
            }
            _ => {
                let end = (at + 4).min(bytes.len());
                bytes[at..end].iter_mut().for_each(|byte| *byte = random.bits() as u8);
            }
        }
    }
}

/// Makes a PNG's checksums right again, so that what was changed is read.
fn mend(bytes: &mut [u8]) {
    let mut at = 8;
    while let Some(length) = bytes.get(at..at + 4) {
        let length = u32::from_be_bytes([length[0], length[1], length[2], length[3]]) as usize;
        let end = at.saturating_add(8).saturating_add(length);
        let Some(named) = bytes.get(at + 4..end) else { return };
        let crc = crafted::crc(named).to_be_bytes();
        let Some(place) = bytes.get_mut(end..end + 4) else { return };
        place.copy_from_slice(&crc);
        at = end + 4;
    }
}

/// Peak resident memory of this process, in bytes; zero where the system does not say.
fn peak() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmHWM:"));
    let kilobytes =
        line.and_then(|line| line.split_whitespace().nth(1)).and_then(|kb| kb.parse::<usize>().ok());
    kilobytes.unwrap_or(0) * 1024
}

#[test]
fn damaged_files_are_refused_or_decoded_and_nothing_else_happens() {
    const ROUNDS: u64 = 300;
    let files = files();
    for (number, file) in files.iter().enumerate() {
        let whole = decode_gray_within(file, None, &Budget::default());
        assert!(whole.is_ok(), "file {number} is whole before it is damaged: {whole:?}");
    }
    let budget = Budget { pixels: 1 << 24, memory: 1 << 26, until: None };
    let before = peak();
    let (mut decoded, mut refused, mut failed, mut slowest) = (0, 0, 0, Duration::ZERO);
    for (number, file) in files.iter().enumerate() {
        for round in 0..ROUNDS {
            let mut random = Random::keyed(&[number as u64, round]);
            let mut bytes = file.clone();
            mutate(&mut bytes, &mut random);
            if random.below(4) > 0 && bytes.starts_with(b"\x89PNG") {
                mend(&mut bytes);
            }
            let clock = Instant::now();
            let _ = read_header(&bytes);
            let _ = mean_chroma(&bytes, &budget);
            match decode_gray_within(&bytes, None, &budget) {
                Ok(image) => {
                    assert_eq!(image.pixels.len(), image.width as usize * image.height as usize);
                    decoded += 1;
                }
                Err(ImageProblem::Decoder(_)) => failed += 1,
                Err(_) => refused += 1,
            }
            slowest = slowest.max(clock.elapsed());
        }
    }
    let grown = peak() - before;
    assert_eq!(decoded + refused + failed, files.len() as u64 * ROUNDS);
    assert!(decoded > 100 && refused > 1000, "{decoded} decoded, {refused} refused: damage of all degrees");
    assert!(slowest < Duration::from_secs(5), "{slowest:?}");
    assert!(grown < 150 << 20, "{grown} bytes");
}

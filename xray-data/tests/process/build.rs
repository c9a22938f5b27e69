//! Building shards from tables and images made here, by the program itself.

use crate::workbench::Workbench;
use png::{BitDepth, ColorType};
use std::fs;
use xray_data::{Dataset, Draw, OpenOptions};
use xray_image::{GrayImage, decode_gray, encode_jpeg};

/// A bright blob on a gradient, its place depending on `number`: no two are alike.
pub(crate) fn picture(side: u32, number: u32) -> GrayImage {
    let centre = (side / 4 + number * 13 % (side / 2)) as f32;
    let pixel = |i: u32| {
        let (x, y) = ((i % side) as f32, (i / side) as f32);
        let blob = (80.0 + number as f32)
            * (-((x - centre).powi(2) + (y - centre).powi(2)) / (side as f32 * 8.0)).exp();
        (40.0 + 60.0 * y / side as f32 + blob) as u8
    };
    GrayImage { width: side, height: side, pixels: (0..side * side).map(pixel).collect() }
}

fn png(image: &GrayImage, color: ColorType, depth: BitDepth, data: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, image.width, image.height);
    encoder.set_color(color);
    encoder.set_depth(depth);
    encoder.set_compression(png::Compression::Fast);
    let mut writer = encoder.write_header().expect("memory");
    writer.write_image_data(data).expect("memory");
    writer.finish().expect("memory");
    bytes
}

/// The same picture as 16-bit gray, 257 times the 8-bit value.
fn png_16_bit(image: &GrayImage) -> Vec<u8> {
    let data: Vec<u8> = image.pixels.iter().flat_map(|&pixel| [pixel, pixel]).collect();
    png(image, ColorType::Grayscale, BitDepth::Sixteen, &data)
}

/// The same picture as RGBA, as some copies of the NIH images are.
fn png_rgba(image: &GrayImage) -> Vec<u8> {
    let data: Vec<u8> = image.pixels.iter().flat_map(|&p| [p, p, p, 255]).collect();
    png(image, ColorType::Rgba, BitDepth::Eight, &data)
}

/// Twelve patients with three small images each, and a table.
fn small_source(bench: &Workbench) {
    let mut table = "file,subject,Mass,Effusion\n".to_owned();
    for number in 0..36 {
        let name = format!("images/{number:03}.jpg");
        bench.write(&name, encode_jpeg(&picture(48, number), 95));
        let (mass, effusion) = (number % 5 == 0, number % 7 == 0);
        table += &format!("{name},p{},{},{}\n", number / 3, u8::from(mass), u8::from(effusion));
    }
    bench.write("labels.csv", table);
}

const SMALL: &str = "build --csv labels.csv --path-column file --patient-column subject";

#[test]
fn pictures_of_every_depth_colour_and_size_come_out_alike() {
    let bench = Workbench::new();
    let original = picture(1024, 0);
    bench.write("gray8.png", png(&original, ColorType::Grayscale, BitDepth::Eight, &original.pixels));
    bench.write("gray16.png", png_16_bit(&original));
    bench.write("rgba.png", png_rgba(&original));
    bench.write("small.jpg", encode_jpeg(&picture(768, 0), 95));
    bench.write(
        "labels.csv",
        "path,patient,Mass\ngray8.png,1,1\ngray16.png,2,0\nrgba.png,3,0\nsmall.png,4,-1\n",
    );
    bench.good("build --csv labels.csv --size 256 --encoding png --val 0 --test 0 --out shards");
    let dataset = Dataset::open(&bench.path("shards"), &OpenOptions::default()).expect("just built");
    let records = dataset.select(xray_artifacts::Split::Train, &Draw::default()).expect("all are in train");
    let mut images: Vec<_> = records
        .iter()
        .map(|&id| {
            let sample = dataset.sample(id).expect("just built");
            (sample.image_id, decode_gray(sample.image).expect("just encoded"))
        })
        .collect();
    images.sort_by(|a, b| a.0.cmp(&b.0));
    let [(_, gray16), (_, gray8), (_, rgba), (_, small)] = images.as_slice() else { panic!("four images") };
    assert_eq!((gray8.width, gray8.height), (256, 256));
    assert_eq!(gray8, gray16);
    assert_eq!(gray8, rgba);
    // Another size has another blob; the gradient is the same within JPEG's error.
    let corner = |image: &GrayImage| i32::from(image.pixels[5 * 256 + 250]);
    assert!((corner(gray8) - corner(small)).abs() <= 4, "{} {}", corner(gray8), corner(small));
}

/// The same picture as detector data of fewer bits in 16.
pub(crate) fn png_of_bits(image: &GrayImage, bits: u32) -> Vec<u8> {
    let white = (1_u32 << bits) - 1;
    let wide = |&pixel: &u8| ((u32::from(pixel) * white / 255) as u16).to_be_bytes();
    let data: Vec<u8> = image.pixels.iter().flat_map(wide).collect();
    png(image, ColorType::Grayscale, BitDepth::Sixteen, &data)
}

/// Mean gray value of each stored image, by name.
fn means(bench: &Workbench, folder: &str) -> Vec<(String, f64)> {
    let dataset = Dataset::open(&bench.path(folder), &OpenOptions::default()).expect("just built");
    let records = dataset.select(xray_artifacts::Split::Train, &Draw::default()).expect("all are in train");
    let mean = |pixels: &[u8]| pixels.iter().map(|&p| f64::from(p)).sum::<f64>() / pixels.len() as f64;
    let mut means: Vec<_> = records
        .iter()
        .map(|&id| {
            let sample = dataset.sample(id).expect("just built");
            (sample.image_id, mean(&decode_gray(sample.image).expect("just encoded").pixels))
        })
        .collect();
    means.sort_by(|a, b| a.0.cmp(&b.0));
    means
}

const SIXTEEN: &str = "build --csv labels.csv --path-column file --patient-column subject --val 0 --test 0";

/// Images of these bits, each a bright picture.
fn sixteen_bit_source(bench: &Workbench, bits: &[u32]) {
    let mut table = "file,subject,Mass\n".to_owned();
    for (number, &bits) in bits.iter().enumerate() {
        bench.write(&format!("{number}.png"), png_of_bits(&picture(64, number as u32), bits));
        table += &format!("{number}.png,p{number},{}\n", number % 2);
    }
    bench.write("labels.csv", table);
}

#[test]
fn one_white_level_holds_for_a_set_of_sixteen_bits() {
    let bench = Workbench::new();
    sixteen_bit_source(&bench, &[14; 10]);
    // A dark image of the same detector, which 12 bits would hold.
    let dark = picture(64, 3).pixels.iter().map(|pixel| pixel / 5).collect();
    bench.write("3.png", png_of_bits(&GrayImage { width: 64, height: 64, pixels: dark }, 14));
    let said = bench.good(&format!("{SIXTEEN} --out shards"));
    assert!(said.contains("white in images of 16 bits: 16383 (found in 10 images)"), "{said}");
    let manifest = fs::read_to_string(bench.path("shards/dataset.json")).expect("written");
    assert!(manifest.contains("\"white_level\": 16383"), "{manifest}");
    let means = means(&bench, "shards");
    assert!(means[3].1 < 40.0 && means[2].1 > 70.0, "the dark one stays dark: {means:?}");

    let said = bench.good(&format!("{SIXTEEN} --white-level 8191 --out brighter"));
    assert!(said.contains("white in images of 16 bits: 8191 (as asked)"), "{said}");
    assert!(self::means(&bench, "brighter")[3].1 > 1.9 * means[3].1);
    for level in ["0", "65536", "nan", "4095.5"] {
        let message = bench.refused(2, &format!("{SIXTEEN} --white-level {level} --out none"));
        assert!(message.contains("`auto`, or a number from 1 to 65535"), "{message}");
    }
}

#[test]
fn a_set_of_several_ranges_is_told_and_each_image_keeps_its_brightness() {
    let bench = Workbench::new();
    sixteen_bit_source(&bench, &[8, 10, 12, 14, 16]);
    let command = format!("{SIXTEEN} --encoding png --out shards");
    let warning = bench.run(&command).stderr;
    assert!(warning.contains("several ranges (1 up to 255, 1 up to 1023, 1 up to 4095"), "{warning}");
    assert!(warning.contains("--white-level"), "{warning}");
    for (number, (_, mean)) in means(&bench, "shards").into_iter().enumerate() {
        let pixels = picture(64, number as u32).pixels;
        let expected = pixels.iter().map(|&p| f64::from(p)).sum::<f64>() / pixels.len() as f64;
        assert!((mean - expected).abs() < 1.0, "{number}: {mean} not {expected}");
    }
    let manifest = fs::read_to_string(bench.path("shards/dataset.json")).expect("written");
    assert!(!manifest.contains("white_level"), "{manifest}");
}

#[test]
fn images_that_lie_on_their_side_are_stored_upright() {
    let bench = Workbench::new();
    let stored = GrayImage { height: 32, ..picture(64, 1) };
    let stored = GrayImage { pixels: stored.pixels[..64 * 32].to_vec(), ..stored };
    let mut jpeg = encode_jpeg(&stored, 95);
    // One entry: orientation 6, a quarter turn to the right.
    let exif = b"\xFF\xE1\0\x1EExif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0";
    jpeg.splice(2..2, exif.iter().copied());
    bench.write("a.jpg", &jpeg);
    bench.write("labels.csv", "path,patient,Mass\na.jpg,1,1\n");
    bench.good("build --csv labels.csv --val 0 --test 0 --out shards");
    let dataset = Dataset::open(&bench.path("shards"), &OpenOptions::default()).expect("just built");
    let id = dataset.select(xray_artifacts::Split::Train, &Draw::default()).expect("one image")[0];
    let sample = dataset.sample(id).expect("just built");
    assert!(!sample.image.windows(6).any(|bytes| bytes == b"Exif\0\0"), "whoever reads it sees it upright");
    let shown = decode_gray(sample.image).expect("just encoded");
    assert_eq!((shown.width, shown.height), (32, 64));
    // The left column of what is stored, from the bottom up, is the top row.
    let top: Vec<i32> = (0..32).map(|x| i32::from(stored.pixels[(31 - x) * 64])).collect();
    assert!(top.iter().zip(&shown.pixels).all(|(want, &got)| (want - i32::from(got)).abs() < 12));
}

#[test]
fn an_image_on_which_the_decoder_panics_is_one_bad_file() {
    let bench = Workbench::new();
    small_source(&bench);
    let chunk = |kind: &[u8; 4], body: &[u8]| {
        let named = [kind, body].concat();
        let step = |crc: u32, byte: &u8| {
            (0..8).fold(crc ^ u32::from(*byte), |crc, _| crc >> 1 ^ 0xEDB8_8320 & (crc & 1).wrapping_neg())
        };
        let crc = !named.iter().fold(u32::MAX, step);
        [&(body.len() as u32).to_be_bytes()[..], &named, &crc.to_be_bytes()].concat()
    };
    // A palette of no whole number of colours; the pixels are one stored block of zlib.
    let bytes = [
        b"\x89PNG\r\n\x1a\n".to_vec(),
        chunk(b"IHDR", &[0, 0, 0, 1, 0, 0, 0, 1, 8, 3, 0, 0, 0]),
        chunk(b"PLTE", &[1, 2, 3, 4, 5]),
        chunk(b"IDAT", &[0x78, 1, 1, 2, 0, 0xFD, 0xFF, 0, 0, 0, 2, 0, 1]),
        chunk(b"IEND", &[]),
    ];
    bench.write("images/000.jpg", bytes.concat());
    let message = bench.refused(5, &format!("{SMALL} --out shards"));
    assert!(message.contains("000.jpg") && !message.contains("panicked"), "{message}");
    let ran = bench.run(&format!("{SMALL} --skip-bad --out shards"));
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(ran.stderr.contains("skipped: ") && !ran.stderr.contains("panicked"), "{}", ran.stderr);
}

#[test]
fn the_bytes_depend_on_source_and_settings_only() {
    let bench = Workbench::new();
    small_source(&bench);
    bench.good(&format!("{SMALL} --size 32 --threads 1 --out one"));
    bench.good(&format!("{SMALL} --size 32 --threads 2 --out two"));
    assert_eq!(bench.files("one"), bench.files("two"));
    bench.good(&format!("{SMALL} --size 32 --threads 2 --seed 1 --out other"));
    assert_ne!(bench.files("one"), bench.files("other"));
    assert!(bench.files("one").iter().any(|(name, _)| name.ends_with(".tfrecord.idx")));
}

#[test]
fn gray_jpegs_are_kept_byte_for_byte() {
    let bench = Workbench::new();
    small_source(&bench);
    bench.good(&format!("{SMALL} --out shards"));
    let dataset = Dataset::open(&bench.path("shards"), &OpenOptions::default()).expect("just built");
    for id in dataset.select(xray_artifacts::Split::Train, &Draw::default()).expect("not empty") {
        let sample = dataset.sample(id).expect("just built");
        let file = fs::read(bench.path("images").join(&sample.image_id)).expect("the source is there");
        assert!(sample.image == file, "{} differs", sample.image_id);
    }
}

#[test]
fn a_folder_in_use_is_refused_and_an_old_set_replaced_whole() {
    let bench = Workbench::new();
    small_source(&bench);
    bench.good(&format!("{SMALL} --records-per-shard 1 --out shards"));
    let before = bench.files("shards");
    let message = bench.refused(2, &format!("{SMALL} --out shards"));
    assert!(message.contains("shards is not empty") && message.contains("--overwrite"), "{message}");
    assert_eq!(bench.files("shards"), before);

    bench.good(&format!("{SMALL} --overwrite --out shards"));
    bench.good(&format!("{SMALL} --out fresh"));
    assert_eq!(bench.files("shards"), bench.files("fresh"), "no old shard is left");

    bench.write("shards/notes.txt", "mine");
    let message = bench.refused(2, &format!("{SMALL} --overwrite --out shards"));
    assert!(message.contains("`notes.txt`, which is not part of a data set"), "{message}");
}

#[test]
fn a_build_that_was_stopped_is_no_data_set() {
    let bench = Workbench::new();
    small_source(&bench);
    // What earlier versions left that were killed while the finished shards moved up.
    bench.write("shards/.building/train-00001-of-00009.tfrecord", "half");
    bench.write("shards/train-00000-of-00009.tfrecord", "");
    // What a build leaves that is killed half-way.
    bench.write("new/.building", "");
    bench.good(&format!("{SMALL} --out other"));
    for (name, content) in bench.files("other") {
        bench.write(&format!("new/{name}"), content);
    }
    for folder in ["shards", "new"] {
        for command in ["check", "stats", "show", "bench", "build --out none --tfrecord"] {
            let message = bench.refused(2, &format!("{command} {folder}"));
            assert!(message.contains(&format!("{folder} holds an unfinished build")), "{command}: {message}");
        }
    }
    bench.good(&format!("{SMALL} --out shards"));
    assert_eq!(bench.files("shards"), bench.files("other"), "nothing is left of it");
}

#[test]
fn a_set_may_be_built_and_replaced_where_one_stands() {
    let bench = Workbench::new();
    small_source(&bench);
    bench.good(&format!("{SMALL} --out expected"));
    fs::create_dir(bench.path("here")).expect("writable");
    let source = "build --csv ../labels.csv --path-column file --patient-column subject --images ..";
    for more in ["", "--overwrite --seed 1", "--overwrite"] {
        let ran = bench.run_in("here", &format!("{source} --out . {more}"));
        assert_eq!(ran.code, 0, "{}", ran.stderr);
    }
    assert_eq!(bench.files("here"), bench.files("expected"));
    let message = bench.run_in("here", &format!("{source} --out . ")).stderr;
    assert!(message.contains(". is not empty") || message.contains("here is not empty"), "{message}");
}

#[cfg(target_os = "linux")]
#[test]
fn what_cannot_be_printed_is_an_error() {
    let bench = Workbench::new();
    small_source(&bench);
    bench.good(&format!("{SMALL} --out shards"));
    let split = "split --csv labels.csv --path-column file --patient-column subject --out s.csv".to_owned();
    let commands = ["check shards", "stats shards", "show shards", "bench shards --size 32 --repeats 1"]
        .map(str::to_owned);
    let build = format!("{SMALL} --overwrite --out again");
    let synth = "synth --images 20 --size 32 --out phantoms".to_owned();
    for command in
        commands.into_iter().chain([split, build, synth, "--help".to_owned(), "--version".to_owned()])
    {
        for format in ["text", "json"] {
            let full = fs::OpenOptions::new().write(true).open("/dev/full").expect("Linux has it");
            let command = match command.starts_with("--") {
                true => command.clone(),
                false => format!("{command} --format {format}"),
            };
            let message = bench.printed_to(full, 1, &command);
            assert!(message.contains("error: cannot write to stdout: No space left"), "{command}: {message}");
            fs::remove_dir_all(bench.path("phantoms")).unwrap_or_default();
        }
    }
}

#[test]
fn a_failed_build_leaves_the_old_set_alone() {
    let bench = Workbench::new();
    small_source(&bench);
    bench.good(&format!("{SMALL} --out shards"));
    let before = bench.files("shards");
    bench.write("images/017.jpg", "no picture");
    let message = bench.refused(5, &format!("{SMALL} --overwrite --out shards"));
    assert!(message.contains("017.jpg") && message.contains("--skip-bad"), "{message}");
    assert_eq!(bench.files("shards"), before);

    let ran = bench.run(&format!("{SMALL} --overwrite --skip-bad --out shards"));
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(ran.stderr.contains("skipped: ") && ran.stderr.contains("017.jpg"), "{}", ran.stderr);
    assert!(
        ran.stdout.contains("35 images") && ran.stdout.contains("left out 1 image that"),
        "{}",
        ran.stdout
    );
    bench.good("check shards");
}

#[test]
fn missing_images_are_an_error_or_counted() {
    let bench = Workbench::new();
    small_source(&bench);
    for number in ["003", "004"] {
        fs::remove_file(bench.path(&format!("images/{number}.jpg"))).expect("was written");
    }
    let message = bench.refused(5, &format!("{SMALL} --out shards"));
    assert!(
        message.contains("labels.csv line 5: no image file for `images/003.jpg`")
            && message.contains("nor for 1 other row")
            && message.contains("--skip-missing"),
        "{message}"
    );
    let built = bench.json(&format!("{SMALL} --skip-missing --out shards"));
    assert_eq!(built["missing"], 2);
    bench.good("check shards");
}

#[test]
fn records_of_others_are_built_by_patient() {
    let bench = Workbench::new();
    small_source(&bench);
    bench.good(&format!("{SMALL} --labels Effusion,Mass --out first"));
    // Our own shards serve as somebody's TFRecords; a table that contradicts their patients is refused.
    let table = |prefix: &str| {
        let rows = (0..36).map(|number| format!("{number:03}.png,{prefix}{}\n", number / 3));
        bench.write("patients.csv", format!("image,patient\n{}", rows.collect::<String>()));
    };
    let arguments = "build --tfrecord first --labels-csv patients.csv --redraw-splits --val 0 --test 0.5";
    table("q");
    let message = bench.refused(5, &format!("{arguments} --out second"));
    assert!(message.contains("of patient `p") && message.contains("of patient `q"), "{message}");
    table("p");
    let built = bench.json(&format!("{arguments} --out second"));
    let patients = |split: &str| built["manifest"]["splits"][split]["patients"].as_u64().unwrap_or(0);
    assert_eq!(patients("train") + patients("test"), 12, "{built}");
    assert_eq!(built["manifest"]["labels"], serde_json::json!(["Effusion", "Mass"]));
    assert_eq!(built["manifest"]["source"]["kind"], "tfrecord");
    bench.good("check second");
    bench.write("patients.csv", "image,patient\nother.png,1\n");
    let message = bench.refused(5, "build --tfrecord first --labels-csv patients.csv --out third");
    assert!(message.contains("no row for image"), "{message}");
}

#[test]
fn command_lines_that_cannot_be_run_are_refused() {
    let bench = Workbench::new();
    small_source(&bench);
    let check = |arguments: &str, expected: &str| {
        let message = bench.refused(2, arguments);
        assert!(message.contains(expected), "{message}");
    };
    check("build --out shards", "--nih <DIR>|--chexpert <DIR>|");
    check(&format!("{SMALL} --val 0.5 --test 0.5 --out shards"), "leave no room for train");
    check(&format!("{SMALL} --size 4 --out shards"), "4 pixels");
    check(&format!("{SMALL} --test-list a --out shards"), "--train-list");
    assert!(!bench.path("shards").exists(), "nothing was made");
}

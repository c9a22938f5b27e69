//! Sheets of what a network gets, compared with the functions that training calls.

use crate::workbench::Workbench;
use serde_json::json;
use std::fs;
use xray_artifacts::{Preprocessing, Split};
use xray_data::{Dataset, Draw, OpenOptions, RecordId};
use xray_image::{Augmentation, GrayImage, augment, decode_gray, normalised_levels, prepare};

/// Each training image at 24 pixels, with its record.
fn prepared(bench: &Workbench) -> Vec<(RecordId, GrayImage)> {
    let dataset = Dataset::open(&bench.path("shards"), &OpenOptions::default()).expect("just built");
    let records = dataset.select(Split::Train, &Draw::default()).expect("some are in train");
    let settings = Preprocessing { size: 24, ..Preprocessing::default() };
    let image = |id: RecordId| {
        let sample = dataset.sample(id).expect("just built");
        prepare(&decode_gray(sample.image).expect("just encoded"), &settings).expect("an X-ray")
    };
    records.into_iter().map(|id| (id, image(id))).collect()
}

fn sheet(bench: &Workbench) -> GrayImage {
    decode_gray(&fs::read(bench.path("sheet.png")).expect("written")).expect("a PNG")
}

/// Where an image stands on a sheet, each of its pixels being a square of `scale`.
fn place_of(image: &GrayImage, scale: u32, sheet: &GrayImage) -> Option<(u32, u32)> {
    let (width, height) = (image.width * scale, image.height * scale);
    let is_at = |x: u32, y: u32| {
        (0..height).all(|row| {
            let wanted = image.row(row / scale);
            let found = &sheet.row(y + row)[x as usize..(x + width) as usize];
            found.iter().enumerate().all(|(column, pixel)| *pixel == wanted[column / scale as usize])
        })
    };
    let places = (0..=sheet.height - height).flat_map(|y| (0..=sheet.width - width).map(move |x| (x, y)));
    places.into_iter().find(|&(x, y)| is_at(x, y))
}

#[test]
fn a_sheet_shows_the_pixels_of_a_networks_input() {
    let bench = Workbench::new();
    bench.good("synth --images 12 --size 48 --out shards");
    let shown = bench.json("show shards --as-seen --size 24 --tile 75 --split train --out sheet.png");
    let (sheet, images) = (sheet(&bench), prepared(&bench));
    assert_eq!(shown["shown"], images.len() as u64);
    let mut places: Vec<_> =
        images.iter().map(|(_, image)| place_of(image, 3, &sheet).expect("on the sheet")).collect();
    places.sort_unstable();
    places.dedup();
    assert_eq!(places.len(), images.len());

    let levels = normalised_levels(&Preprocessing::default());
    let pixels = || images.iter().flat_map(|(_, image)| &image.pixels);
    let [min, max] = [pixels().min(), pixels().max()].map(|level| levels[usize::from(*level.expect("some"))]);
    let mean =
        pixels().map(|level| f64::from(levels[usize::from(*level)])).sum::<f64>() / pixels().count() as f64;
    let of = |key: &str| shown["values"][key].as_f64().expect("a number");
    assert_eq!((of("min") as f32, of("max") as f32), (min, max));
    assert!((of("mean") - mean).abs() < 1e-9, "{mean}");
    assert_eq!((&shown["preprocessing"]["size"], &shown["augmentation"]), (&json!(24), &json!(null)));
    let text = bench.good("show shards --as-seen --size 24 --out sheet.png");
    assert!(text.contains("24 x 24 pixels, squashed to a square, bilinear filter"), "{text}");
    assert!(text.contains("normalised: (gray / 255 - 0.449) / 0.226; here from -"), "{text}");
}

#[test]
fn an_augmented_sheet_shows_the_first_epochs_of_a_training() {
    let bench = Workbench::new();
    bench.good("synth --images 12 --size 48 --out shards");
    bench.write(
        "config.toml",
        "seed = 7\nthreads = 2\n[preprocessing]\nsize = 24\n[augmentation]\nrotation_degrees = 20.0\nflip = true\n",
    );
    let shown = bench
        .json("show shards --augmented --config config.toml --count 2 --epochs 3 --tile 64 --out sheet.png");
    assert_eq!((&shown["seed"], &shown["epochs"], &shown["shown"]), (&json!(7), &json!(3), &json!(2)));
    assert_eq!(shown["augmentation"]["rotation_degrees"], 20.0);
    let sheet = sheet(&bench);
    let augmentation = Augmentation { rotation_degrees: 20.0, flip: true, ..Augmentation::default() };
    let mut rows = 0;
    for (id, image) in prepared(&bench) {
        let Some((x, y)) = place_of(&image, 2, &sheet) else { continue };
        rows += 1;
        assert_eq!(x, 8, "first as it is");
        for epoch in 0..3 {
            let mut changed = image.clone();
            augment(&image.pixels, 24, &augmentation, 7, epoch, id.key(), &mut changed.pixels);
            assert_eq!(
                place_of(&changed, 2, &sheet),
                Some((8 + (epoch as u32 + 1) * 56, y)),
                "epoch {epoch}"
            );
        }
    }
    assert_eq!(rows, 2);
    let text = bench.good("show shards --augmented --config config.toml --count 2 --out sheet.png");
    assert!(text.contains("rotation 20 degrees, shift 0.05 of the side, zoom 1 to 1.05,"), "{text}");
    assert!(text.contains("every second one is mirrored; seed 7"), "{text}");
}

#[test]
fn settings_that_show_nothing_are_refused() {
    let bench = Workbench::new();
    bench.good("synth --images 12 --size 48 --out shards");
    let refused = |arguments: &str, parts: &[&str]| {
        let message = bench.refused(2, &format!("show shards {arguments}"));
        for part in parts {
            assert!(message.contains(part), "`{part}` in {message}");
        }
    };
    refused("--size 24", &["--size needs --as-seen or --augmented"]);
    refused("--augmented --split val", &["only training images are changed at random", "--as-seen shows"]);
    refused("--augmented --size 1024 --epochs 50 --count 100", &["a sheet of more than 268,435,456 pixels"]);
    refused("--as-seen --size 7", &["8..=1024"]);
    let config = |text: &str, parts: &[&str]| {
        bench.write("config.toml", text);
        refused("--augmented --config config.toml", parts);
    };
    config(
        "[augmentation]\nrotation = 5\n",
        &["config.toml: augmentation: unknown field `rotation`", "--config takes"],
    );
    config("[preprocessing]\nstd = 0.0\n", &["preprocessing.std is 0, it must be above 0"]);
    config("[preprocessing]\ncrop = \"none\"\n", &["config.toml: preprocessing: unknown variant `none`"]);
    config("[augmentation]\ncontrast = 9.0\n", &["augmentation contrast is 9, outside 0 to 1"]);
    config("seed = -1\n", &["seed is not a whole number"]);
    config("a = 1\n[preprocessing\n", &["config.toml: line 2: "]);
    config("preprocessing = 3\n", &["preprocessing is not a table"]);
    let message = bench.refused(1, "show shards --as-seen --config nowhere.toml");
    assert!(message.contains("nowhere.toml"), "{message}");
}

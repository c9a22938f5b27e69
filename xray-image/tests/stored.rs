//! What a model sees of an original and what it saw of the stored image: the same, or within the error of JPEG.

use xray_artifacts::Preprocessing;
use xray_image::{GrayImage, SynthConfig, decode_gray, encode_jpeg, encode_png, prepare, synthesise};

/// Phantoms as large as films are, some twice as high as wide.
fn originals() -> Vec<GrayImage> {
    let config = SynthConfig { images: 6, size: 512, ..SynthConfig::default() };
    let phantoms = synthesise(&config).map(|phantom| phantom.image);
    let cut = |(number, image): (usize, GrayImage)| {
        let width = if number % 2 == 0 { image.width } else { image.width / 2 };
        let pixels = (0..image.height).flat_map(|y| image.row(y)[..width as usize].to_vec()).collect();
        GrayImage { width, pixels, ..image }
    };
    phantoms.enumerate().map(cut).collect()
}

/// The largest and the mean difference in gray levels, of 255, between the two ways to a network of `size`.
fn difference(
    original: &GrayImage,
    stored_size: u32,
    size: u32,
    store: impl Fn(&GrayImage) -> Vec<u8>,
) -> (u8, f64) {
    let as_built = Preprocessing { size: stored_size, ..Preprocessing::default() };
    let stored =
        decode_gray(&store(&prepare(original, &as_built).expect("a phantom"))).expect("just encoded");
    // As a training run on shards of that size has it.
    let preprocessing = Preprocessing { size, stored_size: Some(stored_size), ..Preprocessing::default() };
    let trained = prepare(&stored, &preprocessing).expect("an image");
    let served = prepare(original, &preprocessing).expect("an image");
    let far: Vec<u8> = trained.pixels.iter().zip(&served.pixels).map(|(a, b)| a.abs_diff(*b)).collect();
    let mean = far.iter().map(|&far| f64::from(far)).sum::<f64>() / far.len() as f64;
    (far.into_iter().max().unwrap_or(0), mean)
}

#[test]
fn an_original_looks_as_its_stored_image_did() {
    for original in originals() {
        for (stored_size, size) in [(256, 256), (256, 224), (128, 128), (128, 224), (64, 64)] {
            assert_eq!(
                difference(&original, stored_size, size, encode_png),
                (0, 0.0),
                "{stored_size} {size}"
            );
            let (most, mean) = difference(&original, stored_size, size, |image| encode_jpeg(image, 95));
            assert!(most <= 10 && mean <= 1.5, "{stored_size} for {size}: {most}, mean {mean}");
        }
    }
}

//! From a decoded image to the network's input: crop, antialiased resize, range check, normalisation.

use crate::{GrayImage, ImageProblem, MAX_SIDE, gaussian};
use fast_image_resize::images::{TypedImage, TypedImageRef};
use fast_image_resize::pixels::U8;
use fast_image_resize::{FilterType, ResizeAlg, ResizeOptions, Resizer};
use std::cell::RefCell;
use xray_artifacts::{Crop, Preprocessing, ResizeFilter};

/// An image whose brightest pixel is below this was scaled wrongly: the darkest real X-ray is far above it, and
/// 0..1 stored as bytes (1), 8 bits stored in 16 (15 at most) and a second division by 255 are below.
const DARKEST_WHITE: u8 = 16;

thread_local! {
    // Holds the buffer between the horizontal and the vertical pass, 170 kB for 768 to 224.
    static RESIZER: RefCell<Resizer> = RefCell::new(Resizer::new());
}

/// Squashes `image` to the size in which its data set was stored, if it was, crops or pads it as `preprocessing` says and
/// resizes it to `size` x `size`, antialiased: the filter widens when it shrinks, as in Pillow. With a `shorter_side`, it is
/// scaled first and cropped then.
///
/// # Errors
/// [`ImageProblem`] when the values cannot be an X-ray's (one value everywhere, or so dark that they were
/// scaled twice), when `image` holds fewer pixels than it says, and when the size is 0 or above 8192.
pub fn prepare(image: &GrayImage, preprocessing: &Preprocessing) -> Result<GrayImage, ImageProblem> {
    check_range(image)?;
    let size = preprocessing.size;
    if size == 0 || size > MAX_SIDE {
        return Err(ImageProblem::TargetSize { size });
    }
    let filter = preprocessing.filter;
    let stored = squash(image, preprocessing.stored_size)?;
    let image = stored.as_ref().unwrap_or(image);
    let (width, height) = (image.width, image.height);
    let whole = [0, 0, width, height];
    let pixels = match (preprocessing.crop, preprocessing.shorter_side) {
        (Crop::Squash, _) => resize(image, whole, filter, [size; 2]),
        (Crop::Center, Some(side)) => scaled_and_cut(image, filter, side, size)?,
        (Crop::Center, None) => resize(image, centred_square(width, height, filter), filter, [size; 2]),
        (Crop::Pad, _) => {
            let side = width.max(height);
            let inner = [width, height].map(|length| scaled(length, size, side));
            pad(&resize(image, whole, filter, inner), inner[0], inner[1], size)
        }
    };
    Ok(GrayImage { width: size, height: size, pixels })
}

/// The centred `size` x `size` pixels of the image whose shorter side has `side`, as torchvision rounds: the longer side
/// down, a border of half pixels to the even one.
fn scaled_and_cut(
    image: &GrayImage,
    filter: ResizeFilter,
    side: u32,
    size: u32,
) -> Result<Vec<u8>, ImageProblem> {
    let (width, height) = (image.width, image.height);
    let shorter = u64::from(width.min(height));
    let scaled = [width, height].map(|length| u64::from(side) * u64::from(length) / shorter);
    let longest = scaled[0].max(scaled[1]);
    if side < size || longest > u64::from(MAX_SIDE) {
        return Err(ImageProblem::TargetSize { size: u32::try_from(longest).unwrap_or(u32::MAX).max(side) });
    }
    let scaled = scaled.map(|length| length as u32);
    let pixels = resize(image, [0, 0, width, height], filter, scaled);
    let [left, top] = scaled.map(|length| (f64::from(length - size) / 2.0).round_ties_even() as usize);
    let row = |y: usize| &pixels[(top + y) * scaled[0] as usize + left..][..size as usize];
    Ok((0..size as usize).flat_map(row).copied().collect())
}

/// What a build that squashes images to `size` stores of one, before it is encoded; nothing where it stores all as they are,
/// or the image has that size.
fn squash(image: &GrayImage, size: Option<u32>) -> Result<Option<GrayImage>, ImageProblem> {
    match size {
        Some(0) => Err(ImageProblem::TargetSize { size: 0 }),
        Some(size) if size > MAX_SIDE => Err(ImageProblem::TargetSize { size }),
        Some(size) if [image.width, image.height] != [size; 2] => {
            let whole = [0, 0, image.width, image.height];
            let pixels = resize(image, whole, STORED_FILTER, [size; 2]);
            Ok(Some(GrayImage { width: size, height: size, pixels }))
        }
        _ => Ok(None),
    }
}

/// The filter with which builds squash images.
const STORED_FILTER: ResizeFilter = ResizeFilter::Bilinear;

/// Where a place of the prepared image lies in one of `width` x `height` pixels; both as parts of width and height, from
/// the left and from the top. In what [`Crop::Pad`] added it lies outside of 0 to 1.
pub fn place_in_source(preprocessing: &Preprocessing, width: u32, height: u32, place: [f64; 2]) -> [f64; 2] {
    let side = match preprocessing.crop {
        Crop::Squash => return place,
        // What was squashed is square.
        _ if preprocessing.stored_size.is_some() && preprocessing.shorter_side.is_none() => return place,
        Crop::Center => width.min(height),
        Crop::Pad => width.max(height),
    };
    // What of that side is seen.
    let seen = preprocessing.shorter_side.map_or(1.0, |side| f64::from(preprocessing.size) / f64::from(side));
    let lengths = if preprocessing.stored_size.is_some() { [side; 2] } else { [width, height] };
    std::array::from_fn(|axis| 0.5 + (place[axis] - 0.5) * seen * f64::from(side) / f64::from(lengths[axis]))
}

/// Fails when no X-ray can look like this, as [`prepare`] does. Kept on whole images: cheap beside the decoding.
///
/// # Errors
/// [`ImageProblem`] when every pixel has one value, when all are so dark that they were scaled twice, and when `image`
/// holds another number of pixels than it says.
pub fn check_range(image: &GrayImage) -> Result<(), ImageProblem> {
    let GrayImage { width, height, ref pixels } = *image;
    if pixels.len() as u64 != u64::from(width) * u64::from(height) || pixels.is_empty() {
        return Err(ImageProblem::NoPixels { width, height, pixels: pixels.len() });
    }
    let (min, max) = pixels.iter().fold((u8::MAX, 0), |(min, max), &pixel| (pixel.min(min), pixel.max(max)));
    if max < DARKEST_WHITE && max > min {
        return Err(ImageProblem::Black { max });
    }
    if min == max {
        return Err(ImageProblem::Constant { value: min });
    }
    Ok(())
}

/// Left, top, width and height of the largest centred square.
fn centred_square(width: u32, height: u32, filter: ResizeFilter) -> [u32; 4] {
    let side = width.min(height);
    let before = |length: u32| match filter {
        ResizeFilter::Gaussian => length / 2 - side / 2,
        _ => (length - side) / 2,
    };
    [before(width), before(height), side, side]
}

/// `length * size / side` rounded, at least one pixel.
fn scaled(length: u32, size: u32, side: u32) -> u32 {
    let (length, size, side) = (u64::from(length), u64::from(size), u64::from(side));
    (((length * size + side / 2) / side) as u32).max(1)
}

fn resize(image: &GrayImage, area: [u32; 4], filter: ResizeFilter, [width, height]: [u32; 2]) -> Vec<u8> {
    let filter = match filter {
        ResizeFilter::Box => FilterType::Box,
        ResizeFilter::Bilinear => FilterType::Bilinear,
        ResizeFilter::Lanczos3 => FilterType::Lanczos3,
        ResizeFilter::Gaussian => return gaussian::resize(image, area, [width, height]),
    };
    let whole = "the pixels were counted and the area lies inside";
    // U8 is the resizer's own one-byte pixel; the views below reinterpret the same bytes.
    let source = TypedImageRef::<U8>::from_buffer(image.width, image.height, &image.pixels).expect(whole);
    let mut pixels = vec![0; width as usize * height as usize];
    let mut target = TypedImage::<U8>::from_buffer(width, height, &mut pixels).expect(whole);
    let [left, top, area_width, area_height] = area.map(f64::from);
    let options = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(filter)).crop(
        left,
        top,
        area_width,
        area_height,
    );
    RESIZER.with_borrow_mut(|resizer| resizer.resize_typed(&source, &mut target, &options)).expect(whole);
    pixels
}

/// Centres a `width` x `height` image on a black `size` x `size` one.
fn pad(pixels: &[u8], width: u32, height: u32, size: u32) -> Vec<u8> {
    let (width, size_px) = (width as usize, size as usize);
    let (left, top) = ((size_px - width) / 2, (size - height) as usize / 2);
    let mut padded = vec![0; size_px * size_px];
    for (row, source) in pixels.chunks_exact(width).enumerate() {
        let start = (top + row) * size_px + left;
        padded[start..start + width].copy_from_slice(source);
    }
    padded
}

/// What each level of gray is when it is normalised: `(level / 255 - mean) / std`.
pub fn normalised_levels(preprocessing: &Preprocessing) -> [f32; 256] {
    std::array::from_fn(|level| (level as f32 / 255.0 - preprocessing.mean) / preprocessing.std)
}

/// Writes the normalised value of each of `pixels` to `out`: see [`normalised_levels`]. Eight-bit input is the point:
/// whole values cannot have been divided by 255 before.
///
/// # Panics
/// When the lengths differ.
///
/// ```
/// use xray_artifacts::Preprocessing;
/// let preprocessing = Preprocessing { mean: 0.5, std: 0.25, ..Preprocessing::default() };
/// let mut out = [0.0; 2];
/// xray_image::normalise(&[0, 255], &preprocessing, &mut out);
/// assert_eq!(out, [-2.0, 2.0]);
/// ```
pub fn normalise(pixels: &[u8], preprocessing: &Preprocessing, out: &mut [f32]) {
    assert_eq!(pixels.len(), out.len(), "one output per pixel");
    let table = normalised_levels(preprocessing);
    for (out, &pixel) in out.iter_mut().zip(pixels) {
        *out = table[usize::from(pixel)];
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use xray_random::Random;

    fn noise(width: u32, height: u32, seed: u64) -> GrayImage {
        let mut random = Random::keyed(&[seed]);
        let pixels = (0..width * height).map(|_| random.bits() as u8).collect();
        GrayImage { width, height, pixels }
    }

    fn settings(size: u32, crop: Crop, filter: ResizeFilter) -> Preprocessing {
        Preprocessing { size, crop, filter, ..Preprocessing::default() }
    }

    /// The kernel at `x`, and how far it reaches.
    fn kernel(filter: ResizeFilter, x: f64) -> (f64, f64) {
        let sinc = |x: f64| {
            if x == 0.0 { 1.0 } else { (x * std::f64::consts::PI).sin() / (x * std::f64::consts::PI) }
        };
        match filter {
            ResizeFilter::Box => (f64::from(x > -0.5 && x <= 0.5), 0.5),
            ResizeFilter::Bilinear => ((1.0 - x.abs()).max(0.0), 1.0),
            ResizeFilter::Lanczos3 => (if x.abs() < 3.0 { sinc(x) * sinc(x / 3.0) } else { 0.0 }, 3.0),
            ResizeFilter::Gaussian => unreachable!("tested in its own file"),
        }
    }

    /// One line resampled by the definition, as in Pillow: the kernel is as many times wider as the line
    /// shrinks, sits at pixel centres and is normalised at the borders.
    fn resample(line: &[f64], size: usize, filter: ResizeFilter) -> Vec<f64> {
        let ratio = line.len() as f64 / size as f64;
        let scale = ratio.max(1.0);
        let at = |i: usize| {
            let centre = (i as f64 + 0.5) * ratio;
            let reach = kernel(filter, 0.0).1 * scale;
            let from = (centre - reach + 0.5).max(0.0) as usize;
            let to = ((centre + reach + 0.5) as usize).min(line.len());
            let weights: Vec<f64> =
                (from..to).map(|j| kernel(filter, (j as f64 + 0.5 - centre) / scale).0).collect();
            let sum: f64 = weights.iter().sum();
            weights.iter().zip(&line[from..to]).map(|(weight, value)| weight * value).sum::<f64>() / sum
        };
        (0..size).map(at).collect()
    }

    fn reference(image: &GrayImage, size: usize, filter: ResizeFilter) -> Vec<f64> {
        // Columns first, and eight bits between the passes, as the resizer does: sharp filters overshoot, and
        // what is clipped there is lost.
        let narrowed = |value: f64| value.round().clamp(0.0, 255.0);
        let column = |x| (0..image.height).map(|y| f64::from(image.row(y)[x])).collect::<Vec<_>>();
        let columns: Vec<Vec<f64>> =
            (0..image.width as usize).map(|x| resample(&column(x), size, filter)).collect();
        let row = |y: usize| columns.iter().map(|column| narrowed(column[y])).collect::<Vec<_>>();
        (0..size).flat_map(|y| resample(&row(y), size, filter)).map(narrowed).collect()
    }

    #[test]
    fn resizing_is_the_antialiased_definition_within_a_gray_level() {
        // Odd targets: with even ones a box's edge may fall on a pixel's centre, where rounding decides.
        for filter in [ResizeFilter::Box, ResizeFilter::Bilinear, ResizeFilter::Lanczos3] {
            for (width, height, size) in [(97, 60, 21), (64, 64, 32), (33, 90, 41), (20, 11, 31)] {
                let image = noise(width, height, u64::from(width));
                let got = prepare(&image, &settings(size, Crop::Squash, filter)).expect("a good image");
                assert_eq!((got.width, got.height), (size, size));
                let want = reference(&image, size as usize, filter);
                for (i, (&got, want)) in got.pixels.iter().zip(want).enumerate() {
                    let difference = (f64::from(got) - want).abs();
                    assert!(
                        difference <= 1.0,
                        "{filter:?} {width}x{height} to {size}: pixel {i} {got} not {want}"
                    );
                }
            }
        }
    }

    #[test]
    fn the_same_size_changes_nothing() {
        let image = noise(32, 32, 1);
        for crop in [Crop::Squash, Crop::Center, Crop::Pad] {
            assert_eq!(prepare(&image, &settings(32, crop, ResizeFilter::Bilinear)).as_ref(), Ok(&image));
        }
    }

    #[test]
    fn the_centre_is_cropped_and_the_rest_padded() {
        // Three vertical bands: 50, 100, 200; the middle one is the centred square.
        let bands = |width: u32, height: u32| {
            let band = |i: u32| [50, 100, 200][(i % width * 3 / width) as usize];
            GrayImage { width, height, pixels: (0..width * height).map(band).collect() }
        };
        let mut image = bands(48, 16);
        image.pixels[16] = 101; // not constant
        let prepared = |image: &GrayImage, crop| {
            prepare(image, &settings(16, crop, ResizeFilter::Bilinear)).expect("a good image")
        };
        let center = prepared(&image, Crop::Center);
        assert_eq!(center.pixels.iter().filter(|&&pixel| pixel == 100).count(), 255);
        assert_eq!(center.pixels[0], 101);
        let padded = prepared(&bands(30, 10), Crop::Pad);
        let row_sum = |y| padded.row(y).iter().map(|&pixel| u32::from(pixel)).sum::<u32>();
        // 30x10 becomes 16x5, five rows down.
        assert!((0..16).all(|y| (row_sum(y) > 0) == (5..10).contains(&y)), "{:?}", padded.pixels);
        assert_eq!((padded.row(7)[0], padded.row(7)[15]), (50, 200));
        let tall = GrayImage { width: 1, height: 600, pixels: (0..600).map(|i| (i / 3) as u8).collect() };
        assert_eq!(prepared(&tall, Crop::Pad).pixels.iter().filter(|&&pixel| pixel > 0).count(), 16);
    }

    #[test]
    fn the_shorter_side_is_scaled_and_the_middle_cut_out() {
        // A square of one gray in the middle half of each side: of 64 pixels scaled to 32, 16 are seen.
        let pixel =
            |at: u32| if (16..48).contains(&(at % 64)) && (16..48).contains(&(at / 64)) { 200 } else { 10 };
        let image = GrayImage { width: 64, height: 64, pixels: (0..64 * 64).map(pixel).collect() };
        let settings = |size, side| Preprocessing {
            shorter_side: Some(side),
            ..settings(size, Crop::Center, ResizeFilter::Box)
        };
        let seen = prepare(&image, &settings(16, 32)).expect("a good image");
        assert!(seen.pixels.iter().all(|&pixel| pixel == 200), "{:?}", seen.pixels);
        // 33 x 50 becomes 16 x 24; of 24 rows, 5 are left above 15, and of a border of 1 pixel none.
        let rows = (0..33 * 50).map(|at| (at / 33) as u8 * 5).collect();
        let tall = GrayImage { width: 33, height: 50, pixels: rows };
        let (seen, all) =
            (prepare(&tall, &settings(15, 16)), resize(&tall, [0, 0, 33, 50], ResizeFilter::Box, [16, 24]));
        let seen = seen.expect("a good image");
        for y in 0..15 {
            assert_eq!(seen.row(y), &all[(y as usize + 4) * 16..][..15], "row {y}");
        }
        assert_eq!(prepare(&image, &settings(32, 16)), Err(ImageProblem::TargetSize { size: 16 }));
        let strip =
            GrayImage { width: 2, height: 4000, pixels: (0..8000).map(|at| (at % 256) as u8).collect() };
        assert_eq!(prepare(&strip, &settings(16, 32)), Err(ImageProblem::TargetSize { size: 64_000 }));
    }

    #[test]
    fn a_gaussian_cuts_its_square_where_torchxrayvision_does() {
        assert_eq!(centred_square(6, 3, ResizeFilter::Gaussian), [2, 0, 3, 3]);
        assert_eq!(centred_square(6, 3, ResizeFilter::Bilinear), [1, 0, 3, 3]);
        assert_eq!(centred_square(3, 5, ResizeFilter::Gaussian), [0, 1, 3, 3]);
    }

    #[test]
    fn places_are_found_again() {
        let place = |crop, at| place_in_source(&settings(16, crop, ResizeFilter::Bilinear), 48, 16, at);
        assert_eq!(place(Crop::Squash, [0.25, 0.75]), [0.25, 0.75]);
        // The middle third.
        let [x, y] = place(Crop::Center, [0.0, 1.0]);
        assert!((x - 1.0 / 3.0).abs() < 1e-12 && y == 1.0, "{x} {y}");
        // A third of the rows hold the image.
        let [x, y] = place(Crop::Pad, [0.25, 0.5]);
        assert_eq!((x, y), (0.25, 0.5));
        assert!(place(Crop::Pad, [0.25, 0.1])[1] < 0.0 && place(Crop::Pad, [0.25, 0.9])[1] > 1.0);
        // Half of the shorter side, an eighth of the longer.
        let inner =
            Preprocessing { shorter_side: Some(32), ..settings(16, Crop::Center, ResizeFilter::Bilinear) };
        assert_eq!(place_in_source(&inner, 64, 16, [0.0, 1.0]), [0.4375, 0.75]);
        assert_eq!(
            place_in_source(&Preprocessing { stored_size: Some(64), ..inner }, 64, 16, [0.0, 1.0]),
            [0.25, 0.75]
        );
    }

    #[test]
    fn values_that_cannot_be_an_x_ray_are_refused() {
        let check = |pixels: Vec<u8>, expected: ImageProblem| {
            let image = GrayImage { width: 2, height: 2, pixels };
            assert_eq!(prepare(&image, &Preprocessing::default()), Err(expected));
        };
        check(vec![0; 4], ImageProblem::Constant { value: 0 });
        check(vec![130; 4], ImageProblem::Constant { value: 130 });
        check(vec![0, 1, 0, 1], ImageProblem::Black { max: 1 });
        check(vec![0, 15, 3, 9], ImageProblem::Black { max: 15 });
        check(vec![1; 3], ImageProblem::NoPixels { width: 2, height: 2, pixels: 3 });
        let dim = GrayImage { width: 2, height: 1, pixels: vec![0, 16] };
        assert!(prepare(&dim, &Preprocessing::default()).is_ok());
    }

    #[test]
    fn impossible_sizes_are_refused() {
        for size in [0, MAX_SIDE + 1, u32::MAX] {
            let settings = settings(size, Crop::Squash, ResizeFilter::Bilinear);
            assert_eq!(prepare(&noise(4, 4, 1), &settings), Err(ImageProblem::TargetSize { size }));
        }
    }

    #[test]
    fn normalising_is_the_formula_exactly() {
        let pixels: Vec<u8> = (0..=255).rev().collect();
        let settings = Preprocessing { mean: 0.449, std: 0.226, ..Preprocessing::default() };
        let mut out = vec![f32::NAN; 256];
        normalise(&pixels, &settings, &mut out);
        for (pixel, value) in pixels.iter().zip(out) {
            assert_eq!(value, (f32::from(*pixel) / 255.0 - 0.449) / 0.226);
        }
    }
}

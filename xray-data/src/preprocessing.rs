//! From a decoded image to the network's input: crop, antialiased resize, range check, normalisation.

use crate::image::{GrayImage, ImageProblem, MAX_SIDE};
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

/// Crops or pads `image` as `preprocessing` says and resizes it to `size` x `size`, antialiased: the filter
/// widens when it shrinks, as in Pillow.
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
    let filter = filter_of(preprocessing.filter);
    let (width, height) = (image.width, image.height);
    let pixels = match preprocessing.crop {
        Crop::Squash => resize(image, [0, 0, width, height], filter, size, size),
        Crop::Center => resize(image, centred_square(width, height), filter, size, size),
        Crop::Pad => {
            let side = width.max(height);
            let inner = |length: u32| scaled(length, size, side);
            let resized = resize(image, [0, 0, width, height], filter, inner(width), inner(height));
            pad(&resized, inner(width), inner(height), size)
        }
    };
    Ok(GrayImage { width: size, height: size, pixels })
}

/// Fails when no X-ray can look like this. Kept on whole images: cheap beside the decoding.
pub(crate) fn check_range(image: &GrayImage) -> Result<(), ImageProblem> {
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

fn filter_of(filter: ResizeFilter) -> FilterType {
    match filter {
        ResizeFilter::Box => FilterType::Box,
        ResizeFilter::Bilinear => FilterType::Bilinear,
        ResizeFilter::Lanczos3 => FilterType::Lanczos3,
    }
}

/// Left, top, width and height of the largest centred square.
fn centred_square(width: u32, height: u32) -> [u32; 4] {
    let side = width.min(height);
    [(width - side) / 2, (height - side) / 2, side, side]
}

/// `length * size / side` rounded, at least one pixel.
fn scaled(length: u32, size: u32, side: u32) -> u32 {
    let (length, size, side) = (u64::from(length), u64::from(size), u64::from(side));
    (((length * size + side / 2) / side) as u32).max(1)
}

fn resize(image: &GrayImage, area: [u32; 4], filter: FilterType, width: u32, height: u32) -> Vec<u8> {
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

/// Writes `(value / 255 - mean) / std` for each of `pixels` to `out`. Eight-bit input is the point: whole
/// values cannot have been divided by 255 before.
///
/// # Panics
/// When the lengths differ.
///
/// ```
/// use xray_artifacts::Preprocessing;
/// let preprocessing = Preprocessing { mean: 0.5, std: 0.25, ..Preprocessing::default() };
/// let mut out = [0.0; 2];
/// xray_data::normalise(&[0, 255], &preprocessing, &mut out);
/// assert_eq!(out, [-2.0, 2.0]);
/// ```
pub fn normalise(pixels: &[u8], preprocessing: &Preprocessing, out: &mut [f32]) {
    assert_eq!(pixels.len(), out.len(), "one output per pixel");
    let table: [f32; 256] =
        std::array::from_fn(|value| (value as f32 / 255.0 - preprocessing.mean) / preprocessing.std);
    for (out, &pixel) in out.iter_mut().zip(pixels) {
        *out = table[usize::from(pixel)];
    }
}

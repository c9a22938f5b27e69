//! Colours as gray: luma as of Rec. 601, which leaves gray as it is.

use super::description::{Description, Photometric};
use super::samples::Samples;

/// Luma of each pixel.
pub(super) fn luma(samples: &Samples<'_>, description: &Description) -> Vec<u8> {
    let at = places(samples, description);
    let luma = |pixel: usize| match description.photometric {
        Photometric::Rgb => {
            let [red, green, blue] = at(pixel).map(u32::from);
            crate::decode::luma(red, green, blue) as u8
        }
        _ => at(pixel)[0],
    };
    (0..description.pixels()).map(luma).collect()
}

/// Mean distance between the largest and the smallest of a pixel's colours.
pub(super) fn mean_chroma(samples: &Samples<'_>, description: &Description) -> f32 {
    let at = places(samples, description);
    let distance = |pixel: usize| {
        let colours = match description.photometric {
            Photometric::Rgb => at(pixel).map(f32::from),
            _ => {
                let [luma, blue, red] = at(pixel).map(f32::from);
                let (blue, red) = (blue - 128.0, red - 128.0);
                [luma + 1.402 * red, luma - 0.344 * blue - 0.714 * red, luma + 1.772 * blue]
            }
        };
        let colours = colours.map(|colour| colour.clamp(0.0, 255.0));
        let [most, least] = [f32::max, f32::min].map(|pick| colours.into_iter().reduce(pick).unwrap_or(0.0));
        f64::from(most - least)
    };
    let pixels = description.pixels();
    ((0..pixels).map(distance).sum::<f64>() / pixels.max(1) as f64) as f32
}

/// The three samples of a pixel, brought to 8 bits.
fn places(samples: &Samples<'_>, description: &Description) -> impl Fn(usize) -> [u8; 3] {
    let (pixels, planar, photometric) = (description.pixels(), description.planar, description.photometric);
    let white = u64::from(u32::MAX >> (32 - u32::from(description.stored)));
    move |pixel| {
        let places = match photometric {
            // Two pixels share their colours: luma, luma, blue, red.
            Photometric::Ybr422 => [pixel / 2 * 4 + pixel % 2, pixel / 2 * 4 + 2, pixel / 2 * 4 + 3],
            _ if planar => [pixel, pixels + pixel, 2 * pixels + pixel],
            _ => [3 * pixel, 3 * pixel + 1, 3 * pixel + 2],
        };
        places.map(|place| ((u64::from(samples.at(place)).min(white) * 255 + white / 2) / white) as u8)
    }
}

//! Images from bytes.

use crate::reference::{Maps, assert_close, gpu, shape};
use xray_gpu::images_from_bytes;

/// Every byte, in one channel and in three, also of a wider buffer.
#[test]
fn bytes_become_maps() {
    for (images, height, width, channels, spare) in
        [(2, 16, 16, 1, [0, 0]), (1, 5, 3, 3, [0, 0]), (3, 7, 13, 3, [1, 2]), (1, 1, 1, 1, [0, 3])]
    {
        let shape = shape(images, height, width, channels);
        let bytes: Vec<u8> = (0..shape.pixels()).map(|i| (i * 37 % 256) as u8).collect();
        let (scale, shift) = (1.0 / 58.5, -2.1);
        let output = Maps::unwritten(shape, spare);
        images_from_bytes(gpu(), &bytes, scale, shift, output.map()).expect("small");
        let expected: Vec<f64> = bytes
            .iter()
            .flat_map(|&byte| vec![f64::from(byte) * f64::from(scale) + f64::from(shift); channels])
            .collect();
        assert_close("images", &output.read(), &expected, 1e-6);
    }
}

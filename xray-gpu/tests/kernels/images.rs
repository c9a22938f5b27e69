//! Images from bytes.

use crate::reference::{Maps, gpu, random, shape};
use xray_gpu::images_from_bytes;

/// Every byte, in one channel and in three, also of a wider buffer, with the bits of the table.
#[test]
fn bytes_become_maps() {
    let values: [f32; 256] = random(256, 7).try_into().expect("256 values");
    for (images, height, width, channels, spare) in
        [(2, 16, 16, 1, [0, 0]), (1, 5, 3, 3, [0, 0]), (3, 7, 13, 3, [1, 2]), (1, 1, 1, 1, [0, 3])]
    {
        let shape = shape(images, height, width, channels);
        let bytes: Vec<u8> = (0..shape.pixels()).map(|i| (i * 37 % 256) as u8).collect();
        let output = Maps::unwritten(shape, spare);
        images_from_bytes(gpu(), &bytes, &values, output.map()).expect("small");
        let expected: Vec<f32> =
            bytes.iter().flat_map(|&byte| vec![values[usize::from(byte)]; channels]).collect();
        assert_eq!(output.read(), expected);
    }
}

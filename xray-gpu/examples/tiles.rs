//! `tiles [--seconds N]`: the three products of convolutions as the networks have them, in each precision of this device,
//! with the tile that the table picks and with every other. Prints a line of JSON for each product; after N seconds it
//! begins no other.

use std::time::{Duration, Instant};
use xray_gpu::{
    BLOCKS, Buffer, Error, Gpu, Map, MapShape, Precision, TILES, convolve, input_gradient, output_shape,
    weight_gradient,
};
use xray_kernels::ConvSpec;
use xray_random::Random;

/// Network; kernel and stride; channels in and out; size of the input; images.
type Layer = (&'static str, [usize; 2], [usize; 2], usize, usize);

/// The layers that most time goes to first.
const LAYERS: [Layer; 14] = [
    ("small-cnn", [3, 1], [32, 64], 64, 64),
    ("small-cnn", [3, 1], [64, 128], 32, 64),
    ("small-cnn", [3, 1], [128, 256], 16, 64),
    ("resnet-18", [3, 1], [64, 64], 56, 32),
    ("resnet-18", [3, 1], [128, 128], 28, 32),
    ("resnet-18", [3, 1], [256, 256], 14, 32),
    ("resnet-18", [3, 1], [512, 512], 7, 32),
    ("densenet-121", [1, 1], [256, 128], 28, 16),
    ("densenet-121", [3, 1], [128, 32], 28, 16),
    ("densenet-121", [1, 1], [512, 128], 14, 16),
    ("densenet-121", [3, 1], [128, 32], 14, 16),
    ("resnet-18", [3, 2], [64, 128], 56, 32),
    ("resnet-50", [1, 1], [64, 256], 56, 32),
    ("mobilenet-v2", [1, 1], [144, 24], 56, 32),
];

#[derive(Clone, Copy, Debug)]
enum Product {
    Forward,
    InputGradient,
    WeightGradient,
}

#[expect(clippy::print_stdout, reason = "the times are the result")]
fn main() -> Result<(), Error> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let limit = match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => Duration::MAX,
        ["--seconds", seconds] => Duration::from_secs(seconds.parse().expect("a number of seconds")),
        _ => panic!("tiles [--seconds N]"),
    };
    let begun = Instant::now();
    let gpu = Gpu::open()?;
    for precision in gpu.precisions() {
        let gpu = gpu.with_precision(precision)?;
        let tiles = tiles(&gpu);
        for (network, [kernel, stride], [in_channels, out_channels], size, images) in LAYERS {
            let spec = ConvSpec { in_channels, out_channels, kernel, stride, padding: kernel / 2 };
            let maps =
                Maps::new(&gpu, spec, MapShape { images, height: size, width: size, channels: in_channels })?;
            for product in [Product::Forward, Product::InputGradient, Product::WeightGradient] {
                if begun.elapsed() > limit {
                    return Ok(());
                }
                let table = maps.measured(&gpu, product)?;
                let tried: Result<Vec<String>, Error> = tiles
                    .iter()
                    .map(|(name, gpu)| {
                        Ok(format!(r#"{{"tile": "{name}", {}}}"#, maps.measured(gpu, product)?))
                    })
                    .collect();
                println!(
                    r#"{{"shape": "{network} {kernel}x{kernel}/{stride}, {in_channels} to {out_channels}, {size} px, {images} images: {product:?}", "precision": "{precision}", "table": {{{table}}}, "tiles": [{}]}}"#,
                    tried?.join(", ")
                );
            }
        }
    }
    Ok(())
}

/// The device with each tile alone, by name.
fn tiles(gpu: &Gpu) -> Vec<(String, Gpu)> {
    if gpu.precision() == Precision::F32 {
        let alone = TILES.iter().map(|&(tile, _)| {
            let [rows, columns] = [tile.register_rows, tile.register_columns];
            let name = format!("{}x{} in registers of {rows}x{columns}", tile.rows, tile.columns);
            (name, gpu.with_tiles(&[(tile, 1.0)]))
        });
        return alone.collect();
    }
    let alone = BLOCKS.iter().filter_map(|&(block, _)| {
        let [down, across] = block.planes;
        let name = format!("{}x{} by {down}x{across} planes", block.rows, block.columns);
        Some((name, gpu.with_blocks(&[(block, 1.0)])?))
    });
    alone.collect()
}

/// What the products of a layer read and write.
struct Maps {
    spec: ConvSpec,
    shapes: [MapShape; 2],
    input: Buffer,
    output: Buffer,
    weights: Buffer,
}

impl Maps {
    fn new(gpu: &Gpu, spec: ConvSpec, input: MapShape) -> Result<Self, Error> {
        let mut random = Random::keyed(&[1]);
        // Zeros would take less power, and be faster.
        let noise: Vec<f32> = (0..4093).map(|_| random.between(-1.0, 1.0) as f32).collect();
        let values = |length: usize| {
            let values: Vec<f32> = noise.iter().copied().cycle().take(length).collect();
            Buffer::of(gpu, &values)
        };
        let output = output_shape(&spec, input);
        Ok(Self {
            spec,
            shapes: [input, output],
            input: values(input.len())?,
            output: values(output.len())?,
            weights: values(spec.weight_len())?,
        })
    }

    /// Milliseconds of a product, and what it multiplies in them, as fields of JSON.
    fn measured(&self, gpu: &Gpu, product: Product) -> Result<String, Error> {
        gpu.reset_counts();
        let first = self.seconds(gpu, product, 1)?;
        let operations = 2.0 * gpu.counts().multiply_adds as f64;
        // The first may have compiled the kernel; then some that together take long enough to tell.
        let second = self.seconds(gpu, product, 1)?.min(first);
        let times = (0.02 / second).clamp(1.0, 20.0) as usize;
        let seconds = self.seconds(gpu, product, times)?;
        Ok(format!(r#""ms": {:.4}, "teraflops": {:.2}"#, 1e3 * seconds, 1e-12 * operations / seconds))
    }

    /// Of each of so many launches.
    fn seconds(&self, gpu: &Gpu, product: Product, times: usize) -> Result<f64, Error> {
        let [input, output] = [(&self.input, self.shapes[0]), (&self.output, self.shapes[1])]
            .map(|(buffer, shape)| Map::new(buffer, shape));
        let weights = self.weights.part(0, self.spec.weight_len());
        let start = Instant::now();
        for _ in 0..times {
            match product {
                Product::Forward => convolve(gpu, &self.spec, input, weights, output)?,
                Product::InputGradient => input_gradient(gpu, &self.spec, output, weights, input.into())?,
                Product::WeightGradient => weight_gradient(gpu, &self.spec, input, output, weights)?,
            }
        }
        gpu.wait()?;
        Ok(start.elapsed().as_secs_f64() / times as f64)
    }
}

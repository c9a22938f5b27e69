//! `step SIZE BATCH [STEPS]`: the time of a training step of SmallCNN, its launches, and what they move and multiply.

#[path = "../tests/kernels/small_cnn.rs"]
mod small_cnn;

use small_cnn::{CLASSES, SmallCnn, passes, plan};
use std::time::Instant;
use xray_gpu::{Buffer, Counts, Error, Gpu};
use xray_random::Random;

#[expect(clippy::print_stdout, reason = "the times are the result")]
fn main() -> Result<(), Error> {
    let numbers: Vec<usize> = std::env::args().skip(1).map(|word| word.parse().expect("a number")).collect();
    let [size, batch, steps] = [0, 1, 2].map(|i| numbers.get(i).copied().unwrap_or([64, 4, 3][i]));
    let gpu = Gpu::open()?;
    println!("{:?}", gpu.limits());
    let mut random = Random::keyed(&[1]);
    let mut values = |length| (0..length).map(|_| 0.1 * random.between(-1.0, 1.0) as f32).collect::<Vec<_>>();
    let plan = plan(batch, size);
    let passes = passes(&plan);
    let mut counts = Counts::default();
    passes.iter().for_each(|pass| counts += pass);
    println!(
        "{} launches, {} work groups, {:.2} GFLOP, {:.1} MB a step",
        counts.launches,
        counts.work_groups,
        2e-9 * counts.multiply_adds as f64,
        1e-6 * counts.bytes as f64
    );
    let (start, images) = (values(plan.parameters), Buffer::of(&gpu, &values(batch * size * size))?);
    let labels = Buffer::of(&gpu, &vec![1.0; batch * CLASSES])?;
    let mut network = SmallCnn::new(&gpu, plan, &start)?;
    let clock = Instant::now();
    network.step(&gpu, &images, &labels)?;
    gpu.wait()?;
    println!("first step, which compiles the kernels: {:.2} s", clock.elapsed().as_secs_f64());
    let clock = Instant::now();
    for _ in 0..steps {
        network.step(&gpu, &images, &labels)?;
    }
    let issued = clock.elapsed().as_secs_f64() / steps as f64;
    gpu.wait()?;
    let each = clock.elapsed().as_secs_f64() / steps as f64;
    println!("{size} px, batch {batch}: {:.1} ms a step, {:.2} ms to issue it", 1e3 * each, 1e3 * issued);
    let (traced, times) = gpu.traced(|| network.step(&gpu, &images, &labels));
    traced?;
    for (pass, (name, seconds)) in passes.iter().zip(times) {
        println!("{:8.2} ms {name}, {} groups of {}", 1e3 * seconds, pass.work_groups(), pass.units);
    }
    Ok(())
}

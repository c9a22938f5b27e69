#![allow(dead_code, clippy::all)]
#[path = "../tests/kernels/dense_block.rs"]
mod dense_block;
#[path = "../tests/kernels/dense_passes.rs"]
mod dense_passes;
use dense_block::*;
use dense_passes::*;
use std::collections::BTreeMap;
use xray_gpu::*;
use xray_kernels::{Activation, Nonlinearity};
use xray_random::Random;

struct Net {
    layers: Vec<Layer>,
    all: MapShape,
    from: MapShape,
}

fn unit_parts<'a>(u: &Unit, b: &'a Buffer) -> (Affine<'a>, Part<'a>) {
    let c = u.spec.in_channels;
    (Affine { gamma: b.part(u.at, c), beta: b.part(u.at + c, c) }, b.part(u.at + 2 * c, u.spec.weight_len()))
}
fn running<'a>(u: &Unit, b: &'a Buffer) -> Running<'a> {
    let c = u.spec.in_channels;
    Running { mean: b.part(u.running_at, c), variance: b.part(u.running_at + c, c), momentum: 0.1 }
}

fn fused(gpu: &Gpu, net: &Net, store: Store<'_>, block: Block<'_>, pending: &mut PendingGradients) {
    let mut table = ChannelTable::new(gpu, net.all).unwrap();
    let mut sums = map_sums(gpu, Map::channels_of(block.map, net.from, 0, block.channels)).unwrap();
    let mut kept = Vec::new();
    for layer in &net.layers {
        let (own, next) = layer.forward(gpu, store, block, &mut table, &sums).unwrap();
        kept.push(own);
        sums = next;
    }
    for (i, (layer, own)) in net.layers.iter().zip(&kept).rev().enumerate() {
        layer.backward(gpu, store, block, (own, &table, i == 0), pending).unwrap();
    }
    let part = |b| Map::channels_of(b, net.from, 0, block.channels);
    table.settle(gpu, part(block.map), part(block.gradient));
    pending.flush(gpu).unwrap();
}

fn plain(gpu: &Gpu, net: &Net, store: Store<'_>, block: Block<'_>) {
    let relu = Activation::of(Nonlinearity::Relu);
    let mut kept = Vec::new();
    for layer in &net.layers {
        let (shape, [first, second]) = (layer.shape, &layer.units);
        let k = shape.input.channels;
        let x = Map::channels_of(block.map, shape.input, 0, block.channels);
        let sums = map_sums(gpu, x).unwrap();
        let s1 =
            statistics(gpu, &sums, unit_parts(first, store.values).0, running(first, store.running), EPSILON)
                .unwrap();
        let n1 = Buffer::empty(gpu, shape.input.len()).unwrap();
        let n1m = Map::new(&n1, shape.input);
        normalise(gpu, relu, &s1, x, None, n1m);
        let z = Buffer::empty(gpu, shape.bottleneck().len()).unwrap();
        let zm = Map::new(&z, shape.bottleneck());
        let sums = convolve_with_sums(gpu, &first.spec, n1m, unit_parts(first, store.values).1, zm).unwrap();
        let s2 = statistics(
            gpu,
            &sums,
            unit_parts(second, store.values).0,
            running(second, store.running),
            EPSILON,
        )
        .unwrap();
        let n2 = Buffer::empty(gpu, shape.bottleneck().len()).unwrap();
        let n2m = Map::new(&n2, shape.bottleneck());
        normalise(gpu, relu, &s2, zm, None, n2m);
        let out = Map::channels_of(block.map, shape.input.with_channels(shape.growth), k, block.channels);
        convolve(gpu, &second.spec, n2m, unit_parts(second, store.values).1, out).unwrap();
        kept.push((s1, n1, z, s2, n2));
    }
    for (layer, (s1, n1, z, s2, n2)) in net.layers.iter().zip(&kept).rev() {
        let (shape, [first, second]) = (layer.shape, &layer.units);
        let k = shape.input.channels;
        let go = Map::channels_of(block.gradient, shape.input.with_channels(shape.growth), k, block.channels);
        let (n1m, zm, n2m) =
            (Map::new(n1, shape.input), Map::new(z, shape.bottleneck()), Map::new(n2, shape.bottleneck()));
        weight_gradient(gpu, &second.spec, n2m, go, unit_parts(second, store.gradients).1).unwrap();
        let g = Buffer::empty(gpu, z.len()).unwrap();
        let gm = Map::new(&g, shape.bottleneck());
        input_gradient(gpu, &second.spec, go, unit_parts(second, store.values).1, gm.into()).unwrap();
        let maps = NormMaps { input: zm, grad_output: gm, grad_input: gm.into(), skip: None };
        normalise_backward(gpu, relu, s2, maps, unit_parts(second, store.gradients).0).unwrap();
        weight_gradient(gpu, &first.spec, n1m, gm, unit_parts(first, store.gradients).1).unwrap();
        let d = Buffer::empty(gpu, shape.input.len()).unwrap();
        let dm = Map::new(&d, shape.input);
        input_gradient(gpu, &first.spec, gm, unit_parts(first, store.values).1, dm.into()).unwrap();
        let x = Map::channels_of(block.map, shape.input, 0, block.channels);
        let gx = Map::channels_of(block.gradient, shape.input, 0, block.channels);
        let maps = NormMaps {
            input: x,
            grad_output: dm,
            grad_input: GradientMap { map: gx, accumulate: true },
            skip: None,
        };
        normalise_backward(gpu, relu, s1, maps, unit_parts(first, store.gradients).0).unwrap();
    }
}

fn main() {
    for images in [16, 64] {
        let (mut plain, mut fused) = (Counts::default(), Counts::default());
        let relu = Activation::of(Nonlinearity::Relu);
        let mut waiting = Vec::new();
        for (layers, start, size) in [(6, 64, 56), (12, 128, 28), (24, 256, 14), (16, 512, 7)] {
            let mut fresh = (start, 128);
            for i in 0..layers {
                let input = MapShape { images, height: size, width: size, channels: start + 32 * i };
                let l = LayerShape { input, growth: 32 };
                let [a, b] = l.specs();
                let m = l.bottleneck();
                let mut p = vec![
                    map_sums_pass(input),
                    statistics_pass(input, 256),
                    normalise_pass(relu, input, false),
                ];
                p.extend(forward_passes(&a, input));
                p.extend([statistics_pass(m, sum_rows(&a, input)), normalise_pass(relu, m, false)]);
                p.extend(forward_passes(&b, m));
                for (spec, shape) in [(b, m), (a, input)] {
                    p.extend(weight_gradient_passes(&spec, shape));
                    p.extend(input_gradient_passes(&spec, shape));
                    p.extend(normalise_backward_passes(relu, shape, false));
                }
                p.iter().for_each(|p| plain += p);
                l.forward_passes(fresh).iter().for_each(|p| fused += p);
                fresh = l.fresh();
                l.backward_passes()[usize::from(i == layers - 1)..].iter().for_each(|p| fused += p);
                if i == 0 {
                    fused += &settle_pass(input);
                }
                waiting.extend(l.weight_gradients());
            }
        }
        waiting.reverse();
        let w = pending_gradients_passes(64 << 20, waiting);
        println!("flushes {}", w.iter().filter(|p| p.name == "add segments").count());
        w.iter().for_each(|p| fused += p);
        println!(
            "{images}: plain {plain:?}\n    fused {fused:?}\n   launches {:.3} bytes {:.3}",
            fused.launches as f64 / plain.launches as f64,
            fused.bytes as f64 / plain.bytes as f64
        );
    }
    let n: Vec<usize> = std::env::args().skip(1).map(|a| a.parse().unwrap()).collect();
    let [size, images, start, count, rounds] = [n[0], n[1], n[2], n[3], n[4]];
    let gpu = Gpu::open().unwrap();
    let from = MapShape { images, height: size, width: size, channels: start };
    let growth = 32;
    let shapes: Vec<_> =
        (0..count).map(|i| LayerShape { input: from.with_channels(start + i * growth), growth }).collect();
    let us = units(shapes.iter().flat_map(LayerShape::specs));
    let layers: Vec<_> = shapes
        .into_iter()
        .enumerate()
        .map(|(i, shape)| Layer { shape, units: [us[2 * i], us[2 * i + 1]] })
        .collect();
    let all = from.with_channels(start + count * growth);
    let net = Net { layers, all, from };
    let mut random = Random::keyed(&[1]);
    let mut values =
        |length: usize| (0..length).map(|_| 0.2 * random.between(-1.0, 1.0) as f32).collect::<Vec<_>>();
    let parameters: usize = us.iter().map(Unit::parameters).sum();
    let run_len: usize = us.iter().map(|u| 2 * u.spec.in_channels).sum();
    let (v, r) =
        (Buffer::of(&gpu, &values(parameters)).unwrap(), Buffer::of(&gpu, &vec![0.5; run_len]).unwrap());
    let map = Buffer::of(&gpu, &values(all.len())).unwrap();
    let grad0 = values(all.len());
    let mut results = Vec::new();
    let mut pending = PendingGradients::new(64 << 20);
    let mut times = [Vec::new(), Vec::new()];
    for round in 0..rounds + 1 {
        for way in 0..2 {
            let gradient = Buffer::of(&gpu, &grad0).unwrap();
            let g = Buffer::of(&gpu, &vec![0.0; parameters]).unwrap();
            let store = Store { values: &v, gradients: &g, running: &r };
            let block = Block { map: &map, gradient: &gradient, channels: all.channels };
            gpu.wait().unwrap();
            gpu.reset_counts();
            let clock = std::time::Instant::now();
            if way == 0 {
                plain(&gpu, &net, store, block)
            } else {
                fused(&gpu, &net, store, block, &mut pending)
            }
            gpu.wait().unwrap();
            let seconds = clock.elapsed().as_secs_f64();
            if round == 0 {
                results.push((g.read(&gpu).unwrap(), gradient.read(&gpu).unwrap()));
                println!("way {way}: {:?}", gpu.counts());
            } else {
                times[way].push(seconds);
            }
        }
    }
    let worst = |a: &[f32], b: &[f32]| {
        let top = a.iter().fold(0f32, |m, v| m.max(v.abs()));
        a.iter().zip(b).fold(0f32, |m, (a, b)| m.max((a - b).abs())) / top
    };
    println!(
        "differences {:.1e} {:.1e}",
        worst(&results[0].0, &results[1].0),
        worst(&results[0].1, &results[1].1)
    );
    for t in &mut times {
        t.sort_by(f64::total_cmp);
        println!("{t:.3?}");
    }
    println!(
        "ratio of medians {:.3}, of fastest {:.3}",
        times[0][rounds / 2] / times[1][rounds / 2],
        times[0][0] / times[1][0]
    );
    for way in 0..2 {
        let gradient = Buffer::of(&gpu, &grad0).unwrap();
        let g = Buffer::of(&gpu, &vec![0.0; parameters]).unwrap();
        let store = Store { values: &v, gradients: &g, running: &r };
        let block = Block { map: &map, gradient: &gradient, channels: all.channels };
        let (_, trace) = gpu.traced(|| {
            if way == 0 {
                plain(&gpu, &net, store, block)
            } else {
                fused(&gpu, &net, store, block, &mut pending)
            }
        });
        let mut sums: BTreeMap<&str, (usize, f64)> = BTreeMap::new();
        for (name, s) in trace {
            let e = sums.entry(name).or_default();
            e.0 += 1;
            e.1 += s;
        }
        println!("way {way}: {:.3} s", sums.values().map(|v| v.1).sum::<f64>());
        for (name, (n, s)) in sums {
            println!("   {name:22} {n:3} {:.1} ms", 1e3 * s);
        }
    }
}

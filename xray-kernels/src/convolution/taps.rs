//! Which input pixels an output pixel sums over: forward, and backward through any stride.

use super::spec::ConvSpec;

/// A tap: a place in the kernel, and the offset of its input pixel in floats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tap {
    /// Row and column in the kernel.
    pub(crate) kernel: (usize, usize),
    /// From the corner of the input's halo, for the first output pixel.
    pub(crate) offset: usize,
}

/// The taps of a forward pass over planes with `halo` rings of zeros, rows `row` and pixels `step` floats apart.
pub(crate) fn forward_taps(spec: &ConvSpec, halo: usize, row: usize, step: usize) -> Vec<Tap> {
    assert!(halo >= spec.padding, "a halo of {halo} is too thin for a padding of {}", spec.padding);
    let skip = halo - spec.padding;
    let places = (0..spec.kernel).flat_map(|y| (0..spec.kernel).map(move |x| (y, x)));
    places.map(|(y, x)| Tap { kernel: (y, x), offset: (skip + y) * row + (skip + x) * step }).collect()
}

/// The input pixels `first, first + stride, ..` of one axis: they meet the same places of the kernel.
///
/// Input pixel `i` is under place `k` of output `o` where `i + padding = stride * o + k`. For
/// `i = first + stride * t` the places are `k = rest + stride * j` with `rest = (first + padding) % stride`,
/// and the outputs `o = (first + padding) / stride - j + t`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Parity {
    /// The first input pixel.
    pub(crate) first: usize,
    /// How many there are.
    pub(crate) count: usize,
    /// Places in the kernel, and the output each meets for the first input pixel; that may lie outside.
    pub(crate) places: Vec<(usize, isize)>,
}

/// The parities of an axis of `size` input pixels.
pub(crate) fn parities(spec: &ConvSpec, size: usize) -> Vec<Parity> {
    let parity = |first: usize| {
        let (start, rest) = ((first + spec.padding) / spec.stride, (first + spec.padding) % spec.stride);
        let steps = 0..(spec.kernel.saturating_sub(rest)).div_ceil(spec.stride);
        let places = steps.map(|j| (rest + spec.stride * j, start as isize - j as isize)).collect();
        Parity { first, count: (size - first).div_ceil(spec.stride), places }
    };
    (0..spec.stride.min(size)).map(parity).collect()
}

/// Rings of zeros that the gradient of the output needs, so that no input pixel is a border case.
pub(crate) fn gradient_halo(spec: &ConvSpec, height: usize, width: usize) -> usize {
    let axis = |size: usize| {
        let outputs = spec.output_size(size) as isize;
        let reach = |parity: &Parity| {
            let last = parity.count as isize - 1;
            parity.places.iter().map(|&(_, o)| (-o).max(o + last + 1 - outputs)).max().unwrap_or(0)
        };
        parities(spec, size).iter().map(reach).max().unwrap_or(0)
    };
    axis(height).max(axis(width)).max(0) as usize
}

/// Rows and columns of the output's gradient around its own that a part of the input's leads to, wherever it lies.
pub(crate) fn gradient_reach(spec: &ConvSpec, height: usize, width: usize) -> usize {
    let axis = |size: usize| {
        let places = parities(spec, size).into_iter().flat_map(|parity| parity.places);
        places.map(|(_, output)| output.unsigned_abs()).max().unwrap_or(0)
    };
    gradient_halo(spec, height, width).max(axis(height)).max(axis(width))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(kernel: usize, stride: usize, padding: usize) -> ConvSpec {
        ConvSpec { in_channels: 1, out_channels: 1, kernel, stride, padding }
    }

    #[test]
    fn forward_taps_skip_what_the_padding_does_not_use() {
        let taps = forward_taps(&spec(1, 1, 0), 1, 80, 16);
        assert_eq!(taps, [Tap { kernel: (0, 0), offset: 96 }]);
        assert_eq!(forward_taps(&spec(3, 1, 1), 1, 80, 16)[5].offset, 80 + 32);
    }

    #[test]
    fn parities_are_all_pairs_of_input_and_output() {
        for (kernel, stride, padding, size) in
            [(3, 1, 1, 5), (3, 2, 1, 8), (7, 2, 3, 9), (1, 2, 0, 4), (2, 3, 0, 7)]
        {
            let spec = spec(kernel, stride, padding);
            let mut pairs = Vec::new();
            for parity in parities(&spec, size) {
                for t in 0..parity.count {
                    for &(k, o) in &parity.places {
                        pairs.push((parity.first + stride * t, k, o + t as isize));
                    }
                }
            }
            pairs.retain(|&(_, _, o)| (0..spec.output_size(size) as isize).contains(&o));
            pairs.sort_unstable();
            let mut expected = Vec::new();
            for i in 0..size {
                for k in 0..kernel {
                    for o in 0..spec.output_size(size) {
                        if i + padding == stride * o + k {
                            expected.push((i, k, o as isize));
                        }
                    }
                }
            }
            assert_eq!(pairs, expected);
        }
    }

    #[test]
    fn the_gradients_halo_is_the_flipped_kernels_padding() {
        assert_eq!(gradient_halo(&spec(3, 1, 1), 5, 5), 1);
        assert_eq!(gradient_halo(&spec(3, 1, 0), 5, 5), 2);
        assert_eq!(gradient_halo(&spec(1, 1, 0), 5, 5), 0);
        assert_eq!(gradient_halo(&spec(3, 2, 1), 8, 8), 1);
    }
}

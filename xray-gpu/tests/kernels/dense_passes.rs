//! The launches of a dense layer and of a transition, from shapes alone, in the order that they run.

use xray_gpu::{
    MapShape, Pass, Width, average_normalised_gradient_passes, average_normalised_pass, averaged_shape,
    concatenated_statistics_pass, defer_pass, forward_passes, gradient_sum_tiles, input_gradient_passes,
    input_gradient_with_sums_passes, normalised_gradient_passes, settle_pass, statistics_pass, sum_rows,
};
use xray_kernels::ConvSpec;

/// A layer of a dense block: norm, ReLU and a 1 x 1 convolution to four times `growth` channels, norm, ReLU and a
/// 3 x 3 convolution to `growth` channels.
#[derive(Clone, Copy)]
pub(crate) struct LayerShape {
    /// What it reads: all channels of the block so far.
    pub(crate) input: MapShape,
    pub(crate) growth: usize,
}

impl LayerShape {
    pub(crate) fn specs(&self) -> [ConvSpec; 2] {
        let (from, middle) = (self.input.channels, 4 * self.growth);
        [[from, middle, 1], [middle, self.growth, 3]].map(|[in_channels, out_channels, kernel]| ConvSpec {
            in_channels,
            out_channels,
            kernel,
            stride: 1,
            padding: kernel / 2,
        })
    }

    pub(crate) fn bottleneck(&self) -> MapShape {
        self.input.with_channels(4 * self.growth)
    }

    /// `fresh`: the channels of the input that the layer before wrote, and the rows of the tiles that it summed up.
    pub(crate) fn forward_passes(&self, (fresh, rows): (usize, usize)) -> Vec<Pass> {
        let ([first, second], middle) = (self.specs(), self.bottleneck());
        let known = self.input.channels - fresh;
        let mut all = vec![concatenated_statistics_pass(self.input.with_channels(fresh), known, rows)];
        all.extend(forward_passes(&first, self.input));
        all.push(statistics_pass(middle, sum_rows(&first, self.input)));
        all.extend(forward_passes(&second, middle));
        all
    }

    /// What the layer after finds.
    pub(crate) fn fresh(&self) -> (usize, usize) {
        (self.growth, sum_rows(&self.specs()[1], self.bottleneck()))
    }

    /// Without the weight gradients, which are those of [`LayerShape::weight_gradients`]. Of the last layer of a block
    /// without the first pass.
    pub(crate) fn backward_passes(&self) -> Vec<Pass> {
        let ([first, second], middle) = (self.specs(), self.bottleneck());
        let mut all = vec![settle_pass(self.input.with_channels(self.growth))];
        all.extend(input_gradient_with_sums_passes(&second, middle, false));
        all.extend(normalised_gradient_passes(middle, gradient_sum_tiles(&second, middle)));
        all.extend(input_gradient_with_sums_passes(&first, self.input, true));
        all.push(defer_pass(self.input.channels, gradient_sum_tiles(&first, self.input)));
        all
    }

    pub(crate) fn weight_gradients(&self) -> [(ConvSpec, MapShape); 2] {
        let [first, second] = self.specs();
        [(second, self.bottleneck()), (first, self.input)]
    }
}

/// Between dense blocks: norm, ReLU, the mean of 2 x 2 pixels and a 1 x 1 convolution to half the channels.
#[derive(Clone, Copy)]
pub(crate) struct TransitionShape {
    /// All channels of the block before.
    pub(crate) input: MapShape,
}

impl TransitionShape {
    pub(crate) fn spec(&self) -> ConvSpec {
        let channels = self.input.channels;
        ConvSpec { in_channels: channels, out_channels: channels / 2, kernel: 1, stride: 1, padding: 0 }
    }

    pub(crate) fn averaged(&self) -> MapShape {
        averaged_shape(self.input)
    }

    pub(crate) fn forward_passes(&self, (fresh, rows): (usize, usize)) -> Vec<Pass> {
        let known = self.input.channels - fresh;
        let mut all = vec![concatenated_statistics_pass(self.input.with_channels(fresh), known, rows)];
        all.push(average_normalised_pass(self.input));
        all.extend(forward_passes(&self.spec(), self.averaged()));
        all
    }

    /// What the first layer of the block after finds.
    pub(crate) fn fresh(&self) -> (usize, usize) {
        (self.spec().out_channels, sum_rows(&self.spec(), self.averaged()))
    }

    /// Without the weight gradient.
    pub(crate) fn backward_passes(&self) -> Vec<Pass> {
        let mut all = input_gradient_passes(&self.spec(), self.averaged());
        all.extend(average_normalised_gradient_passes(Width::Discrete, self.input));
        all
    }

    pub(crate) fn weight_gradient(&self) -> (ConvSpec, MapShape) {
        (self.spec(), self.averaged())
    }
}

/// Launches without those that a contraction in pieces adds.
pub(crate) fn without_pieces(passes: &[Pass]) -> usize {
    passes.iter().filter(|pass| pass.name != "merge").count()
}

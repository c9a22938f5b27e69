//! A convolution, its normalisation and its activation as one operation.

mod depthwise;
mod inference;
mod pre_activation;
mod residual;
mod training;

pub use depthwise::{DepthwiseBlock, FoldedDepthwise, SavedDepthwise};
pub use inference::FoldedBlock;
pub use pre_activation::PreActivation;
pub use training::{BlockGradients, BlockParameters, SavedBlock};

use crate::batch_norm::Activation;
use crate::convolution::ConvSpec;
use crate::planes::ConvInput;
use crate::shape::MapShape;

/// Convolution, batch norm, perhaps ReLU, perhaps 2 x 2 max pooling.
#[derive(Clone, Copy, Debug)]
pub struct ConvBlock {
    /// The convolution, without bias.
    pub conv: ConvSpec,
    /// What follows the normalisation.
    pub activation: Activation,
    /// Added to the variance.
    pub epsilon: f32,
}

impl ConvBlock {
    /// The shape of what comes out, with a halo of the next layer's choice.
    pub fn output_shape(&self, input: &ConvInput, halo: usize) -> MapShape {
        let conv = self.conv_shape(input);
        let [height, width] = [conv.height, conv.width].map(|size| self.activation.output_size(size));
        MapShape::new(conv.images, conv.channels, height, width, halo)
    }

    /// The shape of the convolution's output.
    fn conv_shape(&self, input: &ConvInput) -> MapShape {
        let [images, _, height, width] = input.size();
        let [height, width] = [height, width].map(|size| self.conv.output_size(size));
        MapShape::new(images, self.conv.out_channels, height, width, 0)
    }

    fn check(&self, input: &ConvInput, planar: bool) {
        assert_eq!(
            input.size()[1],
            self.conv.in_channels,
            "the input's channels and those of {:?}",
            self.conv
        );
        assert_eq!(matches!(input, ConvInput::Planar(..)), planar, "packed for another kind of input");
    }
}

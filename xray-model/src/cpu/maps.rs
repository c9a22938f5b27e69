//! What the layers of a network hand on: images as they come, or blocked maps.

use super::context;
use super::gradient::{GradientCell, HeldGradient};
use super::tape::Tape;
use super::values::small;
use burn::backend::Flex;
use burn::backend::autodiff::grads::Gradients;
use burn::tensor::Tensor;
use std::sync::Arc;
use xray_kernels::{
    ArenaBuffer, ConvInput, DepthwiseInput, MapShape, Nonlinearity, PlanarShape, SavedBlock, to_planar,
};

const FOR_DEPTHWISE: &str = "only a depthwise convolution reads maps that are not written";

/// Feature maps on the CPU.
#[derive(Clone, Debug)]
pub(crate) struct CpuMaps {
    input: Input,
    /// What leads back from them in training: batch norm normalises by the batch. None in inference.
    tape: Option<Tape>,
}

/// What a layer reads.
#[derive(Clone, Debug)]
pub(super) enum Input {
    /// `[n, channels, h, w]`.
    Images(Arc<ArenaBuffer>, PlanarShape),
    Maps(BlockedMaps),
    Unwritten(UnwrittenMaps),
}

/// Maps that a layer made, channels in blocks of 16: `[n, blocks, h + 2 halo, w + 2 halo, 16]`.
#[derive(Clone, Debug)]
pub(super) struct BlockedMaps {
    buffer: Arc<ArenaBuffer>,
    shape: MapShape,
    /// Of the maps, in training.
    gradient: GradientCell,
}

/// Maps of which there is what the block's convolution gave: a depthwise convolution normalises and activates it while it
/// reads it.
#[derive(Clone, Debug)]
pub(super) struct UnwrittenMaps {
    block: Arc<SavedBlock>,
    function: Nonlinearity,
    gradient: GradientCell,
}

impl UnwrittenMaps {
    pub(super) fn new(block: Arc<SavedBlock>, function: Nonlinearity) -> Self {
        UnwrittenMaps { block, function, gradient: GradientCell::default() }
    }
}

impl From<BlockedMaps> for Input {
    fn from(maps: BlockedMaps) -> Self {
        Input::Maps(maps)
    }
}

impl BlockedMaps {
    pub(super) fn new(buffer: impl Into<Arc<ArenaBuffer>>, shape: MapShape) -> Self {
        BlockedMaps { buffer: buffer.into(), shape, gradient: GradientCell::default() }
    }

    pub(super) fn map(&self) -> (&[f32], MapShape) {
        (&self.buffer, self.shape)
    }
}

impl Input {
    pub(super) fn conv_input(&self) -> ConvInput<'_> {
        match self {
            Input::Images(buffer, shape) => ConvInput::Planar(buffer, *shape),
            Input::Maps(maps) => ConvInput::Map(&maps.buffer, maps.shape),
            Input::Unwritten(_) => unreachable!("{FOR_DEPTHWISE}"),
        }
    }

    /// For a depthwise convolution.
    pub(super) fn depthwise_input(&self) -> DepthwiseInput<'_> {
        match self {
            Input::Unwritten(UnwrittenMaps { block, function, .. }) => {
                DepthwiseInput::normalised(block.conv_output(), &block.normalisation, *function)
            }
            _ => {
                let (values, shape) = self.map();
                DepthwiseInput::map(values, shape)
            }
        }
    }

    fn maps(&self) -> &BlockedMaps {
        match self {
            Input::Maps(maps) => maps,
            Input::Images(..) => unreachable!("only a first convolution reads images"),
            Input::Unwritten(_) => unreachable!("{FOR_DEPTHWISE}"),
        }
    }

    /// The values and shape of maps.
    pub(super) fn map(&self) -> (&[f32], MapShape) {
        self.maps().map()
    }

    /// Where its gradient goes: nothing learns from that of an image.
    pub(super) fn gradient(&self) -> Option<&GradientCell> {
        match self {
            Input::Images(..) => None,
            Input::Maps(BlockedMaps { gradient, .. }) | Input::Unwritten(UnwrittenMaps { gradient, .. }) => {
                Some(gradient)
            }
        }
    }

    /// That of maps.
    pub(super) fn cell(&self) -> &GradientCell {
        self.gradient().expect("only a first convolution reads images")
    }
}

impl CpuMaps {
    /// `[n, channels, h, w]`, for a network in training or in inference.
    pub(super) fn images(buffer: ArenaBuffer, shape: PlanarShape, in_training: bool) -> Self {
        CpuMaps { input: Input::Images(Arc::new(buffer), shape), tape: in_training.then(Tape::default) }
    }

    /// Maps that a layer made in training; `learns` says whether it has parameters that do. Its way back is given the
    /// gradient of the maps.
    pub(super) fn made(
        maps: impl Into<Input>,
        tape: Tape,
        learns: bool,
        way_back: impl FnOnce(HeldGradient, &mut Gradients) + Send + 'static,
    ) -> Self {
        let input = maps.into();
        let gradient = input.cell().clone();
        tape.record(learns, move |gradients| way_back(gradient.take(), gradients));
        CpuMaps { input, tape: Some(tape) }
    }

    /// In inference.
    pub(super) fn inferred((buffer, shape): (ArenaBuffer, MapShape)) -> Self {
        CpuMaps { input: Input::Maps(BlockedMaps::new(buffer, shape)), tape: None }
    }

    /// Whether they are those of a network in training.
    pub(crate) fn in_training(&self) -> bool {
        self.tape.is_some()
    }

    /// For a layer that may be in training.
    pub(super) fn into_parts(self) -> (Input, Option<Tape>) {
        (self.input, self.tape)
    }

    /// For a layer in training.
    pub(super) fn recorded(self) -> (Input, Tape) {
        (self.input, self.tape.expect("a network in training has a tape from its images on"))
    }

    /// For a layer in inference.
    pub(super) fn plain(self) -> Input {
        self.input
    }

    /// `[n, channels, h, w]`, without gradients.
    pub(crate) fn into_nchw(self) -> Tensor<4> {
        let (values, shape) = self.input.map();
        let MapShape { images, channels, height, width, .. } = shape;
        let planar = PlanarShape { images, channels, height, width };
        let mut found = vec![0.0; planar.len()];
        to_planar((values, shape), (&mut found, planar));
        Tensor::from_primitive::<Flex>(small(found, [images, channels, height, width]))
    }
}

/// Memory for maps of a shape.
pub(super) fn buffer(shape: &MapShape) -> ArenaBuffer {
    context().arena.take(shape.len())
}

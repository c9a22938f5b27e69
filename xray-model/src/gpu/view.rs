//! Maps that own their memory, and the gradient of maps on its way back.

use std::sync::{Arc, Mutex, PoisonError};
use xray_gpu::{Buffer, Error, Gpu, GradientMap, Map, MapShape};

/// A [`Map`] with its buffer.
#[derive(Clone, Debug)]
pub(super) struct View {
    buffer: Buffer,
    shape: MapShape,
    first: usize,
    stride: usize,
}

impl View {
    /// Maps of no particular value.
    pub(super) fn empty(gpu: &Gpu, shape: MapShape) -> Result<Self, Error> {
        Ok(View::new(Buffer::empty(gpu, shape.len())?, shape))
    }

    pub(super) fn new(buffer: Buffer, shape: MapShape) -> Self {
        View { buffer, shape, first: 0, stride: shape.channels }
    }

    /// Some of the channels.
    pub(super) fn channels(&self, first: usize, channels: usize) -> Self {
        View { first: self.first + first, shape: self.shape.with_channels(channels), ..self.clone() }
    }

    pub(super) fn shape(&self) -> MapShape {
        self.shape
    }

    /// The values, all channels of its buffer; waits for the device.
    pub(super) fn read(&self, gpu: &Gpu) -> Result<Vec<f32>, Error> {
        assert_eq!(self.stride, self.shape.channels, "a view of some channels is not read");
        self.buffer.read(gpu)
    }

    pub(super) fn map(&self) -> Map<'_> {
        Map::channels_of(&self.buffer, self.shape, self.first, self.stride)
    }
}

/// Where the readers of maps leave their gradient for the layer that made them: the first writes, the others add.
#[derive(Clone, Debug, Default)]
pub(super) struct GradientCell(Arc<Mutex<Option<View>>>);

impl GradientCell {
    /// Lets a reader of maps of this shape write its gradient, or add it to that of others.
    pub(super) fn write(
        &self,
        gpu: &Gpu,
        shape: MapShape,
        write: impl FnOnce(GradientMap<'_>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let held = self.lock().take();
        let accumulate = held.is_some();
        let view = held.map_or_else(|| View::empty(gpu, shape), Ok)?;
        write(GradientMap { map: view.map(), accumulate })?;
        *self.lock() = Some(view);
        Ok(())
    }

    /// Hands a gradient over as it is; no other reader has left one.
    pub(super) fn give(&self, view: View) {
        let before = self.lock().replace(view);
        assert!(before.is_none(), "a gradient that was added to nothing");
    }

    /// The sum of what the readers left.
    pub(super) fn take(&self) -> View {
        self.lock().take().expect("the way back comes to a layer after all that read it")
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<View>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

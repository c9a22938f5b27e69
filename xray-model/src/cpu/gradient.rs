//! The gradient of blocked maps on its way back: the first reader writes and the others add to what is there.

use super::context;
use std::sync::{Arc, Mutex, PoisonError};
use xray_kernels::{ArenaBuffer, GradientMap, MapShape, add};

/// Where the readers of a map leave its gradient for the operation that made the map.
#[derive(Clone, Debug, Default)]
pub(super) struct GradientCell(Arc<Mutex<Option<HeldGradient>>>);

/// A gradient; its halo means nothing.
#[derive(Debug)]
pub(super) struct HeldGradient {
    pub(super) buffer: ArenaBuffer,
    pub(super) shape: MapShape,
}

impl GradientCell {
    /// Lets a reader of a map of this size write its gradient, or add it to that of others.
    pub(super) fn write(&self, shape: MapShape, write: impl FnOnce(GradientMap<'_>)) {
        let held = match self.take_any() {
            Some(mut held) => {
                write(GradientMap::added_to(&mut held.buffer, held.shape));
                held
            }
            None => {
                let shape = shape.with_halo(0);
                let mut buffer = context().arena.take(shape.len());
                write(GradientMap::new(&mut buffer, shape));
                HeldGradient { buffer, shape }
            }
        };
        self.put(held);
    }

    /// Hands a gradient over as it is, without a copy where there is no other.
    pub(super) fn give(&self, given: HeldGradient) {
        let held = match self.take_any() {
            Some(held) => {
                let shape = held.shape.with_halo(0);
                let mut buffer = context().arena.take(shape.len());
                let [one, other] = [&held, &given].map(|one| (&one.buffer[..], one.shape));
                add(context(), one, other, false, (&mut buffer, shape));
                HeldGradient { buffer, shape }
            }
            None => given,
        };
        self.put(held);
    }

    /// The sum of what the readers left.
    pub(super) fn take(&self) -> HeldGradient {
        self.take_any().expect("a layer's way back comes after those of all readers of its output")
    }

    fn take_any(&self) -> Option<HeldGradient> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn put(&self, held: HeldGradient) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(held);
    }
}

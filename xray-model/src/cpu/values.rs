//! Tensors of the CPU backend as slices, and buffers of the arena as tensors.

use super::Tracked;
use burn::backend::Flex;
use burn::backend::autodiff::NodeId;
use burn::backend::flex::{FlexTensor, Layout};
use burn::backend::tensor::FloatTensor;
use burn::tensor::{AllocationProperty, Bytes, DType, Shape, Tensor, TensorData};
use xray_kernels::ArenaBuffer;

/// The tensor of the backend, without gradients, in row-major order.
pub(super) fn plain<const D: usize>(tensor: Tensor<D>) -> FlexTensor {
    dense(tensor.try_into_primitive::<Flex>().expect("a float tensor on the CPU, without autodiff"))
}

/// A parameter in training, in row-major order, and under what burn keeps its gradient if it learns.
pub(super) fn learned<const D: usize>(parameter: Tensor<D>) -> (FlexTensor, Option<NodeId>) {
    let learns = parameter.is_require_grad();
    let tracked: FloatTensor<Tracked> =
        parameter.try_into_primitive::<Tracked>().expect("a float tensor on the CPU that records gradients");
    let node = learns.then(|| tracked.id());
    (dense(tracked.into_primitive()), node)
}

/// The same values in row-major order; copies only a view that is not.
pub(super) fn dense(tensor: FlexTensor) -> FlexTensor {
    if tensor.is_contiguous() { tensor } else { tensor.to_contiguous() }
}

/// The values of a [`dense`] tensor.
pub(super) fn values(tensor: &FlexTensor) -> &[f32] {
    tensor.as_slice::<f32>().expect("a dense float32 tensor")
}

/// A tensor that holds the arena's buffer until its last owner goes. burn may read it where it lies; where burn would
/// write in place, it copies.
pub(super) fn tensor(buffer: ArenaBuffer, shape: impl Into<Shape>) -> FlexTensor {
    struct Owner(ArenaBuffer);
    impl AsRef<[u8]> for Owner {
        fn as_ref(&self) -> &[u8] {
            bytemuck::cast_slice(&self.0)
        }
    }
    let bytes = Bytes::from_shared(bytes::Bytes::from_owner(Owner(buffer)), AllocationProperty::Other);
    FlexTensor::new(bytes, Layout::contiguous(shape.into()), DType::F32)
}

/// A few values as a tensor.
pub(super) fn small(values: Vec<f32>, shape: impl Into<Shape>) -> FlexTensor {
    FlexTensor::from_data(TensorData::new(values, shape))
}

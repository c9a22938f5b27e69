//! Products whose rows are the same in every batch.

use burn::tensor::Tensor;

/// Rows of a product. A matrix product chooses its order of summation by its shape, that of one row differs from others.
const ROWS: usize = 16;

/// `product` of `[n, features]`, made of products of [`ROWS`] rows each, so that what is found of an image does not
/// depend on the others of its batch. Training gets the product as it is: there an image depends on its batch anyway.
pub(crate) fn alike(rows_nf: Tensor<2>, product: impl Fn(Tensor<2>) -> Tensor<2>) -> Tensor<2> {
    let device = rows_nf.device();
    if device.is_autodiff() {
        return product(rows_nf);
    }
    let [n, features] = rows_nf.dims();
    let missing = n.next_multiple_of(ROWS) - n;
    let whole = match missing {
        0 => rows_nf,
        _ => Tensor::cat(vec![rows_nf, Tensor::zeros([missing, features], &device)], 0),
    };
    let parts = whole.split(ROWS, 0).into_iter().map(product).collect();
    Tensor::cat(parts, 0).narrow(0, 0, n)
}

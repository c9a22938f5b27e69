//! Class activation maps (Zhou et al., 2016).

use burn::nn::Linear;
use burn::tensor::Tensor;

/// What each place of the last map adds to each logit, `[n, classes, h, w]`. The classifier is linear in the mean over
/// the map, so the mean of a class's map is its logit.
pub(crate) fn class_maps(classifier: &Linear, maps_nchw: Tensor<4>) -> Tensor<4> {
    let [n, channels, h, w] = maps_nchw.dims();
    let weight_kc = classifier.weight.val().transpose();
    let classes = weight_kc.dims()[0];
    let weight_nkc = weight_kc.unsqueeze::<3>().expand([n, classes, channels]);
    let classes_nkp = weight_nkc.matmul(maps_nchw.reshape([n, channels, h * w]));
    let bias = classifier.bias.as_ref().expect("made with a bias").val();
    (classes_nkp + bias.reshape([1, classes, 1])).reshape([n, classes, h, w])
}

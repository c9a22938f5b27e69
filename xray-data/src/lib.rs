//! Chest X-rays from disk to batches: TFRecord files, image sources, labels, splits, preprocessing and the
//! loader. No tensors: a batch is plain slices.

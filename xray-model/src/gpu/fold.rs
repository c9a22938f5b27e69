//! Convolutions whose batch norm is part of their weights, for inference.

use super::filter::Filter;
use super::given::ConvIds;
use super::store::Store;
use burn::module::ParamId;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use xray_gpu::{Buffer, Error, Gpu, Map, Source, convolve_folded, depthwise_folded, fold};
use xray_kernels::Nonlinearity;

/// Weights and biases.
#[derive(Debug)]
pub(super) struct Folded {
    weights: Buffer,
    bias: Buffer,
}

/// Those of a network, by the kernels' ids.
#[derive(Debug, Default)]
pub(super) struct Folds(Mutex<HashMap<ParamId, Arc<Folded>>>);

impl Folds {
    /// Folds what is asked for the first time.
    pub(super) fn get(
        &self,
        kernel: ParamId,
        make: impl FnOnce() -> Result<Folded, Error>,
    ) -> Result<Arc<Folded>, Error> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(folded) = all.get(&kernel) {
            return Ok(folded.clone());
        }
        let folded = Arc::new(make()?);
        all.insert(kernel, folded.clone());
        Ok(folded)
    }
}

impl Filter {
    pub(super) fn fold(&self, gpu: &Gpu, store: &Store, ids: ConvIds, epsilon: f32) -> Result<Folded, Error> {
        let (affine, running) = (store.affine(ids.gamma), store.running(ids.gamma));
        let (weights, bias) = fold(gpu, store.part(ids.kernel), affine, running, epsilon)?;
        Ok(Folded { weights, bias })
    }

    /// Writes `function(convolution + bias + skip)`.
    pub(super) fn infer(
        &self,
        gpu: &Gpu,
        input: Source<'_>,
        Folded { weights, bias }: &Folded,
        function: Nonlinearity,
        skip: Option<Map<'_>>,
        output: Map<'_>,
    ) -> Result<(), Error> {
        let (weights, bias) = (weights.whole(), bias.whole());
        match self {
            Filter::Full(spec) => convolve_folded(gpu, spec, input, weights, bias, function, skip, output),
            Filter::Depthwise(spec) => {
                depthwise_folded(gpu, spec, input.map(), weights, bias, function, output);
                Ok(())
            }
        }
    }
}

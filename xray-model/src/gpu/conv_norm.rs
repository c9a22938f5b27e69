//! Convolution, batch norm, perhaps a skip connection, activation and perhaps max-pool.

use super::filter::Filter;
use super::given::ConvIds;
use super::maps::{GpuMaps, Made};
use super::view::View;
use crate::layers::Maps;
use xray_gpu::{
    Error, GradientMap, Map, NormMaps, normalise, normalise_backward, normalised_shape, pool, pooled_shape,
    statistics,
};
use xray_kernels::{Activation, ConvBlock, DepthwiseBlock, Nonlinearity, Pool, PoolKind};

const HALVING: Pool = Pool { kind: PoolKind::Max, kernel: 2, stride: 2, padding: 0 };

/// What of a block is not a parameter.
#[derive(Clone, Copy, Debug)]
struct Block {
    filter: Filter,
    activation: Activation,
    epsilon: f32,
    ids: ConvIds,
}

impl GpuMaps {
    /// The activation comes after the sum with `skip`.
    pub(crate) fn conv_norm(self, block: &ConvBlock, ids: ConvIds, skip: Option<GpuMaps>) -> Maps {
        let ConvBlock { conv, activation, epsilon } = *block;
        let block = Block { filter: Filter::Full(conv), activation, epsilon, ids };
        self.then(|input| block.forward(input, skip.map(GpuMaps::made).transpose()?))
    }

    /// With a kernel for each channel.
    pub(crate) fn depthwise_norm(self, block: &DepthwiseBlock, ids: ConvIds) -> Maps {
        let DepthwiseBlock { conv, function, epsilon } = *block;
        let activation = Activation::of(function);
        let block = Block { filter: Filter::Depthwise(conv), activation, epsilon, ids };
        self.then(|input| block.forward(input, None))
    }
}

impl Block {
    fn forward(self, input: Made, skip: Option<Made>) -> Result<Made, Error> {
        if input.run.learns() { self.train(input, skip) } else { self.infer(input, skip) }
    }

    fn train(self, Made { run, read: input }: Made, skip: Option<Made>) -> Result<Made, Error> {
        let Block { filter, activation, epsilon, ids } = self;
        let (gpu, store, skip) = (&*run.gpu, &run.store, skip.map(|skip| skip.read));
        let convolved = View::empty(gpu, filter.output(input.view.shape()))?;
        let sums = filter.forward(gpu, input.view.map(), store.part(ids.kernel), convolved.map())?;
        let statistics = statistics(gpu, &sums, store.affine(ids.gamma), store.running(ids.gamma), epsilon)?;
        let output = View::empty(gpu, normalised_shape(activation, convolved.shape()))?;
        let skip_map = skip.as_ref().map(|skip| skip.view.map());
        normalise(gpu, activation, &statistics, convolved.map(), skip_map, output.map());
        let (made, gradient) = Made::by(run.clone(), output);
        run.record(move |back| {
            let (gpu, grad_output) = (back.gpu, gradient.take());
            let grad_convolved = View::empty(gpu, convolved.shape())?;
            let through_norm = |skip: Option<(Map<'_>, GradientMap<'_>)>| {
                let maps = NormMaps {
                    input: convolved.map(),
                    grad_output: grad_output.map(),
                    grad_input: grad_convolved.map().into(),
                    skip,
                };
                normalise_backward(gpu, activation, &statistics, maps, back.gradients.affine(ids.gamma))
            };
            match &skip {
                None => through_norm(None)?,
                Some(skip) => {
                    skip.write_gradient(gpu, |gradient| through_norm(Some((skip.view.map(), gradient))))?;
                }
            }
            let grad_output = grad_convolved.map();
            let maps = [input.view.map(), grad_output];
            filter.weight_gradient(back, maps, ids.kernel)?;
            input.write_gradient(gpu, |gradient| {
                filter.input_gradient(gpu, grad_output, back.store.part(ids.kernel), gradient)
            })
        });
        Ok(made)
    }

    fn infer(self, Made { run, read: input }: Made, skip: Option<Made>) -> Result<Made, Error> {
        let Block { filter, activation, epsilon, ids } = self;
        let (gpu, store) = (&*run.gpu, &run.store);
        let folded = run.folds().get(ids.kernel, || filter.fold(gpu, store, ids, epsilon))?;
        let convolved = View::empty(gpu, filter.output(input.view.shape()))?;
        let skip = skip.as_ref().map(|skip| skip.read.view.map());
        filter.infer(gpu, input.view.map().into(), &folded, activation.function, skip, convolved.map())?;
        let output = if activation.pool {
            // After the function instead of before: the same where it never falls, as SiLU does.
            assert!(activation.function != Nonlinearity::Silu, "a pool behind SiLU");
            let halved = View::empty(gpu, pooled_shape(&HALVING, convolved.shape()))?;
            pool(gpu, &HALVING, convolved.map(), halved.map());
            halved
        } else {
            convolved
        };
        Ok(Made::by(run.clone(), output).0)
    }
}

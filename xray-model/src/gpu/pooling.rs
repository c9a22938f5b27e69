//! Max and average pools.

use super::maps::{GpuMaps, Made};
use super::view::View;
use crate::layers::Maps;
use xray_gpu::{pool_gradient, pooled_shape};
use xray_kernels::Pool;

impl GpuMaps {
    pub(crate) fn pool(self, pool: Pool) -> Maps {
        self.then(|Made { run, read: input }| {
            let output = View::empty(&run.gpu, pooled_shape(&pool, input.view.shape()))?;
            xray_gpu::pool(&run.gpu, &pool, input.view.map(), output.map());
            let (made, gradient) = Made::by(run.clone(), output);
            run.record(move |back| {
                let grad_output = gradient.take();
                input.write_gradient(back.gpu, |grad_input| {
                    pool_gradient(back.gpu, &pool, input.view.map(), grad_output.map(), grad_input);
                    Ok(())
                })
            });
            Ok(made)
        })
    }
}

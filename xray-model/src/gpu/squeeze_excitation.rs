//! A factor for each channel, learned from the means of all (Hu et al., 2018).

use super::given::LinearIds;
use super::maps::{GpuMaps, Made};
use super::view::View;
use crate::layers::Maps;
use xray_gpu::{
    Buffer, Curve, Linear, activate, activate_gradient, gate, gate_gradient, global_average,
    global_average_gradient,
};

impl GpuMaps {
    /// `maps * sigmoid(second(silu(first(means of maps))))`; `squeezed` is the width in between.
    pub(crate) fn squeeze_excitation(self, ids: [LinearIds; 2], squeezed: usize) -> Maps {
        self.then(|Made { run, read: input }| {
            let (gpu, store, shape) = (&*run.gpu, &run.store, input.view.shape());
            let (images, channels) = (shape.images, shape.channels);
            let layers =
                [Linear { channels, classes: squeezed }, Linear { channels: squeezed, classes: channels }];
            let means = Buffer::empty(gpu, images * channels)?;
            global_average(gpu, input.view.map(), means.whole());
            // Of each layer: what it reads, what it makes, and the function of that.
            let mut read = means;
            let mut kept = Vec::new();
            for (layer, (ids, function)) in layers.into_iter().zip(ids.into_iter().zip(FUNCTIONS)) {
                let made = Buffer::empty(gpu, images * layer.classes)?;
                layer.forward(gpu, read.whole(), store.part(ids.weight), store.part(ids.bias), made.whole());
                let activated = Buffer::empty(gpu, made.len())?;
                activate(gpu, function, made.whole(), activated.whole());
                kept.push((layer, ids, function, std::mem::replace(&mut read, activated), made));
            }
            let factors = read;
            let output = View::empty(gpu, shape)?;
            gate(gpu, input.view.map(), factors.whole(), output.map());
            let (made, gradient) = Made::by(run.clone(), output);
            run.record(move |back| {
                let (gpu, grad_output) = (back.gpu, gradient.take());
                let mut grad = Buffer::empty(gpu, factors.len())?;
                input.write_gradient(gpu, |grad_input| {
                    let read = (input.view.map(), factors.whole());
                    gate_gradient(gpu, read, grad_output.map(), grad_input, grad.whole());
                    Ok(())
                })?;
                for (layer, ids, function, read, made) in kept.into_iter().rev() {
                    let grad_made = Buffer::empty(gpu, made.len())?;
                    activate_gradient(gpu, function, made.whole(), grad.whole(), grad_made.whole());
                    let grad_read = Buffer::empty(gpu, read.len())?;
                    layer.backward(
                        gpu,
                        (read.whole(), back.store.part(ids.weight)),
                        grad_made.whole(),
                        back.gradients.part(ids.weight),
                        back.gradients.part(ids.bias),
                        grad_read.whole(),
                    );
                    grad = grad_read;
                }
                input.write_gradient(gpu, |grad_input| {
                    global_average_gradient(gpu, grad.whole(), grad_input);
                    Ok(())
                })
            });
            Ok(made)
        })
    }
}

const FUNCTIONS: [Curve; 2] = [Curve::Silu, Curve::Sigmoid];

//! Multiply-adds of a forward pass, counted layer by layer as papers count them: convolutions and linear layers.

/// A sum that follows an image through a network.
pub(super) struct Cost {
    side: u64,
    multiply_adds: u64,
}

impl Cost {
    /// Of an image of so many pixels in width and height.
    pub(super) fn of_image(size: u32) -> Self {
        Cost { side: size.into(), multiply_adds: 0 }
    }

    /// A convolution that is padded by half its kernel.
    pub(super) fn convolution(
        &mut self,
        [channels_in, channels_out]: [usize; 2],
        kernel: usize,
        stride: usize,
    ) {
        self.stride(stride);
        self.multiply_adds += self.side.pow(2) * (channels_in * channels_out * kernel * kernel) as u64;
    }

    pub(super) fn depthwise(&mut self, channels: usize, kernel: usize, stride: usize) {
        self.convolution([1, channels], kernel, stride);
    }

    /// Every so many pixels in both directions, the first among them.
    pub(super) fn stride(&mut self, stride: usize) {
        self.side = self.side.div_ceil(stride as u64);
    }

    /// A 2×2 pool.
    pub(super) fn halve(&mut self) {
        self.side /= 2;
    }

    /// A linear layer of means over maps.
    pub(super) fn linear(&mut self, [features, outputs]: [usize; 2]) {
        self.multiply_adds += (features * outputs) as u64;
    }

    pub(super) fn multiply_adds(&self) -> u64 {
        self.multiply_adds
    }
}

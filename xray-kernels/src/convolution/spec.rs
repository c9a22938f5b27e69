//! What a convolution is.

/// A square convolution without groups, as PyTorch's `Conv2d`: weights `[out][in][kernel][kernel]`, zero padding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConvSpec {
    /// Channels of the input.
    pub in_channels: usize,
    /// Channels of the output.
    pub out_channels: usize,
    /// Rows and columns of the kernel.
    pub kernel: usize,
    /// Pixels between two outputs.
    pub stride: usize,
    /// Rings of zeros around the input.
    pub padding: usize,
}

impl ConvSpec {
    /// Weights.
    pub fn weight_len(&self) -> usize {
        self.out_channels * self.in_channels * self.kernel * self.kernel
    }

    /// Rows of output for rows of input, or columns for columns.
    ///
    /// # Panics
    /// If the kernel does not fit into the padded input.
    pub fn output_size(&self, size: usize) -> usize {
        let padded = size + 2 * self.padding;
        assert!(self.kernel > 0 && self.stride > 0, "{self:?} has no kernel or no stride");
        assert!(padded >= self.kernel, "a kernel of {} does not fit into {padded} pixels", self.kernel);
        (padded - self.kernel) / self.stride + 1
    }

    /// Multiplications and additions of the forward pass over an output of so many pixels, as GPUs count: two each.
    pub fn operations(&self, output_pixels: usize) -> f64 {
        2.0 * self.weight_len() as f64 * output_pixels as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_pytorchs() {
        let size = |kernel, stride, padding, input| {
            ConvSpec { in_channels: 1, out_channels: 1, kernel, stride, padding }.output_size(input)
        };
        assert_eq!(size(3, 1, 1, 128), 128);
        assert_eq!(size(7, 2, 3, 224), 112);
        assert_eq!(size(1, 2, 0, 7), 4);
        assert_eq!(size(3, 2, 1, 1), 1);
    }
}

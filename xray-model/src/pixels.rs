//! Images as they are handed to a network.

use std::borrow::Cow;

/// Gray pixels `[n, 1, size, size]`, whatever the network's channels.
#[derive(Clone, Copy, Debug)]
pub enum Pixels<'a> {
    /// Normalised.
    Floats(&'a [f32]),
    /// Levels of gray, and what each is when it is normalised. A GPU is sent these: a quarter of the bytes, which it
    /// normalises to the same bits.
    Levels {
        /// A byte a pixel.
        levels: &'a [u8],
        /// The value of each level.
        values: &'a [f32; 256],
    },
}

impl<'a> From<&'a [f32]> for Pixels<'a> {
    fn from(normalised: &'a [f32]) -> Self {
        Pixels::Floats(normalised)
    }
}

impl<'a> From<&'a Vec<f32>> for Pixels<'a> {
    fn from(normalised: &'a Vec<f32>) -> Self {
        Pixels::Floats(normalised)
    }
}

impl<'a> Pixels<'a> {
    /// How many there are.
    pub fn len(self) -> usize {
        match self {
            Pixels::Floats(floats) => floats.len(),
            Pixels::Levels { levels, .. } => levels.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// As floats.
    pub fn normalised(self) -> Cow<'a, [f32]> {
        match self {
            Pixels::Floats(floats) => floats.into(),
            Pixels::Levels { levels, values } => {
                levels.iter().map(|&level| values[usize::from(level)]).collect()
            }
        }
    }

    /// Parts of `length` pixels, and a shorter last one.
    pub fn chunks(self, length: usize) -> impl Iterator<Item = Pixels<'a>> {
        let starts = (0..self.len()).step_by(length);
        starts.map(move |start| {
            let range = start..(start + length).min(self.len());
            match self {
                Pixels::Floats(floats) => Pixels::Floats(&floats[range]),
                Pixels::Levels { levels, values } => Pixels::Levels { levels: &levels[range], values },
            }
        })
    }
}

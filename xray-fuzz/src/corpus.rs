//! Inputs of a kind: whole files, and files made of them that are damaged or lie. Each is a function of a seed and a
//! number.

use crate::mutate::mutate;
use clap::ValueEnum;
use xray_random::Random;

/// What is attacked with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Kind {
    /// DICOM files
    Dicom,
    /// JPEG and PNG files
    Image,
    /// Tables of labels
    Table,
    /// Conversations with a server
    Http,
    /// Archives of images and their table
    Archive,
}

impl Kind {
    /// Each of them.
    pub(crate) const ALL: [Kind; 5] = [Kind::Dicom, Kind::Image, Kind::Table, Kind::Http, Kind::Archive];

    /// As it is typed.
    pub(crate) fn name(self) -> &'static str {
        ["dicom", "image", "table", "http", "archive"][self as usize]
    }

    /// From which one of its inputs is drawn.
    pub(crate) fn random(self, seed: u64, number: u64) -> Random {
        Random::keyed(&[seed, self as u64, number])
    }
}

/// What the programs must do with a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Expected {
    /// Use it.
    Accepted,
    /// Name it and say what is wrong.
    Refused,
    /// One or the other.
    Either,
}

/// A file to begin with.
#[derive(Clone, Debug)]
pub(crate) struct Seed {
    pub(crate) name: String,
    pub(crate) bytes: Vec<u8>,
    pub(crate) expected: Expected,
}

impl Seed {
    pub(crate) fn new(name: impl Into<String>, expected: Expected, bytes: Vec<u8>) -> Seed {
        Seed { name: name.into(), bytes, expected }
    }
}

/// A file to try.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Input {
    pub(crate) number: u64,
    /// What it was made of.
    pub(crate) name: String,
    pub(crate) bytes: Vec<u8>,
    pub(crate) expected: Expected,
}

/// All files of a kind.
pub(crate) struct Corpus {
    kind: Kind,
    seed: u64,
    seeds: Vec<Seed>,
    /// A file that is well-formed or not, and lies about what is in it.
    liar: fn(&mut Random) -> Vec<u8>,
}

impl Corpus {
    pub(crate) fn new(kind: Kind, seed: u64, seeds: Vec<Seed>, liar: fn(&mut Random) -> Vec<u8>) -> Corpus {
        Corpus { kind, seed, seeds, liar }
    }

    pub(crate) fn kind(&self) -> Kind {
        self.kind
    }

    /// The files that are whole.
    #[cfg(test)]
    pub(crate) fn seeds(&self) -> &[Seed] {
        &self.seeds
    }

    /// The first ones are the whole files. Of the others two in five lie, and some of those are damaged too.
    pub(crate) fn input(&self, number: u64) -> Input {
        let whole = usize::try_from(number).ok().and_then(|number| self.seeds.get(number));
        if let Some(Seed { name, bytes, expected }) = whole {
            return Input { number, name: name.clone(), bytes: bytes.clone(), expected: *expected };
        }
        let mut random = self.kind.random(self.seed, number);
        let any = |random: &mut Random| &self.seeds[random.below(self.seeds.len())];
        let lies = random.below(5) < 2;
        let (name, mut bytes) = if lies {
            ("a lie".to_owned(), (self.liar)(&mut random))
        } else {
            let seed = any(&mut random);
            (seed.name.clone(), seed.bytes.clone())
        };
        if !lies || random.below(4) == 0 {
            let other = any(&mut random);
            mutate(&mut bytes, &other.bytes, &mut random);
        }
        Input { number, name, bytes, expected: Expected::Either }
    }
}

#[cfg(test)]
mod tests {
    use crate::{archive, dicom, image, table};

    #[test]
    fn an_input_is_a_function_of_seed_and_number() {
        for make in [dicom::corpus, image::corpus, table::corpus, archive::corpus] {
            let (first, again, other) = (make(0), make(0), make(1));
            let distinct = (0..200).filter(|&number| {
                assert_eq!(first.input(number), again.input(number), "{}", first.kind().name());
                first.input(number) != other.input(number)
            });
            assert!(distinct.count() > 100, "another seed gives other inputs");
        }
    }
}

//! Damage to bytes that are read without trust. Each is drawn from a stream of random numbers, so that the same stream
//! gives the same damage.

use xray_random::Random;

/// Numbers at which lengths, sides and counts go wrong, as 32 bits.
const EXTREMES: [u32; 16] = [
    0,
    1,
    2,
    0x7F,
    0x80,
    0xFF,
    0x100,
    0x7FFF,
    0x8000,
    0xFFFE,
    0xFFFF,
    0x0001_0000,
    0x7FFF_FFFF,
    0x8000_0000,
    0xFFFF_FFFE,
    0xFFFF_FFFF,
];

/// What nothing grows beyond.
const LONGEST: usize = 1 << 20;

/// Damages `bytes` in one to eight ways, mostly few. `other` is a file of the same kind, of which parts are taken.
pub(crate) fn mutate(bytes: &mut Vec<u8>, other: &[u8], random: &mut Random) {
    let times = 1 << random.below(4);
    for _ in 0..1 + random.below(times) {
        damage(bytes, other, random);
        bytes.truncate(LONGEST);
    }
}

fn damage(bytes: &mut Vec<u8>, other: &[u8], random: &mut Random) {
    if bytes.is_empty() {
        bytes.extend_from_slice(other);
    }
    if bytes.is_empty() {
        return;
    }
    let at = place(bytes.len(), random);
    match random.below(13) {
        0 => bytes[at] ^= 1 << random.below(8),
        1 => bytes[at] = extreme_byte(random),
        2 => bytes[at] = random.bits() as u8,
        3 => {
            let (end, value) = (at + random.below(bytes.len() - at + 1).min(64), extreme_byte(random));
            bytes[at..end].fill(value);
        }
        4 => bytes.truncate(at),
        5 => {
            let new: Vec<u8> = (0..1 + random.below(40)).map(|_| random.bits() as u8).collect();
            bytes.splice(at..at, new);
        }
        6 => {
            bytes.drain(range(bytes.len(), at, random));
        }
        7 => {
            let piece = bytes[range(bytes.len(), at, random)].to_vec();
            let to = place(bytes.len(), random);
            // Often once, seldom a thousand times.
            let times = 1 << (random.below(11) * random.below(2));
            bytes.splice(to..to, piece.repeat(times.min(LONGEST / piece.len().max(1))));
        }
        8 => swap(bytes, at, random),
        9 | 10 => number(bytes, at, random),
        11 => {
            let from = place(other.len(), random);
            bytes.truncate(at);
            bytes.extend_from_slice(other.get(from..).unwrap_or_default());
        }
        _ => {
            bytes[at] =
                if random.below(2) == 0 { bytes[at].wrapping_add(1) } else { bytes[at].wrapping_sub(1) }
        }
    }
}

/// Half of the places lie near the front, where headers are.
fn place(length: usize, random: &mut Random) -> usize {
    let near = random.below(2) == 0;
    random.below(if near { length.min(400) } else { length })
}

fn range(length: usize, from: usize, random: &mut Random) -> std::ops::Range<usize> {
    from..from + random.below((length - from).min(400) + 1)
}

fn extreme_byte(random: &mut Random) -> u8 {
    [0, 0xFF, 0x7F, 0x80][random.below(4)]
}

/// Overwrites 16 or 32 bits, in either byte order.
fn number(bytes: &mut [u8], at: usize, random: &mut Random) {
    let value = EXTREMES[random.below(EXTREMES.len())];
    let written: &[u8] = match random.below(4) {
        0 => &value.to_le_bytes(),
        1 => &value.to_be_bytes(),
        2 => &(value as u16).to_le_bytes(),
        _ => &(value as u16).to_be_bytes(),
    };
    bytes[at..].iter_mut().zip(written).for_each(|(byte, &new)| *byte = new);
}

/// Exchanges two pieces of one length.
fn swap(bytes: &mut [u8], first: usize, random: &mut Random) {
    let second = place(bytes.len(), random);
    let (low, high) = (first.min(second), first.max(second));
    let length = random.below((high - low).min(bytes.len() - high).min(400) + 1);
    let (front, back) = bytes.split_at_mut(high);
    front[low..low + length].swap_with_slice(&mut back[..length]);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mutated(number: u64) -> Vec<u8> {
        let mut bytes: Vec<u8> = (0..200).map(|at| at as u8).collect();
        mutate(&mut bytes, b"another file", &mut Random::keyed(&[0, number]));
        bytes
    }

    #[test]
    fn damage_is_a_function_of_the_stream() {
        for number in 0..2000 {
            assert_eq!(mutated(number), mutated(number));
            assert!(mutated(number).len() <= LONGEST);
        }
    }

    #[test]
    fn every_kind_of_damage_occurs() {
        let whole: Vec<u8> = (0..200).map(|at| at as u8).collect();
        let all: Vec<_> = (0..2000).map(mutated).collect();
        let share = |is: &dyn Fn(&[u8]) -> bool| all.iter().filter(|bytes| is(bytes)).count();
        assert!(share(&|bytes| bytes == whole) < 200, "hardly any is left as it was");
        assert!(share(&|bytes| bytes.len() < 100) > 50, "cut");
        assert!(share(&|bytes| bytes.len() > 10_000) > 5, "repeated");
        assert!(share(&|bytes| bytes.ends_with(b"file") || bytes.ends_with(b"le")) > 50, "spliced");
        assert!(share(&|bytes| bytes.windows(4).any(|four| four == [0xFF, 0xFF, 0xFF, 0x7F])) > 5, "lengths");
    }

    #[test]
    fn nothing_at_all_can_be_damaged() {
        let mut bytes = Vec::new();
        (0..100).for_each(|number| mutate(&mut bytes, b"", &mut Random::keyed(&[number])));
        assert!(bytes.is_empty());
    }
}

//! PNG files put together by hand, also such as no encoder writes.

/// A PNG of this header and these chunks; lengths and checksums are right.
pub(crate) fn png(chunks: &[(&[u8; 4], Vec<u8>)]) -> Vec<u8> {
    let mut file = b"\x89PNG\r\n\x1a\n".to_vec();
    for (kind, body) in chunks {
        let named = [&kind[..], body].concat();
        file.extend((body.len() as u32).to_be_bytes());
        file.extend(&named);
        file.extend(crc(&named).to_be_bytes());
    }
    file
}

/// The body of IHDR.
pub(crate) fn header(width: u32, height: u32, depth: u8, colour: u8, is_interlaced: bool) -> Vec<u8> {
    let sides = [width.to_be_bytes(), height.to_be_bytes()].concat();
    [&sides[..], &[depth, colour, 0, 0, u8::from(is_interlaced)]].concat()
}

/// A zlib stream of stored blocks, the body of IDAT.
pub(crate) fn stored(bytes: &[u8]) -> Vec<u8> {
    let mut stream = vec![0x78, 0x01];
    let mut blocks = bytes.chunks(65_535).peekable();
    while let Some(block) = blocks.next() {
        let length = block.len() as u16;
        stream.push(u8::from(blocks.peek().is_none()));
        stream.extend([length.to_le_bytes(), (!length).to_le_bytes()].concat());
        stream.extend(block);
    }
    let (a, b) = bytes.iter().fold((1_u32, 0_u32), |(a, b), &byte| {
        let a = (a + u32::from(byte)) % 65_521;
        (a, (a + b) % 65_521)
    });
    stream.extend((b << 16 | a).to_be_bytes());
    stream
}

/// The lines of an image of `bits` a pixel, in the order of the file: one after the other, or interlaced in seven passes.
/// `pixel` gives the bytes of one, or its bits, right-aligned, where these are fewer than eight.
pub(crate) fn lines(
    [width, height]: [usize; 2],
    bits: usize,
    is_interlaced: bool,
    pixel: impl Fn(usize, usize) -> Vec<u8>,
) -> Vec<u8> {
    let once = vec![[0, 0, 1, 1]];
    let adam7 = || {
        vec![[0, 0, 8, 8], [4, 0, 8, 8], [0, 4, 4, 8], [2, 0, 4, 4], [0, 2, 2, 4], [1, 0, 2, 2], [0, 1, 1, 2]]
    };
    let mut lines = Vec::new();
    for [left, top, right, down] in if is_interlaced { adam7() } else { once } {
        for y in (top..height).step_by(down).filter(|_| left < width) {
            lines.push(0); // no filter
            let pixels: Vec<_> = (left..width).step_by(right).map(|x| pixel(x, y)).collect();
            if bits >= 8 {
                lines.extend(pixels.concat());
                continue;
            }
            for packed in pixels.chunks(8 / bits) {
                let shifted = packed.iter().enumerate().map(|(at, value)| value[0] << (8 - bits * (at + 1)));
                lines.push(shifted.fold(0, |byte, value| byte | value));
            }
        }
    }
    lines
}

/// CRC-32 of a chunk's name and body.
pub(crate) fn crc(bytes: &[u8]) -> u32 {
    let step = |crc: u32, byte: &u8| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| crc >> 1 ^ 0xEDB8_8320 & (crc & 1).wrapping_neg())
    };
    !bytes.iter().fold(u32::MAX, step)
}

"""Writes the DICOM files of this folder but `gray-12-bit.dcm`: one picture in every coding that is read.

    python make.py        # needs pydicom, NumPy, imagecodecs and pyjpegls; made with pydicom 3.0, imagecodecs 2026.3, pyjpegls 1.5

The picture is a formula, which `tests/dicom/main.rs` has too. No patient, no device.
"""
import zlib
import imagecodecs
import jpeg_ls
import numpy as np
from pydicom import dcmread
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate, itemize_frame
from pydicom.pixels import apply_color_lut
from pydicom.pixels.encoders import RLELosslessEncoder
from pydicom import uid

HERE = __file__.rsplit("/", 1)[0] if "/" in __file__ else "."
ROWS, COLUMNS = 37, 50

y, x = np.mgrid[0:ROWS, 0:COLUMNS]
# A slope, a flat part, an edge and something like noise; 12 bits.
VALUES = np.where(x < 9, 700, x * 40 + y * 25 + (x * x * 7 + y * 13 + x * y * 5) % 64 + np.where(x > 30, 900, 0))
VALUES = VALUES.astype(np.uint16)
GRAY = (VALUES >> 4).astype(np.uint8)


def save(name, syntax, pixels, bits=12, signed=False, frame=None, **more):
    """`pixels` are bytes, or with `frame` a codestream."""
    d = Dataset()
    d.SOPClassUID, d.SOPInstanceUID = uid.ComputedRadiographyImageStorage, "1.2.3.4"
    d.PatientID = "P7"
    d.Rows, d.Columns, d.SamplesPerPixel = ROWS, COLUMNS, 1
    d.PhotometricInterpretation = "MONOCHROME2"
    d.BitsAllocated, d.BitsStored, d.HighBit = (8 if bits == 8 else 16), bits, bits - 1
    d.PixelRepresentation = int(signed)
    for key, value in more.items():
        setattr(d, key, value)
    d.PixelData = encapsulate(frame) if frame else pixels
    d["PixelData"].VR = "OB" if frame else "OW"
    d["PixelData"].is_undefined_length = bool(frame)
    d.file_meta = FileMetaDataset()
    d.file_meta.MediaStorageSOPClassUID, d.file_meta.MediaStorageSOPInstanceUID = d.SOPClassUID, d.SOPInstanceUID
    d.file_meta.TransferSyntaxUID = syntax
    d.save_as(f"{HERE}/{name}.dcm", enforce_file_format=True)


def even(codestream):
    return codestream + b"\0" * (len(codestream) % 2)


native = VALUES.astype("<u2").tobytes()
save("implicit", uid.ImplicitVRLittleEndian, native)
save("big-endian", uid.ExplicitVRBigEndian, VALUES.astype(">u2").tobytes())
save("deflated", uid.DeflatedExplicitVRLittleEndian, native)
rle = RLELosslessEncoder.encode(VALUES, bits_allocated=16, bits_stored=12, rows=ROWS, columns=COLUMNS,
                                samples_per_pixel=1, number_of_frames=1, pixel_representation=0,
                                photometric_interpretation="MONOCHROME2")
save("rle", uid.RLELossless, None, frame=[even(rle)])
for predictor in range(1, 8):
    stream = imagecodecs.jpeg8_encode(VALUES, lossless=True, predictor=predictor, bitspersample=12)
    save(f"jpeg-lossless-{predictor}", uid.JPEGLosslessSV1 if predictor == 1 else uid.JPEGLossless, None,
         frame=[even(stream)])
save("jpeg-extended", uid.JPEGExtended12Bit, None, frame=[even(imagecodecs.jpeg8_encode(VALUES, level=98, bitspersample=12))])
jpeg = even(imagecodecs.jpeg8_encode(GRAY, level=95))
save("jpeg-baseline", uid.JPEGBaseline8Bit, None, bits=8, frame=[jpeg])
save("jpeg-ls", uid.JPEGLSLossless, None, frame=[even(imagecodecs.jpegls_encode(VALUES))])
save("jpeg-ls-near", uid.JPEGLSNearLossless, None, frame=[even(imagecodecs.jpegls_encode(VALUES, level=3))])
save("jpeg-2000", uid.JPEG2000Lossless, None,
     frame=[even(imagecodecs.jpeg2k_encode(VALUES, level=0, codecformat="j2k", bitspersample=12, reversible=True))])
save("jpeg-2000-signed", uid.JPEG2000Lossless, None, signed=True,
     frame=[even(imagecodecs.jpeg2k_encode(VALUES.astype(np.int16) - 2048, level=0, codecformat="j2k", bitspersample=12,
                                           reversible=True))])
save("jpeg-2000-lossy", uid.JPEG2000, None,
     frame=[even(imagecodecs.jpeg2k_encode(VALUES, level=70, codecformat="j2k", bitspersample=12))])

# A palette of gray content, its darkest entry last, as some secondary captures have; pydicom reads the picture out of it.
ENTRIES = (np.arange(255, -1, -1) * 257).astype("<u2")
PALETTE = {"PhotometricInterpretation": "PALETTE COLOR"}
for colour in ["Red", "Green", "Blue"]:
    PALETTE[f"{colour}PaletteColorLookupTableDescriptor"] = [256, 0, 16]
    PALETTE[f"{colour}PaletteColorLookupTableData"] = ENTRIES.tobytes()
indices = 255 - GRAY
save("palette", uid.ExplicitVRLittleEndian, even(indices.tobytes()), bits=8, **PALETTE)
rle = RLELosslessEncoder.encode(indices, bits_allocated=8, bits_stored=8, rows=ROWS, columns=COLUMNS, samples_per_pixel=1,
                                number_of_frames=1, pixel_representation=0, photometric_interpretation="PALETTE COLOR")
save("palette-rle", uid.RLELossless, None, bits=8, frame=[even(rle)], **PALETTE)
for name in ["palette", "palette-rle"]:
    d = dcmread(f"{HERE}/{name}.dcm")
    assert (apply_color_lut(d.pixel_array, d) == GRAY[..., None].astype(int) * 257).all()

# Colours: in three scans, line by line and pixel by pixel.
RGB = np.stack([GRAY, 255 - GRAY, GRAY // 2], axis=-1)
for near, name in [(0, "jpeg-ls-colour"), (2, "jpeg-ls-colour-near")]:
    for mode, what in enumerate(["scans", "lines", "pixels"]):
        pixels = RGB if mode else np.ascontiguousarray(RGB.transpose(2, 0, 1))
        stream = bytes(jpeg_ls.encode_array(pixels, lossy_error=near, interleave_mode=mode))
        save(f"{name}-{what}", uid.JPEGLSNearLossless if near else uid.JPEGLSLossless, None, bits=8, frame=[even(stream)],
             SamplesPerPixel=3, PhotometricInterpretation="RGB", PlanarConfiguration=0)

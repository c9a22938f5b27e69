"""Writes the JPEG files of this folder and, as PNG, the gray pixels that libjpeg decodes them to.

    python make.py        # needs Pillow and NumPy; made with Pillow 13.0 on libjpeg-turbo 3.2
"""
import numpy as np
from PIL import Image

HERE = __file__.rsplit("/", 1)[0] if "/" in __file__ else "."


def picture(width, height):
    """Soft gradients, a hard edge and noise: coefficients of every size."""
    y, x = np.mgrid[0:height, 0:width]
    noise = np.random.default_rng(1).normal(0, 12, (height, width))
    value = 128 + 90 * np.sin(x / 9.0) * np.cos(y / 7.0) + noise + 60 * (x > width * 0.6)
    return np.clip(value, 0, 255).astype(np.uint8)


def save(name, image, **options):
    path = f"{HERE}/{name}.jpg"
    image.save(path, "JPEG", **options)
    decoded = Image.open(path)
    decoded.draft("L", decoded.size)  # of a colour picture: its luma, before any conversion
    Image.fromarray(np.asarray(decoded)).save(f"{HERE}/{name}.png", optimize=True)


gray = Image.fromarray(picture(83, 45))
save("gray-q90", gray, quality=90)
save("gray-q15", gray, quality=15)
save("gray-q100-optimised", gray, quality=100, optimize=True)
save("gray-restarts", gray, quality=75, restart_marker_blocks=5)
save("gray-progressive", gray, quality=85, progressive=True)
red, blue = Image.fromarray(picture(83, 45)[::-1]), gray.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
save("colour-420", Image.merge("RGB", (red, gray, blue)), quality=85, subsampling="4:2:0")

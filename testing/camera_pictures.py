"""Pictures as camera drivers encode them, computed without OpenCV."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from sensor_msgs.msg import Image

from rlt_core.records import ImageArray

BORDER = 2  # pixels beside an edge whose colours some encodings mix
CLOSE = 4  # how far, of 255, 8-bit YUV is from the RGB that it was made of


def quadrants(noise: np.random.Generator, size: int = 64) -> ImageArray:
    """Four squares of one colour each, RGB, uint8 (size, size, 3)."""
    colours = noise.integers(0, 256, (2, 2, 3), np.uint8)
    return colours.repeat(size // 2, axis=0).repeat(size // 2, axis=1)


def encoded(picture: ImageArray, encoding: str, padding: int = 0) -> Image:
    """A picture as a driver sends it, each row padded with so many bytes of value 255."""
    height, width = picture.shape[:2]
    rows = ENCODERS[encoding](picture)
    rows = np.pad(rows, ((0, 0), (0, padding)), constant_values=255)
    return Image(
        height=height, width=width, encoding=encoding, step=rows.shape[1], data=rows.tobytes()
    )


def is_seen(found: ImageArray, picture: ImageArray, encoding: str) -> bool:
    """Whether an image is what can be seen of such a picture in such an encoding."""
    expected = picture[:, :, 1:2] if encoding.startswith("mono") else picture
    off = np.abs(found.astype(int) - expected)
    half = len(picture) // 2
    inner = np.arange(len(picture)) % half
    inside = (inner >= BORDER) & (inner < half - BORDER)
    return bool((off[inside][:, inside] <= CLOSE).all())


def _channels(order: list[int]) -> Callable[[ImageArray], ImageArray]:
    """RGB and an opaque alpha channel, in this order."""

    def rows(picture: ImageArray) -> ImageArray:
        opaque = np.full_like(picture[:, :, :1], 255)
        return np.concatenate((picture, opaque), axis=2)[:, :, order].reshape(len(picture), -1)

    return rows


def _mono16(picture: ImageArray) -> ImageArray:
    """Green as 16 bits, little-endian."""
    low = np.full_like(picture[:, :, 1], 85)
    return np.stack((low, picture[:, :, 1]), axis=2).reshape(len(picture), -1)


def _yuv(picture: ImageArray) -> tuple[ImageArray, ImageArray, ImageArray]:
    """Y, U, V of each pixel after ITU-R BT.601, Y from 16 to 235."""
    red, green, blue = np.moveaxis(picture / 255.0, 2, 0)
    y = 16 + 65.481 * red + 128.553 * green + 24.966 * blue
    u = 128 - 37.797 * red - 74.203 * green + 112.0 * blue
    v = 128 + 112.0 * red - 93.786 * green - 18.214 * blue
    return tuple(np.rint(plane).astype(np.uint8) for plane in (y, u, v))


def _packed(brightness: int) -> Callable[[ImageArray], ImageArray]:
    """YUV 4:2:2: bytes of Y at this position of each pair, U and V at the other."""

    def rows(picture: ImageArray) -> ImageArray:
        y, u, v = _yuv(picture)
        stored = np.empty((len(picture), 2 * picture.shape[1]), np.uint8)
        stored[:, brightness::2] = y
        stored[:, 1 - brightness :: 4] = u[:, ::2]
        stored[:, 3 - brightness :: 4] = v[:, ::2]
        return stored

    return rows


def _planar(first: int) -> Callable[[ImageArray], ImageArray]:
    """YUV 4:2:0: all Y, then rows of U and V in turns, beginning with U (0) or V (1)."""

    def rows(picture: ImageArray) -> ImageArray:
        y, u, v = _yuv(picture)
        colours = np.empty_like(y[::2])
        colours[:, first::2] = u[::2, ::2]
        colours[:, 1 - first :: 2] = v[::2, ::2]
        return np.concatenate((y, colours))

    return rows


def _mosaic(pattern: str) -> Callable[[ImageArray], ImageArray]:
    """One colour per pixel; the pattern names those of two rows with two pixels each."""

    def rows(picture: ImageArray) -> ImageArray:
        stored = np.empty(picture.shape[:2], np.uint8)
        for place, colour in enumerate(pattern):
            part = np.s_[place // 2 :: 2, place % 2 :: 2]
            stored[part] = picture[part][:, :, "rgb".index(colour)]
        return stored

    return rows


ENCODERS: dict[str, Callable[[ImageArray], ImageArray]] = {
    "rgb8": _channels([0, 1, 2]),
    "bgr8": _channels([2, 1, 0]),
    "rgba8": _channels([0, 1, 2, 3]),
    "bgra8": _channels([2, 1, 0, 3]),
    "mono8": _channels([1]),
    "mono16": _mono16,
    "16UC1": _mono16,
    "yuyv": _packed(0),
    "yuv422_yuy2": _packed(0),
    "uyvy": _packed(1),
    "yuv422": _packed(1),
    "nv12": _planar(0),
    "nv21": _planar(1),
    "bayer_rggb8": _mosaic("rggb"),
    "bayer_bggr8": _mosaic("bggr"),
    "bayer_gbrg8": _mosaic("gbrg"),
    "bayer_grbg8": _mosaic("grbg"),
}

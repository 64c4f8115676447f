"""Decodes what camera drivers send: raw images of the usual encodings, JPEG and PNG.

OpenCV converts, not cv_bridge: the cv_bridge wheel knows neither YUV nor mono16 nor bayer_grbg8,
and none of its versions reads every row padding. Where it can, it calls the same OpenCV functions.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from sensor_msgs.msg import CompressedImage, Image

from rlt_core.records import ImageArray
from rlt_node.conversions import image_rows


@dataclass(frozen=True)
class Encoding:
    """How an encoding stores an image, and how it becomes RGB.

    Attributes:
        pixel_bytes: Bytes of a pixel; without its colour, where that has rows of its own.
        conversion: OpenCV's code of the conversion to RGB, None if it is RGB.
        block: Columns and rows of pixels that share their colour.
        colour_rows: Rows of colours per block, stored after all other rows.
    """

    pixel_bytes: int
    conversion: int | None
    block: tuple[int, int] = (1, 1)
    colour_rows: int = 0


_UYVY = Encoding(2, cv2.COLOR_YUV2RGB_UYVY, block=(2, 1))
_YUYV = Encoding(2, cv2.COLOR_YUV2RGB_YUYV, block=(2, 1))
MONO16 = "mono16"
ENCODINGS = {
    "rgb8": Encoding(3, None),
    "bgr8": Encoding(3, cv2.COLOR_BGR2RGB),
    "rgba8": Encoding(4, cv2.COLOR_RGBA2RGB),
    "bgra8": Encoding(4, cv2.COLOR_BGRA2RGB),
    "mono8": Encoding(1, cv2.COLOR_GRAY2RGB),
    MONO16: Encoding(2, cv2.COLOR_GRAY2RGB),
    "yuyv": _YUYV,
    "yuv422_yuy2": _YUYV,
    "uyvy": _UYVY,
    "yuv422": _UYVY,
    "nv12": Encoding(1, cv2.COLOR_YUV2RGB_NV12, block=(2, 2), colour_rows=1),
    "nv21": Encoding(1, cv2.COLOR_YUV2RGB_NV21, block=(2, 2), colour_rows=1),
    # OpenCV names a pattern after its second row and column: its BG is the RGGB of ROS.
    "bayer_rggb8": Encoding(1, cv2.COLOR_BayerBG2RGB),
    "bayer_bggr8": Encoding(1, cv2.COLOR_BayerRG2RGB),
    "bayer_gbrg8": Encoding(1, cv2.COLOR_BayerGR2RGB),
    "bayer_grbg8": Encoding(1, cv2.COLOR_BayerGB2RGB),
}
DEPTH = ("16UC1", "32FC1")
FILES = {b"\xff\xd8\xff": b"\xff\xd9", b"\x89PNG": b"IEND"}
"""How the data of a JPEG and of a PNG begins, and what is at its end."""


def decoded(message: Image | CompressedImage) -> ImageArray:
    """The image of a message as RGB, uint8 (height, width, 3); a view of an rgb8 message.

    Of 16 bits the upper 8 are used, so values must fill the 16 bits. A JPEG that is cut off is
    noticed; one that is damaged inside may not be, since it has no checksum.

    Raises:
        ValueError: If it is not a colour or grey image, or its data is damaged.
    """
    if isinstance(message, CompressedImage):
        return _opened(message)
    return _converted(message)


def _converted(message: Image) -> ImageArray:
    encoding = ENCODINGS.get(message.encoding)
    if encoding is None:
        raise ValueError(_refusal(message.encoding))
    columns, rows = encoding.block
    if message.width % columns or message.height % rows:
        raise ValueError(
            f"image is {message.width} x {message.height}, but {message.encoding} stores colours "
            f"for {columns} x {rows} pixels at once: set a size in the driver that these divide"
        )
    stored_rows = message.height + message.height // rows * encoding.colour_rows
    stored = image_rows(message, message.width * encoding.pixel_bytes, stored_rows)
    pixels: ImageArray = stored.reshape(stored_rows, message.width, encoding.pixel_bytes)
    if message.encoding == MONO16:
        pixels = pixels[:, :, 0 if message.is_bigendian else 1]
    return pixels if encoding.conversion is None else _rgb(pixels, encoding.conversion)


def _refusal(encoding: str) -> str:
    found = f"image encoding is {encoding!r}"
    expected = f"expected one of {', '.join(ENCODINGS)}"
    if encoding in DEPTH:
        return f"{found}, which is depth, {expected}: use the camera's colour topic"
    if encoding.startswith("8UC"):
        return (
            f"{found}, which does not tell the colours' order, {expected}: set the driver's "
            "encoding to rgb8 or bgr8, whichever its data is (to mono8 if it is grey)"
        )
    return f"{found}, {expected}: set the driver's encoding to one of these"


def _opened(message: CompressedImage) -> ImageArray:
    found = f"format of the compressed image is {message.format!r}"
    # compressed_image_transport writes "rgb8; jpeg compressed bgr8", many drivers "jpeg" alone.
    if "compressedDepth" in message.format or message.format.startswith(DEPTH):
        raise ValueError(
            f"{found}, which is depth, expected a colour or grey image as jpeg or png: use the "
            "camera's colour topic"
        )
    data = message.data.tobytes()
    end = next((FILES[begin] for begin in FILES if data.startswith(begin)), None)
    if end is None:
        raise ValueError(
            f"{found} and its data begins with {data[:4]!r}, expected jpeg or png: set the format "
            "of the driver's compressed images to jpeg"
        )
    # Some versions of OpenCV fill what is missing of a JPEG with grey or with an earlier image.
    image = _from_file(data) if end in data else None
    if image is None:
        raise ValueError(
            f"{found} and its {len(data)} bytes are cut off or damaged, expected a complete jpeg "
            "or png: check the camera's cable and the bandwidth to its driver"
        )
    return image


def _from_file(data: bytes) -> ImageArray | None:
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    except cv2.error:  # some damage raises, other damage yields None
        return None
    return None if image is None else _rgb(image, cv2.COLOR_BGR2RGB)


def _rgb(pixels: NDArray[Any], conversion: int) -> ImageArray:
    return np.asarray(cv2.cvtColor(pixels, conversion), np.uint8)

"""Fits an image to the size that the model expects."""

from __future__ import annotations

import cv2
import numpy as np

from rlt_core.records import ImageArray

STRETCH, CROP, PAD = "stretch", "crop", "pad"
FITS = (STRETCH, CROP, PAD)


def fitted(image: ImageArray, width: int, height: int, fit: str) -> ImageArray:
    """An image in the given size; itself if it has that size.

    Args:
        image: RGB, uint8 (rows, columns, 3).
        width: Width of the result.
        height: Height of the result.
        fit: How another aspect ratio is treated. "stretch" distorts the image, "crop" cuts off
            equally at both sides, "pad" adds black borders, as openpi's resize_with_pad does.

    Returns:
        RGB, uint8 (height, width, 3).

    Raises:
        ValueError: If the fit is unknown.
    """
    if fit not in FITS:
        raise ValueError(f"fit is {fit!r}, expected one of {', '.join(FITS)}: correct it")
    if image.shape[:2] == (height, width):
        return image
    if fit == PAD:
        return _padded(image, width, height)
    part = _cropped(image, width, height) if fit == CROP else image
    return _resized(part, width, height)


def _cropped(image: ImageArray, width: int, height: int) -> ImageArray:
    """The central part with the aspect ratio of width and height; a view."""
    rows, columns = image.shape[:2]
    part_columns = max(1, min(columns, rows * width // height))
    part_rows = max(1, min(rows, columns * height // width))
    left, top = (columns - part_columns) // 2, (rows - part_rows) // 2
    return image[top : top + part_rows, left : left + part_columns]


def _padded(image: ImageArray, width: int, height: int) -> ImageArray:
    rows, columns = image.shape[:2]
    # Whole numbers: openpi's quotients of floats may lose the last row or column.
    inner_width = max(1, min(width, columns * height // rows))
    inner_height = max(1, min(height, rows * width // columns))
    left, top = (width - inner_width) // 2, (height - inner_height) // 2
    padded = np.zeros((height, width, 3), np.uint8)
    inner = _resized(image, inner_width, inner_height)
    padded[top : top + inner_height, left : left + inner_width] = inner
    return padded


def _resized(image: ImageArray, width: int, height: int) -> ImageArray:
    rows, columns = image.shape[:2]
    # Where INTER_AREA enlarges it repeats pixels; openpi interpolates between them.
    grows = width > columns or height > rows
    interpolation = cv2.INTER_LINEAR if grows else cv2.INTER_AREA
    return np.asarray(cv2.resize(image, (width, height), interpolation=interpolation), np.uint8)

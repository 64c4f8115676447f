"""Where the pixels of an image are once it fits the model's size."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rlt_policy.observer.image_fit import CROP, FITS, PAD, STRETCH, fitted

SIDES = st.integers(16, 120)
LOW, HIGH = 60, 200  # values of the ruler image's red and green


def rulers(columns: int, rows: int) -> np.ndarray:
    """Red tells the column and green the row, from LOW to HIGH; blue is full."""
    image = np.full((rows, columns, 3), 255, np.uint8)
    image[:, :, 0] = np.rint(np.linspace(LOW, HIGH, columns))
    image[:, :, 1] = np.rint(np.linspace(LOW, HIGH, rows))[:, None]
    return image


def scales(columns: int, rows: int, width: int, height: int, fit: str) -> tuple[float, float]:
    """Pixels of the image per pixel of the result, along both sides."""
    along, down = columns / width, rows / height
    if fit == STRETCH:
        return along, down
    common = min(along, down) if fit == CROP else max(along, down)
    return common, common


@given(SIDES, SIDES, SIDES, SIDES, st.sampled_from(FITS))
def test_what_is_seen_is_where_the_scale_puts_it(columns, rows, width, height, fit):
    found = fitted(rulers(columns, rows), width, height, fit)
    assert found.dtype == np.uint8 and found.shape == (height, width, 3)
    seen = found[:, :, 2] == 255
    assert seen.any()
    for channel, side, size, scale in zip(
        (0, 1), (columns, rows), (width, height),
        scales(columns, rows, width, height, fit), strict=True,
    ):
        # The centre of the result shows the centre of the image; the rest follows by the scale.
        place = (side - 1) / 2 + (np.arange(size) - (size - 1) / 2) * scale
        place = place[None, :] if channel == 0 else place[:, None]
        value = LOW + (HIGH - LOW) * np.clip(place, 0, side - 1) / (side - 1)
        pixel = (HIGH - LOW) / (side - 1)
        off = np.abs(found[:, :, channel].astype(int) - value)[seen]
        assert off.max() <= 1.5 * pixel * max(scale, 1.0) + 1, (channel, off.max())


@given(SIDES, SIDES, SIDES, SIDES)
def test_only_padding_adds_pixels_and_they_are_black_borders(columns, rows, width, height):
    image = rulers(columns, rows)
    for fit in (STRETCH, CROP):
        assert (fitted(image, width, height, fit)[:, :, 2] == 255).all()
    padded = fitted(image, width, height, PAD)
    seen = padded[:, :, 2] == 255
    assert not padded[~seen].any()
    down, along = np.flatnonzero(seen.any(axis=1)), np.flatnonzero(seen.any(axis=0))
    assert seen[down[0] : down[-1] + 1, along[0] : along[-1] + 1].all()
    assert len(down) == height or len(along) == width
    for found, size in ((down, height), (along, width)):
        assert 0 <= (size - 1 - found[-1]) - found[0] <= 1, "equal, the odd one below or right"
    # Neither side is more than one pixel short of the image's aspect ratio.
    assert abs(len(along) * rows - len(down) * columns) <= max(columns, rows)


@given(SIDES, SIDES, st.sampled_from(FITS))
def test_an_image_of_the_right_size_is_itself(columns, rows, fit):
    image = rulers(columns, rows)
    assert fitted(image, columns, rows, fit) is image


@given(SIDES, SIDES, SIDES, SIDES, st.sampled_from(FITS))
def test_what_fits_does_not_change_any_more(columns, rows, width, height, fit):
    once = fitted(rulers(columns, rows), width, height, fit)
    np.testing.assert_array_equal(fitted(once.copy(), width, height, fit), once)


@pytest.mark.parametrize(
    ("columns", "rows", "size", "inner", "corner"),
    [
        (640, 480, 224, (224, 168), (0, 28)),
        (1280, 720, 224, (224, 126), (0, 49)),
        (641, 480, 224, (224, 167), (0, 28)),  # 57 rows of border: 28 above and 29 below
        (480, 640, 224, (168, 224), (28, 0)),
        (65, 65, 224, (224, 224), (0, 0)),
    ],
)
def test_borders_are_those_of_openpi(columns, rows, size, inner, corner):
    padded = fitted(np.full((rows, columns, 3), 9, np.uint8), size, size, PAD)
    down, along = np.nonzero(padded[:, :, 0])
    assert (along.min(), down.min()) == corner
    assert (along.max() - along.min() + 1, down.max() - down.min() + 1) == inner


@pytest.mark.parametrize(
    ("fit", "expected"), [(STRETCH, (14, 90)), (CROP, (0, 90)), (PAD, (14, 81))]
)
def test_a_mark_lands_where_the_fit_puts_it(fit, expected):
    image = np.zeros((480, 640, 3), np.uint8)
    image[384:390, 80:88] = 255  # 80 columns are what a crop to a square cuts off at each side
    found = fitted(image, 112, 112, fit)
    down, along = np.unravel_index(found[:, :, 0].argmax(), found.shape[:2])
    assert np.abs(np.subtract((along, down), expected)).max() <= 1, (along, down)


@pytest.mark.parametrize("fit", FITS)
def test_a_smaller_image_is_interpolated_and_not_made_of_blocks(fit):
    image = np.zeros((2, 2, 3), np.uint8)
    image[:, 1] = 200
    row = fitted(image, 16, 16, fit)[0, :, 0].astype(int)
    assert (row[0], row[-1]) == (0, 200) and np.diff(row).max() < 30


@pytest.mark.parametrize("fit", FITS)
@pytest.mark.parametrize(("columns", "rows"), [(1, 1), (300, 1), (1, 300)])
def test_an_extreme_shape_still_gives_an_image(columns, rows, fit):
    image = np.full((rows, columns, 3), 9, np.uint8)
    found = fitted(image, 8, 8, fit)
    assert found.shape == (8, 8, 3) and found.max() == 9


def test_an_unknown_fit_is_refused():
    with pytest.raises(ValueError, match="fit is 'letterbox', expected one of stretch, crop, pad"):
        fitted(np.zeros((4, 4, 3), np.uint8), 4, 4, "letterbox")

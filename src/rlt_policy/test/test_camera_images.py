"""What the observer makes of a camera's message."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from camera_pictures import encoded, quadrants
from sensor_msgs.msg import CompressedImage

from rlt_core.contract import CameraSpec
from rlt_node.conversions import image_from_msg, image_to_msg, stamp_of_tick
from rlt_policy.observer.camera_images import camera_image
from rlt_policy.observer.image_fit import CROP, PAD, STRETCH


def test_an_image_that_fits_is_not_touched():
    image = image_to_msg(np.zeros((6, 8, 3), np.uint8), stamp_of_tick(1, 50.0), "wrist")
    assert camera_image(image, CameraSpec("wrist", 8, 6)) is image


def test_a_bgr_image_is_turned():
    picture = np.full((6, 8, 3), (10, 20, 30), np.uint8)
    image = image_to_msg(picture, stamp_of_tick(1, 50.0), "wrist")
    image.encoding = "bgr8"
    fitted = camera_image(image, CameraSpec("wrist", 8, 6))
    assert fitted.encoding == "rgb8"
    np.testing.assert_array_equal(image_from_msg(fitted), picture[:, :, ::-1])


def test_rows_that_are_padded_lose_their_padding():
    image = image_to_msg(np.full((6, 9, 3), 7, np.uint8), stamp_of_tick(1, 50.0), "wrist")
    image.width = 8  # each row ends with three bytes that belong to no pixel
    fitted = camera_image(image, CameraSpec("wrist", 8, 6))
    assert (fitted.width, fitted.step, len(fitted.data)) == (8, 24, 144)


@pytest.mark.parametrize(
    "broken", [{"width": 0, "height": 0, "step": 0, "data": b""}, {"data": b"1" * 143}]
)
def test_an_image_that_is_not_what_its_header_says_is_refused(broken):
    image = image_to_msg(np.zeros((6, 8, 3), np.uint8), stamp_of_tick(1, 50.0), "wrist")
    for name, value in broken.items():
        setattr(image, name, value)
    with pytest.raises(ValueError, match="header and data disagree"):
        camera_image(image, CameraSpec("wrist", 8, 6))


def test_a_larger_image_is_reduced():
    picture = np.full((12, 16, 3), (10, 20, 30), np.uint8)
    image = image_to_msg(picture, stamp_of_tick(1, 50.0), "wrist")
    fitted = image_from_msg(camera_image(image, CameraSpec("wrist", 8, 6)))
    np.testing.assert_array_equal(fitted, picture[::2, ::2])


@pytest.mark.parametrize(
    ("fit", "rows"), [(STRETCH, range(8)), (CROP, range(8)), (PAD, range(2, 6))]
)
def test_another_aspect_ratio_is_fitted(fit, rows):
    message = encoded(np.full((8, 16, 3), 7, np.uint8), "bgra8")
    fitted = image_from_msg(camera_image(message, CameraSpec("wrist", 8, 8), fit))
    assert list(np.flatnonzero((fitted == 7).all(axis=(1, 2)))) == list(rows)


@pytest.mark.parametrize("encoding", ["rgb8", "yuyv"])
def test_a_larger_image_keeps_its_stamp_and_frame(encoding):
    message = encoded(quadrants(np.random.default_rng(0)), encoding)
    message.header.stamp, message.header.frame_id = stamp_of_tick(7, 50.0), "wrist_optical"
    assert camera_image(message, CameraSpec("wrist", 8, 6)).header == message.header


def test_a_compressed_image_becomes_what_the_contract_asks_for():
    picture = np.full((12, 16, 3), (10, 120, 230), np.uint8)
    data = cv2.imencode(".png", picture[:, :, ::-1])[1].tobytes()
    message = CompressedImage(format="rgb8; png compressed bgr8", data=data)
    message.header.frame_id = "wrist_optical"
    fitted = camera_image(message, CameraSpec("wrist", 8, 6))
    np.testing.assert_array_equal(image_from_msg(fitted), picture[::2, ::2])
    assert (fitted.encoding, fitted.header) == ("rgb8", message.header)

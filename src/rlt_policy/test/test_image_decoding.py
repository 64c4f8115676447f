"""Every encoding gives the colours that the camera saw, or one sentence that tells why not."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from camera_pictures import encoded, is_seen, quadrants
from cv_bridge import CvBridge
from hypothesis import given
from hypothesis import strategies as st
from sensor_msgs.msg import CompressedImage, Image

from rlt_policy.observer.image_decoding import ENCODINGS, decoded

README = Path(__file__).resolve().parents[1] / "README.md"
PICTURE = quadrants(np.random.default_rng(3))
SIZES = st.integers(1, 12).map(lambda half: 2 * half)
BRIDGED = (
    "rgb8", "bgr8", "rgba8", "bgra8", "mono8", "bayer_rggb8", "bayer_bggr8", "bayer_gbrg8",
)
JPEG_CLOSE = 12  # of 255: what compression may change of a square's colour


def compressed(picture: np.ndarray, suffix: str, form: str) -> CompressedImage:
    data = cv2.imencode(suffix, picture[:, :, ::-1] if picture.ndim == 3 else picture)[1]
    return CompressedImage(format=form, data=data.tobytes())


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_the_colours_are_those_of_the_picture(encoding, seed):
    picture = quadrants(np.random.default_rng(seed))
    found = decoded(encoded(picture, encoding))
    assert found.dtype == np.uint8 and found.shape == picture.shape
    assert is_seen(found, picture, encoding)


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_the_readme_names_the_encoding(encoding):
    assert f"`{encoding}`" in README.read_text(encoding="utf-8")


@pytest.mark.parametrize("encoding", BRIDGED)
def test_the_pixels_are_those_of_cv_bridge(encoding):
    noise = np.random.default_rng(4).integers(0, 256, (12, 16, 3), np.uint8)
    message = encoded(noise, encoding)
    np.testing.assert_array_equal(decoded(message), CvBridge().imgmsg_to_cv2(message, "rgb8"))


@given(st.sampled_from(list(ENCODINGS)), SIZES, SIZES, st.integers(1, 9), st.integers(0, 2**32))
def test_padding_of_the_rows_changes_nothing(encoding, width, height, padding, seed):
    picture = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    padded = encoded(picture, encoding, padding)
    np.testing.assert_array_equal(decoded(padded), decoded(encoded(picture, encoding)))


@given(st.sampled_from(list(ENCODINGS)), st.integers(1, 64 * 64))
def test_data_that_is_cut_off_is_refused(encoding, missing):
    message = encoded(PICTURE, encoding)
    message.data = message.data[:-missing]
    with pytest.raises(ValueError, match="holds .* expected .* header and data disagree"):
        decoded(message)


def test_an_rgb_image_is_not_copied():
    message = encoded(PICTURE, "rgb8", padding=5)
    assert np.shares_memory(decoded(message), np.frombuffer(message.data, np.uint8))


@pytest.mark.parametrize(("big", "seen"), [(0, 0xCD), (1, 0xAB)])
def test_of_16_bits_the_upper_8_are_seen_in_either_byte_order(big, seen):
    data = bytes((0xAB, 0xCD)) * 6
    message = Image(
        width=3, height=2, encoding="mono16", step=6, is_bigendian=big, data=data
    )
    np.testing.assert_array_equal(decoded(message), np.full((2, 3, 3), seen, np.uint8))


@pytest.mark.parametrize(
    ("encoding", "words"),
    [
        ("16UC1", ("is '16UC1', which is depth", "bayer_grbg8: use the camera's colour topic")),
        ("32FC1", ("is '32FC1', which is depth", "use the camera's colour topic")),
        ("8UC3", ("is '8UC3'", "colours' order", "set the driver's encoding to rgb8 or bgr8")),
        ("rgb16", ("is 'rgb16', expected one of rgb8, bgr8", "set the driver's encoding to one")),
        ("", ("is '', expected one of rgb8, bgr8",)),
    ],
)
def test_another_encoding_is_refused_with_the_remedy(encoding, words):
    message = encoded(PICTURE, "rgb8")
    message.encoding = encoding
    with pytest.raises(ValueError) as refused:
        decoded(message)
    assert all(word in str(refused.value) for word in words), refused.value


@pytest.mark.parametrize(
    ("encoding", "width", "height"), [("yuyv", 5, 4), ("uyvy", 5, 4), ("nv12", 4, 5)]
)
def test_a_size_that_cannot_have_its_colours_is_refused(encoding, width, height):
    message = Image(
        width=width, height=height, encoding=encoding, step=2 * width, data=bytes(200)
    )
    with pytest.raises(ValueError, match=f"{width} x {height}.*set a size in the driver"):
        decoded(message)


@pytest.mark.parametrize(
    ("suffix", "form", "tolerance"),
    [
        (".jpg", "jpeg", JPEG_CLOSE),
        (".jpg", "rgb8; jpeg compressed bgr8", JPEG_CLOSE),
        (".jpg", "bgr8; jpeg compressed bgr8", JPEG_CLOSE),
        (".jpg", "", JPEG_CLOSE),
        (".png", "png", 0),
        (".png", "rgb8; png compressed bgr8", 0),
    ],
)
def test_jpeg_and_png_of_every_transport_are_seen(suffix, form, tolerance):
    found = decoded(compressed(PICTURE, suffix, form))
    assert found.dtype == np.uint8 and found.shape == PICTURE.shape
    off = np.abs(found.astype(int) - PICTURE)
    assert np.median(off, axis=(0, 1)).max() <= tolerance


@pytest.mark.parametrize(
    ("suffix", "form"),
    [(".jpg", "mono8; jpeg compressed "), (".png", "mono8; png compressed ")],
)
def test_grey_files_are_seen(suffix, form):
    grey = np.full((16, 16), 77, np.uint8)
    np.testing.assert_array_equal(
        decoded(compressed(grey, suffix, form)), np.full((16, 16, 3), 77, np.uint8)
    )


def test_of_a_png_of_16_bits_the_upper_8_are_seen():
    grey = np.full((16, 16), 0xABCD, np.uint16)
    found = decoded(compressed(grey, ".png", "mono16; png compressed "))
    np.testing.assert_array_equal(found, np.full((16, 16, 3), 0xAB, np.uint8))


@given(st.sampled_from([".jpg", ".png"]), st.floats(0.1, 0.999))
def test_a_file_that_is_cut_off_is_refused(suffix, part):
    message = compressed(PICTURE, suffix, suffix[1:])
    message.data = message.data[: int(part * (len(message.data) - 4))]
    with pytest.raises(ValueError, match=f"format .* is '{suffix[1:]}'.* cut off or damaged"):
        decoded(message)


def test_a_jpeg_of_which_only_the_frame_is_left_is_refused():
    message = CompressedImage(format="jpeg", data=b"\xff\xd8\xff\xe0" + bytes(50) + b"\xff\xd9")
    with pytest.raises(ValueError, match="its 56 bytes are cut off or damaged, expected .*: check"):
        decoded(message)


def test_what_a_camera_sends_after_a_jpeg_is_ignored():
    message = compressed(PICTURE, ".jpg", "jpeg")
    message.data = message.data.tobytes() + bytes(3000)
    assert decoded(message).shape == PICTURE.shape


@pytest.mark.parametrize(
    "form", ["16UC1; compressedDepth png", "32FC1; compressedDepth rvl", "16UC1; png compressed "]
)
def test_compressed_depth_is_refused(form):
    message = compressed(np.zeros((16, 16), np.uint16), ".png", form)
    with pytest.raises(ValueError, match=f"is '{form}', which is depth, .*colour topic"):
        decoded(message)


@pytest.mark.parametrize("data", [b"", b"\0\0\0\1\x67\x42"])
def test_another_format_is_refused(data):
    with pytest.raises(ValueError, match="is 'h264' and its data begins with .*set the format"):
        decoded(CompressedImage(format="h264", data=data))

"""Camera images as the contract asks for them, whatever the driver sends."""

from __future__ import annotations

from sensor_msgs.msg import CompressedImage, Image

from rlt_core.contract import CameraSpec
from rlt_node.conversions import image_to_msg
from rlt_policy.observer.image_decoding import decoded
from rlt_policy.observer.image_fit import STRETCH, fitted


def camera_image(
    message: Image | CompressedImage, spec: CameraSpec, fit: str = STRETCH
) -> Image:
    """The image in the contract's size and encoding; the message itself if it already has them.

    Args:
        message: What the driver sent.
        spec: What the contract asks for.
        fit: How another aspect ratio is treated, see `image_fit.fitted`.

    Raises:
        ValueError: If the image cannot be decoded, or the fit is unknown.
    """
    if isinstance(message, Image) and _matches(message, spec):
        return message
    image = fitted(decoded(message), spec.width, spec.height, fit)
    return image_to_msg(image, message.header.stamp, message.header.frame_id)


def _matches(message: Image, spec: CameraSpec) -> bool:
    found = (message.width, message.height, message.encoding, message.step, len(message.data))
    row = 3 * spec.width
    return found == (spec.width, spec.height, spec.encoding, row, row * spec.height)

"""A few pictures of one episode, for the report."""

from __future__ import annotations

from pathlib import Path

from rlt_core.records import ImageArray, Observation

FRAMES = 8


class FrameStrip:
    """Keeps the images of an episode and saves some of them, evenly spaced."""

    def __init__(self, folder: Path, name: str) -> None:
        """Start empty.

        Args:
            folder: Where the pictures go; made when they are saved.
            name: Their first word, e.g. "base_eval".
        """
        self._folder = folder
        self._name = name
        self._images: list[dict[str, ImageArray]] = []

    def add(self, observation: Observation) -> None:
        """Keep the images of an observation."""
        self._images.append(observation.images)

    def save(self) -> None:
        """Write `<name>_<camera>_<k>.png`.

        Raises:
            OSError: If a picture cannot be written.
        """
        import cv2  # an episode in a hundred pays for it

        self._folder.mkdir(parents=True, exist_ok=True)
        count = min(FRAMES, len(self._images))
        for k in range(count):
            index = k * (len(self._images) - 1) // max(count - 1, 1)
            for camera, image in self._images[index].items():
                path = self._folder / f"{self._name}_{camera}_{k}.png"
                if not cv2.imwrite(str(path), cv2.cvtColor(image, cv2.COLOR_RGB2BGR)):
                    raise OSError(f"cannot write {path}: check the disk")

"""A few pictures of the evaluations, for the report."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from rlt_core.records import EpisodeKind, EpisodeState, Observation

FRAMES = 8
PICTURED = (EpisodeKind.BASE_EVAL, EpisodeKind.EVAL)


class FrameStrip:
    """Keeps the images of an episode and saves some of them, evenly spaced."""

    def __init__(self, folder: Path, name: str) -> None:
        """Start empty.

        Args:
            folder: Where the pictures go; made when they are saved.
            name: Their prefix, e.g. "base_eval".
        """
        self._folder = folder
        self._name = name
        self._observations: list[Observation] = []

    def add(self, observation: Observation) -> None:
        """Keep an observation."""
        self._observations.append(observation)

    def save(self, start_tick: int) -> None:
        """Write `<name>_<camera>_<k>.png`.

        Args:
            start_tick: First tick of the episode; a new subscription delivers older observations.

        Raises:
            OSError: If a picture cannot be written.
        """
        import cv2  # one episode in a hundred needs it

        self._folder.mkdir(parents=True, exist_ok=True)
        seen = [item for item in self._observations if item.tick >= start_tick]
        count = min(FRAMES, len(seen))
        for k in range(count):
            index = k * (len(seen) - 1) // max(count - 1, 1)
            for camera, image in seen[index].images.items():
                path = self._folder / f"{self._name}_{camera}_{k}.png"
                if not cv2.imwrite(str(path), cv2.cvtColor(image, cv2.COLOR_RGB2BGR)):
                    raise OSError(f"cannot write {path}: check the disk")


class Pictures:
    """Takes the strips of the first episode of each evaluation; a missing one ends no run."""

    def __init__(self, folder: Path | None, say: Callable[[str], None]) -> None:
        """Start without a picture.

        Args:
            folder: Where the pictures go; None takes no pictures.
            say: Called with the reason why a strip could not be saved.
        """
        self._folder = folder
        self._say = say
        self._taken: set[EpisodeKind] = set()
        self._episode = 0
        self.strip: FrameStrip | None = None

    def begin(self, state: EpisodeState) -> bool:
        """Whether to picture the episode that is being reset; if so, `add` its observations."""
        if self._folder is None or state.kind not in PICTURED or state.kind in self._taken:
            return False
        self._taken.add(state.kind)
        self._episode = state.episode
        self.strip = FrameStrip(self._folder, state.kind.name.lower())
        return True

    def add(self, observation: Observation) -> None:
        """Keep an observation of the pictured episode."""
        if self.strip is not None:
            self.strip.add(observation)

    def end(self, state: EpisodeState) -> bool:
        """Save the strip if its episode has ended; return whether it has."""
        if self.strip is None or state.episode != self._episode:
            return False
        try:
            self.strip.save(state.start_tick)
        except OSError as error:
            self._say(f"the report will lack pictures of episode {state.episode}: {error}")
        self.strip = None
        return True

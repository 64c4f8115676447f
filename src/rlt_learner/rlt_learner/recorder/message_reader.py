"""What the recorder accepts: only records of the contract's sizes."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import numpy as np

from rlt_core.contract import Contract
from rlt_core.records import ControlStep, Features, Observation
from rlt_interfaces.msg import ControlStep as StepMessage
from rlt_interfaces.msg import Features as FeaturesMessage
from rlt_interfaces.msg import Observation as ObservationMessage
from rlt_node.conversions import features_from_msg, observation_from_msg, step_from_msg

Message = TypeVar("Message")
Record = TypeVar("Record")


class MessageReader:
    """Reads messages; those that do not fit the contract are logged once, counted and dropped.

    Attributes:
        dropped: Messages that were dropped.
    """

    def __init__(self, contract: Contract, say: Callable[[str], None], strict: bool) -> None:
        """Begin with nothing dropped.

        Args:
            contract: Contract of the run.
            say: Called with what is wrong with a topic, once until a valid message comes.
            strict: Raise instead where windows need the record, as lockstep does.
        """
        self.dropped = 0
        self._contract = contract
        self._say = say
        self._strict = strict
        self._wrong: set[str] = set()

    def features(self, message: FeaturesMessage) -> Features | None:
        """State and reference of a stride tick; None if the message was dropped.

        Raises:
            ValueError: If it does not fit the contract, and that must end the run.
        """
        return self._take("features", message, self._features, self._strict)

    def step(self, message: StepMessage) -> ControlStep | None:
        """What was sent at a tick; None if the message was dropped.

        Raises:
            ValueError: If it does not fit the contract, and that must end the run.
        """
        return self._take("control_step", message, self._step, self._strict)

    def observation(self, message: ObservationMessage) -> Observation | None:
        """What the cameras saw, for the pictures only; None if the message was dropped."""
        return self._take("observation", message, self._observation, strict=False)

    def _take(
        self, topic: str, message: Message, read: Callable[[Message], Record], strict: bool
    ) -> Record | None:
        try:
            record = read(message)
        except ValueError as error:
            if strict:
                raise
            self.dropped += 1
            if topic not in self._wrong:
                self._wrong.add(topic)
                self._say(f"{topic}: {error}; such messages are dropped")
            return None
        self._wrong.discard(topic)
        return record

    def _features(self, message: FeaturesMessage) -> Features:
        contract = self._contract
        contract.require(message.contract_hash, "the policy")
        features = features_from_msg(message)
        tick, axes = features.tick, contract.action.size
        _require("token", features.token, (contract.token_size,), tick, "policy")
        _require("proprio", features.proprio, (contract.proprio.size,), tick, "policy")
        _require("reference", features.reference, (contract.chunk, axes), tick, "policy")
        return features

    def _step(self, message: StepMessage) -> ControlStep:
        step = step_from_msg(message)
        axes = (self._contract.action.size,)
        _require("increment", step.increment, axes, step.tick, "chunk controller")
        return step

    def _observation(self, message: ObservationMessage) -> Observation:
        observation = observation_from_msg(message)
        found = {name: image.shape for name, image in observation.images.items()}
        cameras = self._contract.cameras
        expected = {camera.name: (camera.height, camera.width, 3) for camera in cameras}
        if found != expected:
            raise ValueError(
                f"the images of tick {observation.tick} have shapes {found}, the contract expects "
                f"{expected}: start recorder and observer with the same model"
            )
        return observation


def _require(
    name: str, array: np.ndarray, shape: tuple[int, ...], tick: int, sender: str
) -> None:
    if array.shape != shape:
        raise ValueError(
            f"`{name}` of tick {tick} has shape {array.shape}, the contract expects {shape}: start "
            f"recorder and {sender} with the same model"
        )

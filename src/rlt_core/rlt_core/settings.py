"""The suite's settings: frozen dataclasses whose fields carry description and range.

Each dataclass is used in four places: the in-process runner constructs it, a node declares its
fields as ROS parameters, `config/rlt.yaml` holds the same names (a test compares them), and the
package READMEs list them.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

T = TypeVar("T")
WORDS = {
    float: "a number", int: "a whole number", bool: "true or false",
    str: 'text (write a number as text in quotes: \'"7"\')',
}
"""What a setting of each type must be, for error messages."""


def setting(
    default: Any,
    description: str,
    *,
    low: float | None = None,
    high: float | None = None,
    choices: tuple[str, ...] = (),
    path: bool = False,
) -> Any:
    """Declare one setting.

    Args:
        default: Default value; its type is the setting's type.
        description: One sentence with the unit.
        low: Smallest allowed value.
        high: Largest allowed value.
        choices: Allowed strings.
        path: Whether it is a path in which `~` is the home folder.

    Returns:
        A dataclass field with all of this as metadata.
    """
    metadata = {
        "description": description, "low": low, "high": high, "choices": choices, "path": path,
    }
    if isinstance(default, list):
        return field(default_factory=lambda: list(default), metadata=metadata)
    return field(default=default, metadata=metadata)


def validate(settings: Any) -> None:
    """Check every setting against its range.

    Raises:
        ValueError: If a setting is out of range; names all of them, with value and bound.
    """
    errors = []
    for item in dataclasses.fields(settings):
        value, rule = getattr(settings, item.name), item.metadata
        values = value if isinstance(value, list) else [value]
        for element in values:
            if rule.get("low") is not None and element < rule["low"]:
                errors.append(f"{item.name} = {element} is below {rule['low']}")
            if rule.get("high") is not None and element > rule["high"]:
                errors.append(f"{item.name} = {element} is above {rule['high']}")
            if rule.get("choices") and element not in rule["choices"]:
                errors.append(f"{item.name} = {element!r} is not one of {rule['choices']}")
    if errors:
        raise ValueError(f"{type(settings).__name__}: " + "; ".join(errors))


def fit(name: str, value: Any, example: Any) -> Any:
    """Convert a value as a user writes it: 1 for a float, 1e3 for an integer.

    Args:
        name: Name of the setting, for the error.
        value: What was written.
        example: A value of the setting's type; for a list, one with an element.

    Returns:
        The value in the type of the example.

    Raises:
        ValueError: If it cannot be converted to that type.
    """
    if isinstance(example, list) and isinstance(value, Iterable) and not isinstance(value, str):
        return [fit(name, element, example[0]) for element in value]
    kind = type(example)
    if isinstance(value, kind) and not (kind is int and isinstance(value, bool)):
        return value
    if kind is float and isinstance(value, (int, str)) and not isinstance(value, bool):
        try:
            return float(value)  # 3e-4 is text in YAML and a number in ROS
        except ValueError:
            pass
    if kind is int and isinstance(value, float) and value.is_integer():
        return int(value)
    if kind is bool and value in (0, 1):
        return bool(value)
    expected = f"a list, each {WORDS[type(example[0])]}" if kind is list else WORDS[kind]
    raise ValueError(f"{name} is {value!r}, expected {expected}")


def example_of(item: dataclasses.Field[Any]) -> Any:
    """A value of a setting's type; for a list, one with an element."""
    default = default_of(item)
    if default == []:
        return [""] if item.type in ("list[str]", list[str]) else [0.0]
    return default


def default_of(item: dataclasses.Field[Any]) -> Any:
    """The default of a setting."""
    if item.default_factory is not dataclasses.MISSING:
        return item.default_factory()
    return item.default


def flat(settings: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield nested settings as (dotted name, value)."""
    for name, value in settings.items():
        if isinstance(value, Mapping):
            yield from flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def build(cls: type[T], values: Mapping[str, Any]) -> T:
    """Construct settings from a mapping and validate them.

    Raises:
        ValueError: If a name is unknown, or a value is of another type or out of range.
    """
    known = {item.name: item for item in dataclasses.fields(cls)}  # type: ignore[arg-type]
    unknown = sorted(set(values) - set(known))
    if unknown:
        raise ValueError(f"{cls.__name__} has no setting {', '.join(unknown)}")
    fitted = {name: fit(name, value, example_of(known[name])) for name, value in values.items()}
    for name, value in fitted.items():
        if known[name].metadata.get("path"):
            fitted[name] = os.path.expanduser(value)
    made = cls(**fitted)
    validate(made)
    return made


@dataclass(frozen=True)
class AgentSettings:
    """The chunk actor-critic (RL Token paper, section on online RL; defaults of our own tuning)."""

    gamma: float = setting(0.98, "discount per control tick", low=0.0, high=1.0)
    beta_sum: float = setting(
        0.07, "weight of the squared distance to the reference, summed over chunk x axes", low=0.0
    )
    exploration_noise: float = setting(
        0.09, "standard deviation of per-tick exploration, in normalised action units", low=0.0
    )
    exploration_noise_chunk: float = setting(
        0.05, "standard deviation of exploration that is constant over a chunk, normalised", low=0.0
    )
    target_policy_noise: float = setting(
        0.05, "target-policy smoothing noise, normalised units", low=0.0
    )
    target_policy_noise_clip: float = setting(0.1, "bound of the smoothing noise", low=0.0)
    reference_dropout: float = setting(
        0.5, "probability that the actor's reference input is zeroed in training", low=0.0, high=1.0
    )
    hidden_dim: int = setting(256, "width of both hidden layers", low=1)
    learning_rate: float = setting(3e-4, "Adam step size of actor and critics", low=0.0)
    batch_size: int = setting(128, "transitions per update", low=1)
    tau: float = setting(0.005, "target network step per update", low=0.0, high=1.0)
    policy_delay: int = setting(2, "critic updates per actor update", low=1)


@dataclass(frozen=True)
class TrainingSettings:
    """How many updates the trainer runs, and when."""

    updates_per_chunk: float = setting(
        5.0, "critic updates per C newly executed ticks", low=0.0
    )
    warmup_episodes: int = setting(
        40, "episodes of the base policy that pre-fill the replay buffer", low=1
    )
    warmup_bc_updates: int = setting(
        500, "pure imitation updates of the actor after warm-up", low=0
    )
    warmup_critic_updates: int = setting(1000, "critic-only updates after warm-up", low=0)
    replay_capacity: int = setting(200_000, "transitions kept in memory", low=1)


@dataclass(frozen=True)
class ChunkSettings:
    """How late chunks and takeovers are handled."""

    max_stretch_ticks: int = setting(
        10, "longest bridging of a late chunk by the previous chunk's reference tail, ticks", low=0
    )
    blend_ticks: int = setting(5, "ticks over which a takeover's command is blended in", low=0)
    human_silence_ticks: int = setting(
        10, "ticks without a command after which the operator counts as absent", low=1
    )
    operator_required: bool = setting(
        False, "whether the policy acts only while an operator can take over"
    )


@dataclass(frozen=True)
class ScheduleSettings:
    """Which episodes a run consists of."""

    base_eval_episodes: int = setting(100, "evaluation episodes of the base policy", low=0)
    episodes: int = setting(220, "training episodes including warm-up", low=1)
    eval_episodes: int = setting(100, "evaluation episodes of the trained policy", low=0)
    seed: int = setting(0, "seed of the run", low=0)
    time_limit_ticks: int = setting(480, "longest critical phase, control ticks", low=1)
    time_limit: str = setting(
        "failure", "what reaching a time limit means", choices=("failure", "truncation")
    )
    full_task: bool = setting(
        False, "whether episodes begin with an approach by the base policy, until a handover"
    )
    approach_limit_ticks: int = setting(
        400, "longest approach of a full-task episode, control ticks", low=1
    )
    label_needs_id_ticks: int = setting(
        20, "first ticks of an episode in which a label must name its episode", low=0
    )

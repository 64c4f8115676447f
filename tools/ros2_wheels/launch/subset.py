"""The errors for what this subset lacks."""

from collections.abc import Callable
from typing import NoReturn

REMEDY = (
    "is not part of the launch subset that stands in where ROS 2 comes from Python wheels "
    "(its README lists what is); a ROS 2 Jazzy installation has it"
)


class NotInSubset(ImportError):
    """A feature of the original that this subset lacks."""

    def __init__(self, feature: str) -> None:
        super().__init__(f"{feature} {REMEDY}")


def refuse_missing(module: str) -> Callable[[str], NoReturn]:
    """Make a module's `__getattr__`, which names what `from module import X` did not find."""

    def refuse(name: str) -> NoReturn:
        if name.startswith("_"):  # Python itself looks for these
            raise AttributeError(name)
        raise NotInSubset(f"{module}.{name}")

    return refuse


def refuse_unknown(owner: object, keywords: dict[str, object]) -> None:
    """Raise NotInSubset where a constructor was given keywords that it does not know."""
    if keywords:
        raise NotInSubset(f"{type(owner).__name__}({', '.join(keywords)}=...)")

"""The type of everything that becomes text when the launch runs."""

from collections.abc import Iterable
from os import PathLike

from launch.substitution import Substitution

SomeSubstitutionsType = str | PathLike[str] | Substitution | Iterable[str | Substitution]

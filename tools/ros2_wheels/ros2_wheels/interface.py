"""`ros2 interface`: list, package, show."""

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ament_index_python.resources import get_resource, get_resources

from ros2_wheels.errors import CommandError
from ros2_wheels.parser import Parser, add_verbs

RESOURCE = "rosidl_interfaces"  # where the ament index keeps what a package defines
KINDS = {"msg": "Messages", "srv": "Services", "action": "Actions"}


def add_to(commands: Any) -> None:
    """Add `interface` and its verbs to the commands."""
    verbs = add_verbs(commands, "interface", help="interface types", parser_class=Parser)
    parser = verbs.add_parser("list", help="names of all types")
    for kind in KINDS:
        parser.add_argument(
            f"-{kind[0]}", f"--only-{kind}s", dest="only", action="store_const", const=kind
        )
    parser.set_defaults(run=list_interfaces)

    parser = verbs.add_parser("package", help="types of one package")
    parser.add_argument("package_name")
    parser.set_defaults(run=list_package)

    parser = verbs.add_parser("show", help="definition of a type, with those of its fields")
    parser.add_argument("type")
    parser.add_argument("--no-comments", action="store_true")
    parser.set_defaults(run=show)


def interfaces_of(package: str) -> list[str]:
    """The types that a package defines, as `package/kind/Type`, sorted.

    Raises:
        CommandError: there is no such package, or it defines none.
    """
    try:
        content, _ = get_resource(RESOURCE, package)
    except LookupError:
        raise CommandError(
            f"package '{package}' defines no interfaces; see `ros2 interface list`"
        ) from None
    files = (line.rpartition(".") for line in content.splitlines())
    return sorted(f"{package}/{stem}" for stem, _, suffix in files if suffix == "idl")


def list_interfaces(arguments: argparse.Namespace) -> None:
    """Print all types, by kind."""
    names = [name for package in get_resources(RESOURCE) for name in interfaces_of(package)]
    for kind, title in KINDS.items():
        if arguments.only in (None, kind):
            print(f"{title}:")
            for name in sorted(name for name in names if f"/{kind}/" in name):
                print(f"    {name}")


def list_package(arguments: argparse.Namespace) -> None:
    """Print the types of one package."""
    print(*interfaces_of(arguments.package_name), sep="\n")


def show(arguments: argparse.Namespace) -> None:
    """Print a definition; below each field of a message type, indented, that type's own."""
    print(*definition(arguments.type, not arguments.no_comments), sep="\n")


def definition(name: str, comments: bool, depth: int = 0) -> Iterator[str]:
    """The lines of a definition.

    Args:
        name: `package/kind/Type`, or `package/Type` for a message.
        comments: whether to give the comments of the type; those of nested types are left out.
        depth: how deep the type is nested.

    Raises:
        CommandError: there is no such type.
    """
    package, *middle, type_name = name.split("/")
    kind = middle[0] if middle else "msg"
    try:
        _, prefix = get_resource(RESOURCE, package)
        path = Path(prefix) / "share" / package / kind / f"{type_name}.{kind}"
        lines = path.read_text(encoding="utf-8").splitlines()
    except (LookupError, ValueError, OSError):
        raise CommandError(f"type '{name}' not found; see `ros2 interface list`") from None
    for line in lines:
        code = line.partition("#")[0].rstrip()
        if not comments and not code:
            continue
        yield "\t" * depth + (line if comments else code)
        field_type = code.split("[")[0].split("<")[0].split(" ")[0]
        if nested := _message_type(field_type, package):
            yield from definition(nested, comments=False, depth=depth + 1)


def _message_type(field_type: str, package: str) -> str | None:
    """The full name of a field's message type; None for a primitive type."""
    if "/" in field_type:
        return field_type
    if field_type == "Header":
        return "std_msgs/Header"
    return f"{package}/{field_type}" if field_type[:1].isupper() else None

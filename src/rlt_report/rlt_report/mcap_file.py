"""ROS 2 messages in an MCAP file, which Foxglove and rosbag2 open."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from ament_index_python.packages import get_package_share_directory
from mcap.well_known import MessageEncoding, Profile, SchemaEncoding
from mcap.writer import Writer

from rlt_node.conversions import serialised

CHUNK_BYTES = 64 * 1024
"""All complete chunks of a truncated file can be recovered: little is lost."""
SEPARATOR = "\n" + 80 * "=" + "\n"  # between the definitions of a schema, as in MCAP's registry


class Stamped(NamedTuple):
    """A message and its times in nanoseconds.

    Attributes:
        log_time: Orders the messages of the file.
        publish_time: The time that the message describes.
        topic: Its topic.
        sequence: Its number within the topic.
        message: A ROS message.
    """

    log_time: int
    publish_time: int
    topic: str
    sequence: int
    message: Any


def write_mcap(
    stream: BinaryIO,
    topics: Mapping[str, type],
    messages: Iterable[Stamped],
    facts: Mapping[str, str],
    attachments: Mapping[str, bytes],
) -> None:
    """Write a complete file in small chunks, each compressed and with a checksum.

    Args:
        stream: Where to.
        topics: Topic -> type of its messages.
        messages: In order of their log time.
        facts: Metadata record `rlt`.
        attachments: Name -> content.
    """
    writer = Writer(stream, chunk_size=CHUNK_BYTES, enable_data_crcs=True)
    writer.start(profile=Profile.ROS2)
    writer.add_metadata("rlt", dict(facts))
    for name, data in attachments.items():
        writer.add_attachment(0, 0, name, "text/plain", data)
    channels = {topic: _channel(writer, topic, kind) for topic, kind in topics.items()}
    for item in messages:
        writer.add_message(
            channels[item.topic], item.log_time, serialised(item.message), item.publish_time,
            item.sequence,
        )
    writer.finish()


def _channel(writer: Writer, topic: str, kind: type) -> int:
    package, name = kind.__module__.split(".")[0], kind.__name__
    schema = writer.register_schema(
        f"{package}/msg/{name}", SchemaEncoding.ROS2, definition(package, name).encode()
    )
    qos = {"offered_qos_profiles": ""}  # the profile requires the key; a log has no QoS
    return writer.register_channel(topic, MessageEncoding.CDR, schema, qos)


def definition(package: str, name: str) -> str:
    """The definition of a message type, followed by those of all types that it contains."""
    types, texts = [(package, name)], []
    for kind in types:  # grows
        package, name = kind
        share = Path(get_package_share_directory(package))
        texts.append((share / "msg" / f"{name}.msg").read_text(encoding="utf-8"))
        fields = getattr(import_module(f"{package}.msg"), name).get_fields_and_field_types()
        nested = [pair for each in fields.values() for pair in re.findall(r"(\w+)/(\w+)", each)]
        types += [pair for pair in dict.fromkeys(nested) if pair not in types]
    heads = [""] + [f"{SEPARATOR}MSG: {package}/{name}\n" for package, name in types[1:]]
    return "".join(head + text for head, text in zip(heads, texts, strict=True))

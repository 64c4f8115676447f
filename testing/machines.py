"""Two machines and the link between them: network namespaces of this one, joined by a veth pair."""

from __future__ import annotations

import contextlib
import ctypes
import subprocess
from collections.abc import Iterator
from pathlib import Path

PROFILE = Path(__file__).resolve().parents[1] / "config" / "dds" / "machines.xml"
CLONE_NEWNET = 0x40000000
CABLE = "cable"
BRIDGE = "bridge"


class Machine:
    """A separate network and host name, which end with this process, however it ends.

    Attributes:
        name: Its host name.
        address: Its IPv4 address on the link.
        command: Prefix of a command that runs there.
    """

    def __init__(self, name: str, address: str) -> None:
        """Make the namespaces.

        Raises:
            OSError: If this is not permitted here, or a tool is missing.
        """
        self.name, self.address = name, address
        # The holder lives as long as our end of its pipe, and the namespaces as long as the holder.
        self._holder = subprocess.Popen(
            ["unshare", "--net", "--uts", "sh", "-c",
             f"hostname {name} && ip link set lo up && echo made && exec cat"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        if self._holder.stdout.readline() != "made\n":
            raise OSError(f"no network namespace: {self._holder.communicate()[1].strip()}")
        self.pid = self._holder.pid
        self.command = ("nsenter", "--target", str(self.pid), "--net", "--uts", "--")

    def run(self, *command: str) -> None:
        """Run a command there, to its end.

        Raises:
            OSError: If it fails.
        """
        done = subprocess.run([*self.command, *command], stderr=subprocess.PIPE, text=True)
        if done.returncode:
            raise OSError(f"{' '.join(command)}: {done.stderr.strip()}")

    @contextlib.contextmanager
    def entered(self) -> Iterator[None]:
        """Let the calling thread, and the threads that it starts, use that machine's network."""
        with open("/proc/thread-self/ns/net") as home, open(f"/proc/{self.pid}/ns/net") as there:
            _set_namespace(there.fileno())
            try:
                yield
            finally:
                _set_namespace(home.fileno())

    def close(self) -> None:
        """End the machine; the processes there lose their network when they end."""
        self._holder.communicate()


class TwoMachines:
    """A robot and a trainer on one link.

    Attributes:
        robot: The machine that a cut link must not affect.
        trainer: The machine of the learner.
    """

    def __init__(self, bridged: bool = False) -> None:
        """Make and connect them.

        Args:
            bridged: Give each its address on a bridge, which works with and without the cable.

        Raises:
            OSError: If this is not permitted here, or a tool is missing.
        """
        with contextlib.ExitStack() as made:
            self.robot = Machine("robot", "10.77.0.1")
            made.callback(self.robot.close)
            self.trainer = Machine("trainer", "10.77.0.2")
            made.callback(self.trainer.close)
            self._connect(bridged)
            self._made = made.pop_all()

    def _connect(self, bridged: bool) -> None:
        self.robot.run(
            "ip", "link", "add", "name", CABLE, "type", "veth",
            "peer", "name", CABLE, "netns", str(self.trainer.pid),
        )
        for machine in (self.robot, self.trainer):
            interface = BRIDGE if bridged else CABLE
            if bridged:
                _bridge(machine)
            machine.run("ip", "link", "set", CABLE, "up")
            machine.run("ip", "address", "add", f"{machine.address}/24", "dev", interface)

    def discovery(self, folder: Path) -> dict[str, str]:
        """Write the DDS profile for these machines; return the environment that chooses it."""
        text = PROFILE.read_text()
        for example, machine in (("192.168.10.2", self.robot), ("192.168.10.3", self.trainer)):
            assert example in text
            text = text.replace(example, machine.address)
        (folder / PROFILE.name).write_text(text)
        return {
            "FASTRTPS_DEFAULT_PROFILES_FILE": str(folder / PROFILE.name),
            "ROS_AUTOMATIC_DISCOVERY_RANGE": "SYSTEM_DEFAULT",
        }

    def cut(self) -> None:
        """Pull the cable out of the robot."""
        self.robot.run("ip", "link", "set", CABLE, "down")

    def reconnect(self) -> None:
        """Plug it in again."""
        self.robot.run("ip", "link", "set", CABLE, "up")

    def close(self) -> None:
        """End both machines."""
        self._made.close()


def _bridge(machine: Machine) -> None:
    """Put the cable into a bridge, and a port that keeps it running."""
    machine.run("ip", "link", "add", "name", BRIDGE, "type", "bridge")
    machine.run("ip", "link", "add", "name", "kept", "type", "veth", "peer", "name", "keeper")
    for port in ("kept", CABLE):
        machine.run("ip", "link", "set", port, "master", BRIDGE)
    for name in ("kept", "keeper", BRIDGE):
        machine.run("ip", "link", "set", name, "up")


def _set_namespace(descriptor: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(descriptor, CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "setns")

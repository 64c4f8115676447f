"""The constants on which all nodes of a run must agree."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from rlt_core.contract import Contract
from rlt_core.robot.robot_file import Robot, read_robot
from rlt_core.settings import setting


@dataclass(frozen=True)
class GraphSettings:
    """The run's constants: the same for all nodes, set by the launch file."""

    model: str = setting(
        "", "folder of the base policy, its RL token and their contract", path=True
    )
    mode: str = setting(
        "lockstep",
        "lockstep: the simulator waits for every node; real_time: nothing waits",
        choices=("lockstep", "real_time"),
    )
    planning_delay_ticks: int = setting(
        0, "control ticks from an observation to the first tick of its chunk", low=0
    )
    silence_s: float = setting(
        10.0, "lockstep: wall time after which a node that keeps all others waiting ends the run",
        low=0.1,
    )

    @property
    def lockstep(self) -> bool:
        """Whether the simulator waits for every node."""
        return self.mode == "lockstep"

    def contract(self) -> Contract:
        """The contract of the run: that of the model, with the run's planning delay.

        Raises:
            FileNotFoundError: If the model folder has no contract.
            ValueError: If it is not a contract, or the delay is too long for it.
        """
        if not self.model:
            raise ValueError("parameter model is empty: expected a folder such as models/ethernet")
        contract = Contract.load(Path(self.model) / "contract.json")
        return contract.replace(planning_delay_ticks=self.planning_delay_ticks)


@dataclass(frozen=True)
class RobotSettings:
    """The robot: the same for all nodes that connect to it or learn for it."""

    robot: str = setting(
        "", "the robot's file: cameras, measurements, action groups and motion limits", path=True
    )

    def read(self, contract: Contract) -> Robot:
        """The robot, which a model of this contract can drive.

        Raises:
            ValueError: If the file is missing, invalid, or does not fit the contract.
        """
        if not self.robot:
            raise ValueError(
                "parameter robot is empty: expected a file such as config/robots/sim.yaml"
            )
        robot = read_robot(Path(self.robot))
        robot.require(contract)
        return robot

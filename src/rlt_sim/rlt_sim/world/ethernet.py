"""The `ethernet` task: push a plug into a socket with a fraction of a millimetre to spare."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from rlt_sim.world import arm
from rlt_sim.world.world import TIMESTEP, Array, TaskState, World

PLUG_HALF = np.array([0.00585, 0.0040, 0.0105])
"""Half extents of the plug: 11.7 x 8.0 x 21 mm."""
CAVITY_DEPTH = 0.014
SUCCESS_DEPTH = 0.011
HARD_PUSH, LIFTED = 4.0, 1.5
"""Downward push [N] that strains the contacts, and that below which the plug counts as lifted."""
PUSHES = 3
"""Hard pushes, lifted in between, at which the contacts bend."""
RIM_HEIGHT = 0.034
SOCKET_CENTRE = np.array([0.50, 0.0])

_TIP_BELOW_TCP = 0.0175
_SOCKET_SPREAD = np.array([0.010, 0.010, np.deg2rad(6.0)])  # x, y, yaw
_START_SPREAD = np.array([0.008, 0.008, np.deg2rad(6.0)])
_START_HEIGHT = (0.010, 0.016)
_HOME = np.array([*SOCKET_CENTRE, RIM_HEIGHT + 0.035, 0.0])  # of the tip: x, y, z, yaw

CRITICAL_HEIGHT = _START_HEIGHT[1]
"""Height of the tip above the rim [m] at and below which the task is critical: the highest start of
a critical phase, so that a phase that begins on the way down equals one that starts there."""
STARTS = ("critical", "home")


class EthernetWorld(World):
    """A plug held by the gripper, and a socket within 10 mm and 6 degrees of its nominal place.

    An episode starts with the plug 10 to 16 mm above the rim, up to 8 mm and 6 degrees off; or at
    home, always the same pose of the arm, 35 mm above the socket's nominal place.  It has
    succeeded as soon as the plug's tip is inside the socket and 11 mm below the rim: nothing pushes
    a plug back out, so there is no need to hold it there.  It has failed at the third hard push,
    when the contacts bend: a policy that jams, lifts and tries again has two tries to spare.
    """

    def __init__(self, clearance_m: float = 0.0003, start: str = "critical") -> None:
        """Build the world.

        Args:
            clearance_m: gap between the centred plug and each wall [m], 0.0001 to 0.002.
            start: where episodes start, one of `STARTS`.

        Raises:
            ValueError: an option is out of range.
        """
        if start not in STARTS:
            raise ValueError(f"start must be {' or '.join(STARTS)}, got {start!r}.")
        if not 0.0001 <= clearance_m <= 0.002:
            raise ValueError(f"clearance_m must lie in 0.0001 … 0.002 m, got {clearance_m}.")
        self.clearance_m = clearance_m
        self._from_home = start == "home"
        super().__init__(_mjcf(clearance_m))
        self._socket = int(self.model.body("socket").mocapid[0])
        self._tip = self.model.site("tip").id
        self._pushes, self._lifted = 0, True

    def reset(self, seed: int) -> None:
        """Start an episode; see `World.reset`."""
        super().reset(seed)
        self._pushes, self._lifted = 0, True

    def step(self, setpoint: npt.NDArray[np.floating]) -> None:
        """Advance one control tick and count hard pushes; see `World.step`."""
        super().step(setpoint)
        push = -self.state().wrench[2]
        if self._lifted and push > HARD_PUSH:
            self._pushes += 1
            self._lifted = False
        elif push < LIFTED:
            self._lifted = True

    def task_state(self) -> TaskState:
        """Verdict, depth, and the offset of the plug to the socket; see `TaskState`."""
        tip = self.data.site_xpos[self._tip]
        socket = self.data.mocap_pos[self._socket]
        yaw = self._measured()[3] - self._socket_yaw()
        offset = np.append(tip - socket, (yaw + np.pi) % (2 * np.pi) - np.pi)
        within = np.abs(offset[:2]).max() < PLUG_HALF[1]  # else it is beside the socket, not in it
        success = bool(within and offset[2] <= -SUCCESS_DEPTH)
        failure = not success and self._pushes >= PUSHES
        critical = bool(offset[2] <= CRITICAL_HEIGHT)
        return TaskState(success, failure, critical, -float(offset[2]), offset)

    def scatter(self, rng: np.random.Generator) -> None:
        """Draw a static picture: free, near the rim, jammed on the rim, or partly inserted.

        Args:
            rng: the source of randomness.
        """
        socket = self._place_socket(rng)
        kind = rng.choice(["free", "near", "jammed", "inserted"], p=[0.3, 0.3, 0.2, 0.2])
        tilt = rng.normal(0.0, np.deg2rad(0.4), 2)
        offset: Array
        if kind == "free":
            offset = rng.uniform(-1.0, 1.0, 4) * [0.011, 0.011, 0.0, np.deg2rad(9.0)]
            offset[2] = rng.uniform(0.001, 0.018)
        elif kind == "inserted":
            gap = self.clearance_m
            offset = rng.uniform(-1.0, 1.0, 4) * [gap, gap, 0.0, gap / PLUG_HALF[0]]
            offset[2] = rng.uniform(-0.012, 0.0)
            tilt *= 0.3
        else:
            offset = rng.normal(0.0, [0.0016, 0.0016, 0.0, np.deg2rad(2.0)])
            offset[2] = rng.uniform(0.0, 0.003) if kind == "near" else 0.0
        self._place_plug(socket, offset, (float(tilt[0]), float(tilt[1])))
        # A pressed plug has its set-point below it: the wrench must not reveal the kind of picture.
        lead = rng.normal(0.0, [0.0015, 0.0015, 0.002, np.deg2rad(1.5)])
        if kind == "jammed":
            lead[2] = -rng.uniform(0.0, 0.006)
        limit = np.array([0.006, 0.006, 0.006, np.deg2rad(6.0)])
        self._setpoint = self._setpoint + np.clip(lead, -limit, limit)

    def _place(self, rng: np.random.Generator) -> None:
        """Draw socket and plug for the start of an episode."""
        socket = self._place_socket(rng)
        if self._from_home:
            self._place_plug(_HOME, np.zeros(4))
            return
        lateral = rng.uniform(-1.0, 1.0, 3) * _START_SPREAD
        height = rng.uniform(*_START_HEIGHT)
        self._place_plug(socket, np.array([lateral[0], lateral[1], height, lateral[2]]))

    def _place_socket(self, rng: np.random.Generator) -> Array:
        """Draw the socket's pose; returns its rim's x, y, z [m] and yaw [rad]."""
        x, y, yaw = np.append(SOCKET_CENTRE, 0.0) + rng.uniform(-1.0, 1.0, 3) * _SOCKET_SPREAD
        self.data.mocap_pos[self._socket] = x, y, RIM_HEIGHT
        self.data.mocap_quat[self._socket] = np.cos(yaw / 2), 0.0, 0.0, np.sin(yaw / 2)
        return np.array([x, y, RIM_HEIGHT, yaw])

    def _place_plug(
        self, socket: Array, offset: Array, tilt: tuple[float, float] = (0.0, 0.0)
    ) -> None:
        """Put the plug's tip at an offset (4,) from the socket's rim centre."""
        pose = socket + offset
        lever = arm.tool_rotation(float(pose[3]), tilt) @ [0.0, 0.0, _TIP_BELOW_TCP]
        pose[:3] -= lever
        self._rest(pose, tilt)

    def _socket_yaw(self) -> float:
        """Yaw of the socket in the base frame [rad]."""
        w, _, _, z = self.data.mocap_quat[self._socket]
        return float(2.0 * np.arctan2(z, w))


def _socket_mjcf(clearance: float) -> str:
    """The socket, its frame at the centre of the rim: white jack, dark base, brass contacts."""
    inner = PLUG_HALF[:2] + clearance
    outer = np.array([0.0110, 0.0090])
    depth = CAVITY_DEPTH / 2
    wall = (outer - inner) / 2
    centre = inner + wall
    walls = "".join(
        f'<geom class="socket" pos="{x} {y} {-depth}" size="{sx} {sy} {depth}"/>'
        for x, y, sx, sy in (
            (-centre[0], 0.0, wall[0], outer[1]),
            (centre[0], 0.0, wall[0], outer[1]),
            (0.0, -centre[1], inner[0], wall[1]),
            (0.0, centre[1], inner[0], wall[1]),
        )
    )
    below = (RIM_HEIGHT - CAVITY_DEPTH) / 2
    return f"""
    <body name="socket" mocap="true" pos="{SOCKET_CENTRE[0]} {SOCKET_CENTRE[1]} {RIM_HEIGHT}">
      {walls}
      <geom class="socket" rgba=".10 .11 .13 1" pos="0 0 {-CAVITY_DEPTH - below}"
            size=".018 .015 {below}"/>
    </body>"""


def _plug_mjcf() -> str:
    """The plug in the tool frame: collision box, contacts, latch and cable."""
    x, y, z = PLUG_HALF
    centre = _TIP_BELOW_TCP - z
    return f"""
      <geom name="plug" class="plug" pos="0 0 {centre}" size="{x} {y} {z}"/>
      <site name="tip" pos="0 0 {_TIP_BELOW_TCP}" size=".001" rgba="0 0 0 0"/>
      <geom class="detail" type="box" rgba=".95 .75 .15 1" pos="0 {y} {centre + .006}"
            size=".0042 .0002 .0035"/>
      <geom class="detail" type="box" rgba=".95 .75 .15 1" pos="{x} 0 {centre + .004}"
            size=".0002 .0012 .0055"/>
      <geom class="detail" type="capsule" rgba=".10 .32 .85 1" size=".0028"
            fromto="0 0 {centre - z} 0 -.004 {centre - z - .014}"/>
      <geom class="detail" type="capsule" rgba=".10 .32 .85 1" size=".0028"
            fromto="0 -.004 {centre - z - .014} 0 -.022 {centre - z - .030}"/>
      <geom class="detail" type="capsule" rgba=".10 .32 .85 1" size=".0028"
            fromto="0 -.022 {centre - z - .030} 0 -.036 -.105"/>"""


def _mjcf(clearance: float) -> str:
    """The complete model of the task."""
    return f"""
<mujoco model="rlt_ethernet">
  <compiler angle="degree" autolimits="true"/>
  <option timestep="{TIMESTEP}" integrator="implicitfast" cone="elliptic" impratio="3"/>
  <statistic center="0.4 0 0.2" extent="0.8"/>
  <visual>
    <global offwidth="1280" offheight="960"/>
    <quality offsamples="0" shadowsize="2048" numslices="20" numstacks="8"/>
    <map znear="0.02" zfar="8"/>
    <headlight ambient=".42 .42 .42" diffuse=".38 .38 .38" specular=".1 .1 .1"/>
  </visual>
  <default>
    {arm.ARM_DEFAULTS}
    <default class="socket">
      <geom type="box" contype="2" conaffinity="1" friction=".3 .005 .0001"
            solref=".005 1" solimp=".98 .998 .0001" rgba=".93 .93 .90 1"/>
    </default>
    <default class="plug">
      <geom type="box" contype="1" conaffinity="2" friction=".3 .005 .0001" mass=".01"
            solref=".005 1" solimp=".98 .998 .0001" rgba=".10 .32 .85 1"/>
    </default>
  </default>
  <asset>
    {arm.ARM_ASSETS}
    <texture name="sky" type="skybox" builtin="gradient" rgb1=".86 .90 .95" rgb2=".45 .52 .62"
             width="64" height="384"/>
  </asset>
  <worldbody>
    <light pos=".8 -.8 1.6" dir="-.3 .6 -1.2" directional="true" castshadow="true"
           diffuse=".40 .40 .38" specular=".25 .25 .25"/>
    <geom name="table" type="box" size=".45 .42 .02" pos=".30 0 -.02" rgba=".52 .41 .31 1"
          contype="2" conaffinity="1"/>
    <camera name="scene" pos="{SOCKET_CENTRE[0] + .11} 0 {RIM_HEIGHT + .078}"
            xyaxes="0 1 0 -.563 0 .826" fovy="27"/>
    <camera name="overview" pos="1.30 -1.15 .78" xyaxes=".755 .656 0 -.230 .264 .937" fovy="33"/>
    {arm.arm_mjcf(_plug_mjcf())}
    {_socket_mjcf(clearance)}
  </worldbody>
  <actuator>
    {arm.actuators_mjcf()}
  </actuator>
</mujoco>"""

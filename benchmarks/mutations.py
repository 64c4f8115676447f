"""Is every safety check needed? Deletes each in turn and shows that a test fails.

For each row of the table the packages are copied to a temporary folder, one check is deleted from
the copy, and the fast tests that belong to it run there. A check whose deletion fails no test could
be lost unnoticed: the script then exits with 1. So it does if a snippet is no longer found.

    python benchmarks/mutations.py
    python benchmarks/mutations.py validation tracking     # only those whose name contains a word
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = (
    "rlt_bringup", "rlt_core", "rlt_episodes", "rlt_learner", "rlt_node", "rlt_policy",
    "rlt_teleop",
)
BESIDE = ("config", "conftest.py", "models", "pyproject.toml", "testing")  # what the tests read
FAILED = re.compile(r"^FAILED (.+?)(?: - .*)?$", re.MULTILINE)
LIMIT_S = 120.0


@dataclass(frozen=True)
class Mutant:
    """One safety check, and how it is deleted.

    Attributes:
        guard: Name of the check: its component, and what it checks.
        file: "package/module" below src, without suffix; the module may lie in a folder.
        snippet: Code that occurs exactly once in the file.
        replacement: The code without the check.
        tests: Test files that must fail, as "package/test".
    """

    guard: str
    file: str
    snippet: str
    replacement: str
    tests: tuple[str, ...]

    @property
    def path(self) -> str:
        """The module's path below src."""
        package, module = self.file.split("/", 1)
        return f"{package}/{package}/{module}.py"

    def applied(self, text: str) -> str:
        """The module's text without the check.

        Raises:
            ValueError: If the snippet does not occur exactly once.
        """
        count = text.count(self.snippet)
        if count != 1:
            raise ValueError(f"{self.path}: found {count} times, not once: {self.snippet!r}")
        return text.replace(self.snippet, self.replacement)


def never(guard: str, file: str, condition: str, tests: Iterable[str]) -> Mutant:
    """A check `if condition:` that never applies."""
    snippet = f"if {condition}:"
    return Mutant(guard, file, snippet, "if False:", tuple(tests))


CONTROL = ("rlt_core/test_control_loop",)
TOOL_LIMITS = ("rlt_core/test_tool_limits",)
GUARD = ("rlt_core/test_motion_limits", "rlt_core/test_control_loop")
SCHEDULER = ("rlt_core/test_chunk_scheduler", "rlt_core/test_control_loop")
PACE = ("rlt_core/test_control_clock", "rlt_core/test_control_loop")
JOINTS = ("rlt_policy/test_joint_limits",)
JOINT_STATES = ("rlt_core/test_joint_states",)
TOOL = ("rlt_policy/test_tool_watch",)
OUTPUTS = ("rlt_policy/test_outputs",)
LISTENERS = ("rlt_policy/test_listeners",)
SOURCES = ("rlt_policy/test_source_pairing",)
RIVALS = ("rlt_node/test_other_publishers",)
LEAD = ("rlt_episodes/test_episode_publisher",)
CLAIMS = ("rlt_node/test_name_claims",)
LAUNCHED = ("rlt_node/test_launch_watch",)
WEIGHTS = ("rlt_policy/test_actor_weights",)
STREAM = ("rlt_core/test_stream", "rlt_core/test_trainer")
LOG = ("rlt_core/test_log",)
CHECKPOINT = ("rlt_core/test_checkpoint",)
BOUNDED = ("rlt_node/test_size_limits",)
RESET = ("rlt_episodes/test_reset",)
BUTTONS = ("rlt_teleop/test_debounce",)
JOY = ("rlt_teleop/test_joy_watch",)
CHOSEN = ("rlt_teleop/test_device_choice",)
KEYS = ("rlt_teleop/test_keystrokes",)

MUTANTS = (
    Mutant(
        "validation: chunk is finite", "rlt_core/control/input_validation",
        "place = _first_nonfinite(values, chunk.axis_names)\n            if place:",
        "place = _first_nonfinite(values, chunk.axis_names)\n            if False:", CONTROL,
    ),
    Mutant(
        "validation: human command is finite", "rlt_core/control/input_validation",
        "place = _first_nonfinite(increment, human.axis_names)\n        if place:",
        "place = _first_nonfinite(increment, human.axis_names)\n        if False:", CONTROL,
    ),
    Mutant(
        "validation: robot state is finite", "rlt_core/control/input_validation",
        "place = _first_nonfinite(position, self._axes)\n        if place:",
        "place = _first_nonfinite(position, self._axes)\n        if False:", CONTROL,
    ),
    never("validation: chunk's shape", "rlt_core/control/input_validation",
          "(actions.shape, tail.shape) != expected",
          CONTROL),
    Mutant(
        "validation: chunk's axis names", "rlt_core/control/input_validation",
        "return self._wrong_names(what, chunk.axis_names)", "order = list(range(len(self._axes)))",
        CONTROL,
    ),
    Mutant(
        "validation: chunk's axes in the contract's order", "rlt_core/control/input_validation",
        "actions, tail = actions[:, order], tail[:, order]", "pass", CONTROL,
    ),
    never("validation: chunk's contract", "rlt_core/control/input_validation",
          "chunk.contract_hash != self._hash", CONTROL),
    never("validation: human command's contract", "rlt_core/control/input_validation",
          "human.contract_hash != self._hash",
          CONTROL),
    never("validation: chunk's scale", "rlt_core/control/input_validation", "wild.any()", CONTROL),
    never("validation: human command's scale", "rlt_core/control/input_validation", "wild.size",
          CONTROL),
    never("validation: measured position jumps", "rlt_core/control/input_validation",
          "(moved > allowed).any()", CONTROL),
    never("validation: joint fault", "rlt_core/control/input_validation", "state.fault", CONTROL),
    never("control: age of the robot state (never too old)", "rlt_core/control/control_loop",
          "rejection is not None or now - state.received <= self._max_age", CONTROL),
    never("control: a joint fault latches", "rlt_core/control/control_loop",
          "rejection.code in HELD_FOR_THE_EPISODE",
          CONTROL),
    never("control: the robot does not follow", "rlt_core/control/control_loop",
          "self._response.still",
          CONTROL),
    never("control: rejected chunks trip", "rlt_core/control/control_loop",
          "self._rejected_chunks >= TRIP_CHUNKS",
          CONTROL),
    Mutant(
        "control: an operator is required", "rlt_core/control/control_loop",
        "if not absent:", "if True:",
        CONTROL,
    ),
    never("control: a blocked command topic holds", "rlt_core/control/control_loop",
          "self.blocked_by is not None", CONTROL),
    Mutant(
        "control: no episode starts with a blocked command topic", "rlt_core/control/control_loop",
        "self.blocked_by or self._leader_fault(now) or self._state_fault(state, None, now)",
        "self._leader_fault(now) or self._state_fault(state, None, now)", CONTROL,
    ),
    never("control: the episodes node is silent", "rlt_core/control/control_loop",
          "self._running and (leaderless := self._leader_fault(now)) is not None", CONTROL),
    Mutant(
        "control: a silent episodes node latches", "rlt_core/control/control_loop",
        "            self._fault = leaderless\n", "", CONTROL,
    ),
    Mutant(
        "controller: heartbeat of another run", "rlt_policy/controller/real_time",
        "self._episode is not None and run == self._episode.run",
        "self._episode is not None", ("rlt_policy/test_disagreement",),
    ),
    never("episodes: another episodes node", "rlt_episodes/episode_publisher",
          "rival is not None", LEAD),
    Mutant(
        "episodes: nothing is published before the lookout ends", "rlt_episodes/episode_publisher",
        "        if self.sure:\n", "        if True:\n", LEAD,
    ),
    Mutant(
        "episodes: the lookout lasts until the policy reports", "rlt_episodes/episode_publisher",
        " or not self._heard():", ":", LEAD,
    ),
    Mutant(
        "node: a name that another process has", "rlt_node/name_claims",
        "    if claim is None:\n        raise Taken(_running(name))\n", "", CLAIMS,
    ),
    never("launch: a node that runs already", "rlt_node/name_claims",
          '_holder("node", name)', CLAIMS),
    Mutant(
        "node: the end of its launch", "rlt_node/process",
        "launch_watch.follow(self._orphan)", "pass", LAUNCHED,
    ),
    Mutant(
        "node: a process that has its launch's number", "rlt_node/launch_watch",
        "if _begun(int(pid)) == begun:", "if True:", LAUNCHED,
    ),
    Mutant(
        "node: no end in the middle of its work", "rlt_node/launch_watch",
        "    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, 0)\n", "", LAUNCHED,
    ),
    Mutant(
        "node: a second signal at the launch's end does not force it", "rlt_node/process",
        "if self.requested and not self._orphaned:", "if self.requested:", LAUNCHED,
    ),
    never("publishers: another one of a command topic", "rlt_node/other_publishers", "certain",
          RIVALS),
    Mutant(
        "publishers: a second controller of the same name", "rlt_node/other_publishers",
        "others + (own if len(own) > 1 else [])", "others", RIVALS,
    ),
    never("listeners: no subscription", "rlt_policy/controller/listeners",
          "count == 0 or topic in self._doubted & doubted", LISTENERS),
    never("listeners: only spectators", "rlt_policy/controller/listeners",
          "count <= len(listeners) - len(drivers)", LISTENERS),
    Mutant(
        "node: subscriptions are bounded", "rlt_node/node",
        'if not options.get("raw") and kind not in UNLIMITED:', "if False:", BOUNDED,
    ),
    never("size limits: a message too large", "rlt_node/size_limits",
          "len(data) > self._largest", BOUNDED),
    Mutant(
        "bounded: bytes that are not a message", "rlt_node/size_limits",
        "except Exception as error:", "except ZeroDivisionError as error:", BOUNDED,
    ),
    never("reset: a second server of the action", "rlt_episodes/reset", "rivals", RESET),
    Mutant(
        "reset: answers while a second server is there", "rlt_episodes/reset",
        "if not self._rivals():", "if True:", RESET,
    ),
    never("reset: a server that does not know the goal", "rlt_episodes/reset",
          "answer.status == GoalStatus.STATUS_UNKNOWN", RESET),
    never("control: stall and overrun hold", "rlt_core/control/control_loop",
          "self.clock.fault is not None",
          PACE),
    Mutant(
        "control: fresh chunk after release, stall and fault", "rlt_core/control/control_loop",
        "self._scheduler.flush(tick + 1)", "pass", CONTROL,
    ),
    Mutant(
        "control: age of a human command", "rlt_core/control/control_loop",
        "if increment is None or now - self._takeover.received > self._max_age:",
        "if increment is None:", CONTROL,
    ),
    never("control: sequence of human commands", "rlt_core/control/control_loop",
          "human.sequence <= self._sequence and not self._takeover.silent(human.received)",
          CONTROL),
    Mutant("control: two operators hold", "rlt_core/control/control_loop",
           "self._disputed = human.received", "pass", CONTROL),
    Mutant(
        "control: a takeover is blended in", "rlt_core/control/control_loop",
        "if self._human_ticks > self._blend_ticks:", "if True:", CONTROL,
    ),
    never("takeover: silence latches", "rlt_core/control/takeover",
          "self.silent(now) and self.authority is ControlAuthority.HUMAN", CONTROL),
    Mutant(
        "takeover: a device's fault latches", "rlt_core/control/takeover",
        'self._lose("device", f"{reason}: {REPRESS}")', "pass", CONTROL,
    ),
    Mutant(
        "takeover: button down before it was up", "rlt_core/control/takeover",
        "if self._seen_released:",
        "if True:", CONTROL,
    ),
    never("scheduler: late chunk", "rlt_core/control/chunk_scheduler",
          "chunk.start_tick + self._chunk <= tick",
          SCHEDULER),
    never("scheduler: sequence of chunks", "rlt_core/control/chunk_scheduler",
          "chunk.obs_tick <= self._newest_obs", SCHEDULER),
    never("scheduler: chunk from the future", "rlt_core/control/chunk_scheduler",
          "chunk.obs_tick > tick",
          SCHEDULER),
    never("scheduler: chunk of another episode", "rlt_core/control/chunk_scheduler",
          "chunk.episode != self._episode", SCHEDULER),
    never("scheduler: nothing in a refused chunk's place", "rlt_core/control/chunk_scheduler",
          "any(chunk.start_tick < void <= tick for void in self._voids)", SCHEDULER),
    Mutant(
        "scheduler: bridging is bounded", "rlt_core/control/chunk_scheduler",
        "if row < min(self._stretch, len(chunk.tail)):", "if row < len(chunk.tail):", SCHEDULER,
    ),
    Mutant(
        "motion limits: finite command", "rlt_core/control/motion_limits",
        "return plain if all(map(math.isfinite, plain)) else None", "return plain", GUARD,
    ),
    Mutant(
        "motion limits: velocity", "rlt_core/control/axis_limits",
        '                max(-self.velocity, increment - self.acceleration),\n'
        "                min(self.velocity, increment + self.acceleration),\n",
        "                increment - self.acceleration,\n"
        "                increment + self.acceleration,\n", GUARD,
    ),
    Mutant(
        "motion limits: acceleration", "rlt_core/control/axis_limits",
        '                max(-self.velocity, increment - self.acceleration),\n'
        "                min(self.velocity, increment + self.acceleration),\n",
        "                -self.velocity,\n                self.velocity,\n", GUARD,
    ),
    Mutant(
        "motion limits: workspace", "rlt_core/control/axis_limits",
        '("workspace", -self._stoppable(last - low), self._stoppable(high - last)),', "", GUARD,
    ),
    Mutant(
        "motion limits: edge of the workspace", "rlt_core/control/axis_limits",
        "setpoint = min(max(last + step, low), high)", "setpoint = last + step", GUARD,
    ),
    Mutant(
        "motion limits: braking before the edge", "rlt_core/control/axis_limits",
        "return room / steps + acceleration * (steps - 1) / 2.0", "return room", GUARD,
    ),
    Mutant(
        "motion limits: max_tracking_error", "rlt_core/control/axis_limits",
        "                -self._stoppable(last - measured + self.max_tracking_error),\n"
        "                self._stoppable(measured + self.max_tracking_error - last),\n",
        "                -math.inf,\n                math.inf,\n", GUARD,
    ),
    Mutant(
        "control clock: nothing is caught up", "rlt_core/control/control_clock",
        "self.due = max(now + 0.5 * self._dt, now - late + self._dt)",
        "self.due = now - late + self._dt", PACE,
    ),
    never("control clock: stall", "rlt_core/control/control_clock", "gap > longest", PACE),
    never("control clock: overrun", "rlt_core/control/control_clock", "late > self._dt", PACE),
    never("joints: finite", "rlt_policy/outputs/joint_limits", "not math.isfinite(value)", JOINTS),
    never("joints: margin", "rlt_policy/outputs/joint_limits",
          "value < limits.min + margin or value > limits.max - margin", JOINTS),
    Mutant("joints: jump", "rlt_policy/outputs/joint_limits",
    "if moved <= speed * elapsed:", "if True:", JOINTS),
    never("joints: a message that is malformed", "rlt_core/control/joint_states",
          "len(numbers) not in (0, len(names))", JOINT_STATES),
    never("joints: a joint named twice", "rlt_core/control/joint_states", "twice", JOINT_STATES),
    Mutant(
        "joints: an old stamp is not new", "rlt_core/control/stamps",
        "not 0.0 < stamp <= self._last.get(source, 0.0)", "True", ("rlt_core/test_stamps",),
    ),
    never("tool: tilt", "rlt_policy/outputs/tool_watch",
          "self._tilt_max is not None and tilt > self._tilt_max", TOOL),
    never("tool: frame", "rlt_policy/outputs/tool_watch",
          "fault := frame_fault(self._topic, frame, self._frame)", TOOL),
    Mutant(
        "tool: unit quaternion", "rlt_core/control/tool_pose",
        "math.isnan(length) or is_unit(orientation)", "True", TOOL,
    ),
    Mutant(
        "tool: a state has new samples of all joints", "rlt_policy/outputs/tool_state",
        "if complete or self._fault:", "if True:", OUTPUTS,
    ),
    never("joints: a state has new samples of all joints", "rlt_policy/outputs/joint_state",
          "not fault and len(self._fresh) < len(self._names)", OUTPUTS),
    Mutant(
        "twist: the turn of the yaw", "rlt_policy/outputs/twist",
        "place = all_near(self._place, step.setpoint, self._circular)", "place = self._place",
        OUTPUTS,
    ),
    Mutant(
        "validation: a yaw jumps by less than a turn", "rlt_core/action_space",
        "            if turns:\n                origin",
        "            if False:\n                origin",
        CONTROL,
    ),
    Mutant(
        "motion limits: the turn of the yaw", "rlt_core/control/axis_limits",
        "return near(value, reference) if self.circular else value", "return value", GUARD,
    ),
    Mutant(
        "tool limits: velocity", "rlt_core/control/tool_limits",
        "lambda step: shortened(step, self.velocity)", "lambda step: step", TOOL_LIMITS,
    ),
    Mutant(
        "tool limits: acceleration", "rlt_core/control/tool_limits",
        "return self.step + shortened(step - self.step, self._acceleration)", "return step",
        TOOL_LIMITS,
    ),
    Mutant(
        "tool limits: a stop stays inside", "rlt_core/control/tool_limits",
        "        if fits(1.0):\n            return step\n", "        return step\n", TOOL_LIMITS,
    ),
    Mutant(
        "tool limits: the way along a wall", "rlt_core/control/tool_limits",
        "return np.clip(step, -np.array(longest), longest)", "return step", TOOL_LIMITS,
    ),
    Mutant(
        "tool limits: max_tracking_error", "rlt_core/control/tool_limits",
        "return np.append(self._outside(place), max(0.0, error - self.max_tracking_error))",
        "return self._outside(place)", TOOL_LIMITS,
    ),
    Mutant(
        "tool limits: the cone", "rlt_core/control/tool_limits",
        "return np.array([max(0.0, self._tilt(place) - self._cone)])", "return np.zeros(1)",
        TOOL_LIMITS,
    ),
    Mutant(
        "action space: rotations compose", "rlt_core/action_space",
        "self.position(position[:3] + step[:3], turned(before, step[3:]))",
        "position + increment", ("rlt_core/test_action_space",),
    ),
    Mutant(
        "group outputs: every group has measured anew", "rlt_policy/outputs/group_outputs",
        "not (complete or self._fault)", "False", ("rlt_policy/test_group_outputs",),
    ),
    never("observer: another frame", "rlt_policy/observer/proprioception", "fault",
          ("rlt_policy/test_observer",)),
    never("observer: age of a source", "rlt_policy/observer/source_pairing",
          "ages[source] > limit", SOURCES),
    never("observer: frozen camera", "rlt_policy/observer/source_pairing",
          "camera.frozen", SOURCES),
    never("observer: a message that was rejected", "rlt_policy/observer/source_pairing",
          "fault is not None and now - rejected <= self._settings.max_age_s", SOURCES),
    Mutant(
        "observer: latency of a source", "rlt_policy/observer/source_pairing",
        "if abs(behind[odd]) <= limit:",
        "if True:", SOURCES,
    ),
    Mutant(
        "observer: latency is measured by the robot's state", "rlt_policy/observer/source_pairing",
        "base = robot or latencies", "base = latencies", SOURCES,
    ),
    Mutant(
        "observer: skew of the sources", "rlt_policy/observer/source_pairing",
        "if skews[worst] <= limit:",
        "if True:", SOURCES,
    ),
    Mutant(
        "observer: what was measured together", "rlt_policy/observer/source_history",
        "return min(reversed(self._samples), key=lambda sample: abs(measured(sample) - moment))",
        "return self.newest", SOURCES,
    ),
    Mutant(
        "observer: without a stamp, receipt counts", "rlt_policy/observer/source_pairing",
        "return sample.stamp + offset if sample.stamp else sample.received",
        "return sample.stamp + offset", SOURCES,
    ),
    Mutant(
        "observer: memory of a fast source", "rlt_policy/observer/source_history",
        "deque(maxlen=most)", "deque()",
        SOURCES,
    ),
    never("operator: debounce", "rlt_teleop/debounce", "now - self._since < debounce_s", BUTTONS),
    Mutant(
        "operator: button held at start", "rlt_teleop/debounce", "        if self._ready:\n",
        "        if True:\n", BUTTONS,
    ),
    never("operator: both labels at once", "rlt_teleop/debounce",
          "all(name in self._buttons and self._buttons[name].down for name in LABELS)", BUTTONS),
    never("operator: silent device", "rlt_teleop/joy_watch", "self._silent(now)", JOY),
    never("operator: repeated sticks", "rlt_teleop/joy_watch", "self._stale(now)", JOY),
    never("operator: device at rest first", "rlt_teleop/joy_watch", "not self._rested", JOY),
    Mutant(
        "episodes: a hold does not run the clock", "rlt_core/episodes/episode_machine",
        "if passed - self._held >= limit:", "if passed >= limit:",
        ("rlt_core/test_episode_machine",),
    ),
    Mutant(
        "episodes: a held episode is cut, not failed", "rlt_core/episodes/episode_machine",
        'return (Outcome.TRUNCATED, "held") if self._held >= limit else None',
        'return (self._limit_outcome, "time_limit") if self._held >= limit else None',
        ("rlt_core/test_episode_machine",),
    ),
    never("learner: curves of episodes that count nowhere", "rlt_learner/learner/tensorboard",
          "not counts(state)", ("rlt_learner/test_frames",)),
    Mutant(
        "operator: another device", "rlt_teleop/joy_watch",
        "if not self._believed or device == self.device:", "if True:", JOY,
    ),
    never("operator: two publishers of joy", "rlt_teleop/joy_watch", "len(publishers) > 1", JOY),
    Mutant(
        "operator: another device is reported while it publishes", "rlt_teleop/joy_watch",
        "if now - self._wrong_at <= settings.joy_timeout_s:", "if False:", JOY,
    ),
    Mutant(
        "gamepad: the chosen one stays chosen", "rlt_teleop/device_choice",
        "self._again(attached) if self.chosen else self._first(attached)",
        "self._first(attached)", CHOSEN,
    ),
    Mutant(
        "gamepad: one that looks alike and is attached beside", "rlt_teleop/device_choice",
        "if number not in self._beside", "if True", CHOSEN,
    ),
    Mutant(
        "gamepad: two that look alike were both away", "rlt_teleop/device_choice",
        "and self._beside <= alike.keys()", "", CHOSEN,
    ),
    never("keyboard: several keys' letters at once are pasted", "rlt_teleop/keystrokes",
          "len(set(strokes)) > MOST", KEYS),
    never("keyboard: pasted text", "rlt_teleop/keystrokes",
          "self._pasting or self._begun.startswith(PASTE)", KEYS),
    Mutant(
        "keyboard: a sequence is one key", "rlt_teleop/keystrokes",
        "match = STROKE.match(self._begun)", 'match = re.match(b".", self._begun, re.DOTALL)', KEYS,
    ),
    never("episodes: label of the last episode", "rlt_core/episodes/episode_machine",
          "started and steps < self._label_needs_id and last in self._ended",
          ("rlt_core/test_episode_machine",)),
    never("log: damaged commit", "rlt_core/log/sqlite_log", "not sound or numbers[0] != expected",
          LOG),
    never("log: commits missing", "rlt_core/log/sqlite_log", "count != highest", LOG),
    never("log: another program's file", "rlt_core/log/sqlite_log",
          "application != APPLICATION and (application or version or tables)", LOG),
    never("recorder: a second recorder that stays", "rlt_learner/recorder/duplicate_recorder",
          "not mine.begun and _rank(other) < _rank(mine)",
          ("rlt_learner/test_duplicate_recorder",)),
    never("learner: memory", "rlt_learner/learner/commit_requests", "seq > folded + self._backlog",
          ("rlt_learner/test_commit_requests",)),
    never("learner: a commit twice", "rlt_core/log/stream",
          "not self._sequence.add(transition.seq)", STREAM),
    never("learner: another log", "rlt_core/log/stream",
          "not self.rebuilding and self._crc != self._restored_crc", STREAM),
    never("learner: a log that lost its end", "rlt_core/log/stream", "committed < self.restored",
          STREAM),
    never("checkpoint: SHA-256", "rlt_core/log/checkpoint", "found != sha256", CHECKPOINT),
    never("checkpoint: file outside of its folder", "rlt_core/log/checkpoint",
          'Path(name).name != name or name in ("", "..")', CHECKPOINT),
    never("checkpoint: size of the manifest", "rlt_core/log/checkpoint",
          "size > MAX_MANIFEST_BYTES",
          CHECKPOINT),
    never("policy: weights of another run", "rlt_policy/policy/actor_weights",
          "run is not None and message.run != run", WEIGHTS),
    never("policy: older weights", "rlt_policy/policy/actor_weights",
          "message.version < acting", WEIGHTS),
    Mutant("policy: weights of another contract", "rlt_policy/policy/actor_weights",
           'contract.require(message.contract_hash, "the learner")', "pass", WEIGHTS),
)


def main() -> int:
    """Try the mutants; return the process's exit code."""
    words = sys.argv[1:]
    chosen = [m for m in MUTANTS if not words or any(word in m.guard for word in words)]
    print("| check | fails without it |\n| --- | --- |")
    survived = 0
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        for mutant, killer in zip(chosen, pool.map(killed_by, chosen), strict=True):
            survived += not killer
            print(f"| {mutant.guard} | {killer or '**nothing**'} |", flush=True)
    print(f"{len(chosen) - survived} of {len(chosen)} deletions make a test fail")
    return int(survived > 0)


def killed_by(mutant: Mutant) -> str:
    """The test that fails without the check, empty if none does; or any other fault."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder)
        for package in PACKAGES:
            shutil.copytree(
                ROOT / "src" / package, copy / "src" / package,
                ignore=shutil.ignore_patterns(".hypothesis"),
            )
        for name in BESIDE:
            (copy / name).symlink_to(ROOT / name)
        file = copy / "src" / mutant.path
        try:
            text = mutant.applied(file.read_text(encoding="utf-8"))
            file.write_text(text, encoding="utf-8")
        except ValueError as error:
            print(error, file=sys.stderr)
            return ""
        return _first_failure(copy, mutant.tests)


def _first_failure(copy: Path, tests: Iterable[str]) -> str:
    """The first failing test among some test files of the copy."""
    files = [str(copy / "src" / test.replace("/", "/test/")) + ".py" for test in tests]
    first = [str(copy / "src" / package) for package in PACKAGES]
    path = os.pathsep.join([*first, os.environ.get("PYTHONPATH", "")])
    try:
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-x", "-q", "-n", "0", "-p", "no:cacheprovider",
             *files],
            cwd=copy, env=os.environ | {"PYTHONPATH": path}, timeout=LIMIT_S,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, encoding="utf-8",
        )
    except subprocess.TimeoutExpired:
        return f"no end within {LIMIT_S:g} s"
    found = FAILED.search(done.stdout)
    if found is None and done.returncode not in (0, 1):
        print(done.stdout, file=sys.stderr)
    return f"`{found[1].rpartition('::')[2]}`" if found else ""


if __name__ == "__main__":
    sys.exit(main())

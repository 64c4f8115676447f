"""Faults 30 to 32, 35 and 36: files that are cut short, altered or forged, and a full disk."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import pickle
import random
import resource
import shutil
import signal
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from seeded_robot import AGENT, content, new_trainer, same
from small_disk import small_disk

from rlt_core.log import checkpoint
from rlt_core.log.sqlite_log import LOG_FILE, DurableLog, StoredLog
from rlt_core.log.windows import WindowBuilder
from rlt_core.records import Phase
from rlt_interfaces.msg import ControlStep, Features, Transition
from rlt_interfaces.srv import LabelSuccess
from rlt_node import qos
from rlt_node.conversions import features_from_msg, step_from_msg, transition_from_msg

from .bench import MODEL, STOP_S, Bench
from .chunks import CHUNK, quoted
from .records import Records
from .rows import Make, row

KILLS = int(os.environ.get("RLT_FAULT_KILLS", "2"))  # benchmarks/faults.py asks for fifty
AFTER_S = 0.1  # how long after the tensors' last byte a kill may come: names, folder, manifest
WIDE = {"hidden_dim": 512, "batch_size": 16}  # 17 megabytes: a kill can hit their write half-way
CUTS = 20
DISK_MIB = 4
WAL_FILE = f"{LOG_FILE}-wal"
FULL_S = 2.0  # how long a full disk is watched


# ---- Checkpoints ------------------------------------------------------------------------------


@row(30, "learner killed (kill -9) at random bytes of a checkpoint's write", "the previous "
     "generation or the new one loads, bit for bit; nothing in the log is lost", "learner", ci=True)
def killed_while_saving(make: Make) -> str:
    records, rng = make(Records), random.Random()
    folder, reference = records.output / "checkpoint", new_trainer(records.contract, **WIDE)
    states: dict[int, dict[str, torch.Tensor]] = {}

    def learnt() -> None:
        """Let the reference learn what the log holds, and keep the state of each version."""
        for transition in records.log():
            reference.ingest(transition)
        while reference.work() or reference.weights_due:
            if reference.weights_due:
                version, _ = reference.publish()
                tensors, _ = reference.state_dict()
                states[version] = {name: tensor.clone() for name, tensor in tensors.items()}

    def saved() -> bool:
        """Whether the newest version is on the disk."""
        with contextlib.suppress(OSError, ValueError):
            return checkpoint.load(folder)[1]["policy_version"] == max(states)
        return False

    records.begin(**WIDE)
    for number in (1, 2, 3):
        records.run_episode(number)
        records.closed(number)
    learnt()
    records.wait(saved, "the first checkpoints")
    size, cut, new = _tensor_file(folder).stat().st_size, [], 0
    for number in range(4, 4 + KILLS):
        records.caught_up(len(records.log()))
        records.run_episode(number)
        cut.append(_kill_in_write(records, folder, rng.randrange(3 * size // 2), size))
        records.forget()
        records.start("learner", **WIDE)  # meanwhile the recorder closes the episode
        tensors, meta, damage = checkpoint.recover(folder)
        records.closed(number)
        learnt()
        assert not damage, damage
        assert meta["policy_version"] in (max(states) - 1, max(states)), meta
        assert same(tensors, states[meta["policy_version"]]), "a state that was never learnt"
        new += meta["policy_version"] == max(states)
        records.wait(lambda: records.learner.run == "run", "the learner")
        records.wait(saved, "the checkpoint after the kill")
    log = records.nothing_lost_or_doubled()
    records.caught_up(len(log))
    partly = sum(0 < length < size for length in cut)
    return (
        f"{KILLS} kills, {partly} of them inside the {size} bytes of the tensors: {KILLS - new} "
        f"times the previous generation was loaded, {new} times the new one, always bit for bit; "
        f"the log's {len(log)} commits are intact and learnt from once"
    )


def _kill_in_write(records: Records, folder: Path, offset: int, size: int) -> int:
    """Kill the learner at a byte of the next checkpoint; return how much was on the disk.

    Args:
        records: The bench.
        folder: Folder of the checkpoint.
        offset: The byte; the more it exceeds the size, the later the kill after the last byte.
        size: Bytes of the tensor file.
    """
    deadline = time.monotonic() + 60.0
    while (written := _part(folder)) < min(offset, size - 1):
        assert time.monotonic() < deadline, "no checkpoint was written"
    late = max(0, offset - size) / (size // 2) * AFTER_S
    until = time.monotonic() + late
    while time.monotonic() < until:
        pass  # a sleep is too coarse
    os.kill(records.graph.processes["learner"].pid, signal.SIGKILL)
    records.graph.processes["learner"].wait()
    return max(written, _part(folder))


def _part(folder: Path) -> int:
    """Bytes of the tensor file that is being written, -1 without one."""
    for name in os.listdir(folder):
        if name.startswith("tensors-") and name.endswith(".part"):
            with contextlib.suppress(FileNotFoundError):
                return os.stat(folder / name).st_size
    return -1


def _tensor_file(folder: Path, manifest: str = checkpoint.MANIFEST) -> Path:
    """The tensor file of a generation."""
    return folder / json.loads((folder / manifest).read_text())["tensors"]["file"]


def _goes_on_from_previous(records: Records, *words: str) -> tuple[str, bool]:
    """Start a learner on a damaged checkpoint: it logs this, and resumes from the old weights.

    Returns:
        What it logged, and whether its first weights were received and so compared.
    """
    old, meta = checkpoint._load(records.output / "checkpoint" / checkpoint.PREVIOUS, ())
    assert meta["policy_version"] == 1
    records.forget()
    records.mark()
    records.start("learner")
    records.caught_up(len(records.log()))
    records.wait(lambda: records.weights and records.weights[-1].version == 2, "version 2")
    first = records.weights[0]
    if first.version == 1:  # latched: the second may have replaced it before receipt
        acting = checkpoint.decode(bytes(first.data), first.sha256)
        assert all(torch.equal(acting[name], old[f"actor.{name}"]) for name in acting) and acting
    assert {message.version for message in records.weights} <= {1, 2}
    line = records.said_once("learner", "previous checkpoint", "version 1", *words)
    records.kill("learner")
    return line, first.version == 1


@row(31, "newest checkpoint truncated, one bit flipped, its manifest cut short; both generations "
     "damaged", "logged, with both hashes; the previous generation is named and loads bit for bit; "
     "never random weights", "disk")
def damaged_checkpoint(make: Make) -> str:
    records, rng = make(Records), random.Random()
    records.learn_two_versions()
    assert records.graph.stop("learner") == 0
    folder = records.output / "checkpoint"
    whole = folder.rename(folder.with_name("whole"))

    def truncated(path: Path) -> None:
        os.truncate(path, rng.randrange(path.stat().st_size - 2))

    def flipped(path: Path) -> None:
        _flip(path, rng.randrange(path.stat().st_size), rng)

    damages: tuple[tuple[Callable[[Path], None], bool, str], ...] = (
        (truncated, True, "SHA-256"), (flipped, True, "SHA-256"), (truncated, False, "manifest"),
    )
    lines, compared = [], 0
    for damage, tensors, word in damages:
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(whole, folder)
        damage(_tensor_file(folder) if tensors else folder / checkpoint.MANIFEST)
        line, heard = _goes_on_from_previous(records, word)
        lines.append(line)
        compared += heard
    shutil.rmtree(folder)
    shutil.copytree(whole, folder)
    for manifest in (checkpoint.MANIFEST, checkpoint.PREVIOUS):
        flipped(_tensor_file(folder, manifest))
    records.forget()
    records.start("learner")
    assert records.graph.ended("learner") == 1
    last = records.graph.log("learner").splitlines()[-1]
    assert "both generations" in last, last
    records.pause()
    assert not records.weights, "weights were published without any checkpoint"
    return (
        f"three times resumed from the previous generation, whose weights were received {compared} "
        f"times, bit for bit; with both damaged exit code 1 and no weights: {quoted(lines[1], 250)}"
    )


class Payload:
    """Runs a command when it is unpickled."""

    def __init__(self, canary: Path) -> None:
        self._canary = canary

    def __reduce__(self) -> Any:
        return os.system, (f"touch {self._canary}",)


@row(32, "checkpoint whose tensors are a pickle that runs a command, under its right hash",
     "refused by learner and policy, which resume from the previous generation; the command never "
     "ran",
     "disk")
def pickled_checkpoint(make: Make) -> str:
    records = make(Records)
    records.learn_two_versions()
    assert records.graph.stop("learner") == 0
    folder, canary = records.output / "checkpoint", records.output / "canary"
    payload = pickle.dumps({"actor.0": Payload(canary)})
    pickle.loads(payload)
    assert canary.exists(), "the payload does nothing"
    canary.unlink()
    manifest = json.loads((folder / checkpoint.MANIFEST).read_text())
    manifest["tensors"]["sha256"] = hashlib.sha256(payload).hexdigest()
    (folder / checkpoint.MANIFEST).write_text(json.dumps(manifest))
    _tensor_file(folder).write_bytes(payload)
    records.graph.start(
        "policy", model=str(MODEL), checkpoint=str(folder), hidden_dim=AGENT["hidden_dim"]
    )
    said = records.said_once("policy", "version 1", "previous checkpoint", "not safetensors data")
    assert records.graph.stop("policy") == 0
    line, _ = _goes_on_from_previous(records, "not safetensors data")
    assert not canary.exists(), "the payload was executed"
    return f"both resume from the previous generation: {quoted(said, 250)}; {quoted(line, 250)}"


# ---- The log ----------------------------------------------------------------------------------


@row(36, "the log's write-ahead file loses its tail, as in a power cut; one bit of it flips", "a "
     "valid gapless prefix is found; the loss is logged; the recorder continues", "disk")
def torn_log(make: Make) -> str:
    records, rng = make(Records), random.Random()
    records.start("recorder")
    records.wait(lambda: records.recorder.run == "run", "the recorder")
    for number in (1, 2):
        records.run_episode(number)
        records.closed(number)
    whole = records.log()
    records.kill("recorder")
    kept: dict[int, int] = {}
    for number in range(CUTS):
        folder = records.output.with_name(f"cut{number}")
        shutil.copytree(records.output, folder)
        offset = _cut(folder, rng)
        log = DurableLog(folder / LOG_FILE, "run", records.contract)
        found = log.page(1, len(log))
        log.close()
        assert [t.seq for t in found] == [*range(1, len(found) + 1)]
        assert list(map(content, found)) == list(map(content, whole[: len(found)]))
        kept[len(found)] = offset
    assert min(kept) < len(whole), "no cut met a commit"
    # A cut leaves no trace in the file; a flipped bit leaves the data behind it.
    _flip(records.output / WAL_FILE, kept[min(kept)], rng)
    records.forget()
    records.mark()
    records.start("recorder")
    records.wait(lambda: records.recorder.run == "run", "the recorder")
    before = records.recorder.committed
    records.run_episode(3)
    records.closed(3)
    log = records.log()
    keys = Counter((t.commit, t.key) for t in log)
    assert before == min(kept) and list(map(content, log[:before])) == list(
        map(content, whole[:before])
    )
    assert [t.seq for t in log] == [*range(1, len(log) + 1)]
    assert max(keys.values()) == 1, "a window was committed twice"
    said = records.said_once("recorder", "commits of run 'run' are lost")
    missing = len({(t.commit, t.key) for t in records.expected} - set(keys))
    return (
        f"{CUTS} random cuts: {min(kept)} to {max(kept)} of {len(whole)} commits remained, always "
        f"a prefix, bit for bit; with a bit flipped the recorder continued after commit {before} "
        f"and committed again what the topics still held; {missing} are missing in the end: "
        f"{quoted(said)}"
    )


def _flip(path: Path, offset: int, rng: random.Random) -> None:
    """Flip one bit of a byte."""
    data = bytearray(path.read_bytes())
    data[offset] ^= 1 << rng.randrange(8)
    path.write_bytes(data)


def _cut(folder: Path, rng: random.Random) -> int:
    """Truncate the log's write-ahead file at a random byte, and return its offset."""
    offset = rng.randrange((folder / WAL_FILE).stat().st_size)
    os.truncate(folder / WAL_FILE, offset)
    return offset


def _fill(folder: Path, pid: int) -> Callable[[], None]:
    """Fill a folder's disk for a process.

    Returns:
        A function that makes room again.
    """
    if os.path.ismount(folder):
        ballast = folder / "ballast"
        with contextlib.suppress(OSError), open(ballast, "wb", buffering=0) as file:
            while file.write(bytes(4096)):
                pass
        return ballast.unlink
    # Mounting is not permitted: no file of the process may grow any more, which looks the same.
    whole = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (4096, whole[1]))
    return lambda: resource.prlimit(pid, resource.RLIMIT_FSIZE, whole) and None


@row(35, "the log's disk is full", "nothing is published that was not committed; logged once; the "
     "next episode does not open before there is room; then nothing is missing", "disk",
     ci=True)
def full_disk(make: Make) -> str:
    bench = make(episodes=False)
    disk, mounted = bench.graph.folder / "disk", contextlib.ExitStack()
    bench.closing.append(mounted.close)
    with contextlib.suppress(PermissionError):  # `_fill` then works without it
        mounted.enter_context(small_disk(disk, DISK_MIB))
    labels = bench.node("judge").create_client(LabelSuccess, "label_success")
    commits = bench.heard(Transition, "transitions", qos.LOG)
    features = bench.heard(Features, "features", qos.LOG)
    steps = bench.heard(ControlStep, "control_step", qos.LOG)
    bench.start("recorder", output=str(disk))
    bench.start("chunk_controller")
    bench.wait(lambda: bench.steps, "the controller's first tick")
    bench.start(
        "episodes", output=str(bench.graph.folder / "run"), job="train", supervisor="human",
        base_eval_episodes=0, episodes=4, warmup_episodes=3, eval_episodes=0,
        time_limit_ticks=100_000,
    )
    bench.wait(lambda: _is(bench, 1, Phase.RUNNING) and len(commits) > CHUNK, "commits")
    bench.steady()
    bench.quiet()
    bench.forgive()
    bench.mark()
    make_room = _fill(disk, bench.graph.processes["recorder"].pid)
    line = bench.said_once("recorder", "cannot store a commit", "free space")
    labels.call_async(LabelSuccess.Request(success=True))
    bench.wait(lambda: _is(bench, 1, Phase.ENDED), "the end of episode 1")
    ended = time.monotonic()
    bench.pass_ticks(round(FULL_S / bench.contract.dt))
    assert _is(bench, 1, Phase.ENDED), "an episode opened without room for it"
    bench.no_policy(ended + STOP_S)
    before = len(commits)
    assert len(_log(bench, disk)) == before, "published before it was committed"
    freed = time.monotonic()
    make_room()
    bench.wait(lambda: _is(bench, 2, Phase.RUNNING), "episode 2")
    bench.resumes(freed)
    bench.steady()
    second = f"{bench.state.run}/2"  # so soon after its start a label must name its episode
    labels.call_async(LabelSuccess.Request(success=True, episode_id=second))
    bench.wait(lambda: sum(m.commit == m.COMMIT_EPISODE_END for m in commits) == 2, "both ends")
    log, heard = _log(bench, disk), [transition_from_msg(message) for message in commits]
    assert [t.seq for t in log] == [*range(1, len(log) + 1)]
    assert list(map(content, log)) == list(map(content, heard))
    expected = _windows(bench, features, steps)
    assert set(map(content, log)) == set(map(content, expected)), "a window is missing, or altered"
    assert bench.errors() == [line], bench.errors()
    bench.judge()
    return (
        f"held for {FULL_S:g} s after the episode's end, with nothing published; with room again "
        f"episode 2 opened and {len(log) - before} commits followed, none missing: {quoted(line)}"
    )


def _is(bench: Bench, episode: int, phase: Phase) -> bool:
    """Whether the run is in this phase of this episode."""
    return bench.state is not None and (bench.state.episode, bench.state.phase) == (episode, phase)


def _windows(bench: Bench, features: list[Any], steps: list[Any]) -> list[Any]:
    """What must be committed of the episodes 1 and 2, from the records that were published."""
    builder = WindowBuilder(bench.contract)
    made = []
    for episode in (1, 2):
        running, ended = (
            next(s for s in bench.states if (s.episode, s.phase) == (episode, phase))
            for phase in (Phase.RUNNING, Phase.ENDED)
        )
        made += builder.start(running)
        for message in sorted((*features, *steps), key=_order):
            if message.episode == episode and isinstance(message, ControlStep):
                made += builder.add_step(step_from_msg(message))
            elif message.episode == episode:
                made += builder.add_features(features_from_msg(message))
        made += builder.end(ended)
    return made


def _order(message: Any) -> tuple[int, bool]:
    """Features come before the step of their tick."""
    return message.tick, isinstance(message, ControlStep)


def _log(bench: Bench, folder: Path) -> list[Any]:
    """All commits of the bench's log."""
    log = StoredLog(folder / LOG_FILE)
    found = log.page(1, len(log))
    log.close()
    return found

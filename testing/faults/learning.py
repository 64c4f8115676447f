"""Faults 29, 33, 34, 37 and 38: a learner that dies, hangs or diverges, and bad input to it."""

from __future__ import annotations

import hashlib
import math
import os
import pickle
import random
import signal
import time
from typing import Any

import numpy as np
import torch
from seeded_robot import AGENT, TRAINING, content, same, trained_on

from rlt_core.log import checkpoint
from rlt_core.log.sqlite_log import LOG_FILE, StoredLog
from rlt_core.records import EpisodeKind, Source
from rlt_core.rl.networks import Actor
from rlt_interfaces.msg import LearnerStatus, PolicyInfo, PolicyWeights, Transition
from rlt_node import qos
from rlt_node.conversions import transition_from_msg

from .bench import Bench
from .chunks import CHUNK, quoted
from .disk import Payload
from .records import Records
from .rows import Make, row

EPISODE_TICKS = 40
HISTORY = qos.LOG.depth  # of the topic `transitions`
START_S = 40.0


@row(29, "learner killed (kill -9) while it ingests an episode", "the robot continues with its "
     "last weights; nothing lost, nothing duplicated", "learner")
def learner_killed(make: Make) -> str:
    bench = make(policy=False)
    output = bench.graph.folder / "run"
    told: list[LearnerStatus] = bench.heard(LearnerStatus, "learner_status", qos.LATEST)
    infos = bench.heard(PolicyInfo, "policy_info", qos.LATEST)
    commits = bench.heard(Transition, "transitions", qos.LOG)
    bench.start("policy", hidden_dim=AGENT["hidden_dim"])
    bench.start("observer", "chunk_controller")
    bench.start("recorder", output=str(output))
    bench.start("learner", output=str(output), **AGENT, **TRAINING)
    bench.wait(lambda: told, "the learner", START_S)
    for _ in range(TRAINING["warmup_episodes"]):
        _run_episode(bench, EpisodeKind.WARMUP)
    bench.wait(lambda: infos and infos[-1].policy_version == 1, "the first weights", START_S)
    bench.drive(EpisodeKind.TRAIN)
    known = len(commits)
    bench.wait(lambda: len(commits) > known + CHUNK, "commits of the episode")
    fault = time.monotonic()
    bench.graph.processes["learner"].send_signal(signal.SIGKILL)
    bench.pass_ticks(EPISODE_TICKS)
    bench.end_episode()
    bench.begin(EpisodeKind.TRAIN)
    bench.steady()
    bench.pass_ticks(EPISODE_TICKS)
    alone = bench.since(fault)
    versions = {step.policy_version for step in alone if step.source is Source.ACTOR}
    acted = sum(step.source is Source.ACTOR for step in alone)
    assert versions == {1}, versions
    told.clear()
    bench.start("learner", output=str(output), **AGENT, **TRAINING)
    bench.wait(lambda: told and told[-1].received, "the restarted learner", START_S)
    bench.end_episode()
    bench.wait(lambda: sum(m.commit == m.COMMIT_EPISODE_END for m in commits) == 4, "the record")
    bench.wait(lambda: told[-1].ingested_seq == len(commits), "the learner to catch up", START_S)
    bench.wait(lambda: told[-1].updates_owed < 1, "its updates", START_S)
    assert not bench.errors(), bench.errors()
    bench.judge()  # what follows takes this process's time
    log = StoredLog(output / LOG_FILE)
    found = log.page(1, len(log))
    log.close()
    heard = [transition_from_msg(message) for message in commits]
    assert [t.seq for t in found] == [*range(1, len(heard) + 1)]
    assert list(map(content, found)) == list(map(content, heard))
    assert (told[-1].received, told[-1].missing) == (len(found), 0)
    assert bench.graph.stop("learner") == 0
    expected, _ = trained_on(found, bench.contract).state_dict()
    assert same(checkpoint.load(output / "checkpoint")[0], expected), "learnt from something else"
    return (
        f"{acted} ticks of the actor at version 1 without a learner, in two episodes; restarted, "
        f"it had each of {len(found)} commits once, and the weights are, bit for bit, those of a "
        "learner that never died"
    )


def _run_episode(bench: Bench, kind: EpisodeKind) -> None:
    """A short episode."""
    bench.begin(kind)
    bench.steady()
    bench.pass_ticks(EPISODE_TICKS)
    bench.end_episode()


@row(33, "weights that are not finite, of another shape, older, of another run, of another "
     "contract, damaged, or a pickle", "refused before the swap; the old actor continues to act",
     "learner")
def bad_weights(make: Make) -> str:
    bench = make(policy=False)
    infos = bench.heard(PolicyInfo, "policy_info", qos.LATEST)
    weights = bench.publisher(PolicyWeights, "policy_weights", qos.LATEST)
    canary = bench.graph.folder / "canary"
    bench.start("policy", hidden_dim=AGENT["hidden_dim"])
    bench.start("observer", "chunk_controller")
    bench.begin(EpisodeKind.WARMUP)
    weights.publish(_weights(bench, version=3))
    bench.end_episode()
    bench.wait(lambda: infos and infos[-1].policy_version == 3, "the first weights", START_S)
    bench.drive(EpisodeKind.TRAIN)
    lines = []
    for version, (word, changes) in enumerate(_bad_ones(canary).items(), start=4):
        bench.mark()
        message = _weights(bench, **({"version": version} | changes))
        weights.publish(message)
        bench.pass_ticks(5)
        bench.end_episode()
        lines.append(bench.said_once("policy", f"version {message.version}", word, "version 3"))
        began = time.monotonic()
        bench.begin(EpisodeKind.TRAIN)
        bench.resumes(began)
        bench.steady()
    acted = {s.policy_version for s in bench.since(bench.marked_at) if s.source is Source.ACTOR}
    assert acted == {3} and infos[-1].policy_version == 3, acted
    assert not canary.exists(), "the pickle was loaded"
    weights.publish(_weights(bench, version=20))
    bench.end_episode()
    bench.wait(lambda: infos[-1].policy_version == 20, "good weights after the bad")
    bench.judge()
    return (
        f"{len(lines)} bad ones refused, one line each, version 3 acted all the time; good ones "
        f"were accepted afterwards: {quoted(lines[0])}"
    )


def _weights(bench: Bench, bend: Any = None, **changes: Any) -> PolicyWeights:
    """Weights of an untrained actor, with these fields in place of the right ones.

    `bend` changes its tensors; `data` replaces their bytes under a right hash.
    """
    contract = bench.contract
    actor = Actor(
        contract.state_size, contract.chunk, contract.action.size, AGENT["hidden_dim"],
        np.ones(contract.action.size, np.float32),
    ).state_dict()
    if bend is not None:
        bend(actor)
    data, sha256 = checkpoint.encode(actor)
    if "data" in changes:
        sha256 = hashlib.sha256(changes["data"]).hexdigest()
    fields = {
        "run": "faults", "contract_hash": contract.hash(), "sha256": sha256, "data": data,
    }
    return PolicyWeights(**(fields | changes))


def _bad_ones(canary: Any) -> dict[str, dict[str, Any]]:
    """Text that the line about it must contain -> the changes that make weights bad."""

    def not_finite(actor: dict[str, torch.Tensor]) -> None:
        next(iter(actor.values())).view(-1)[-1] = math.nan

    def another_shape(actor: dict[str, torch.Tensor]) -> None:
        name = next(iter(actor))
        actor[name] = actor[name][..., :-1].clone()

    return {
        "not finite": {"bend": not_finite},
        "have shapes": {"bend": another_shape},
        "older": {"version": 2},
        "'another'": {"run": "another"},
        "beef": {"contract_hash": "beef"},
        "0" * 64: {"sha256": "0" * 64},
        "not safetensors data": {"data": pickle.dumps(Payload(canary))},
    }


@row(34, "the updates diverge", "nothing more is published or saved; the last good weights stay; "
     "logged once", "learner")
def diverging_learner(make: Make) -> str:
    records = make(Records)
    records.learn_two_versions()
    assert records.graph.stop("learner") == 0
    good, meta = checkpoint.load(records.output / "checkpoint")
    records.forget()
    records.start("learner", learning_rate=1e9)
    records.wait(lambda: records.weights, "the weights of the checkpoint")
    records.mark()
    for number in (4, 5, 6):
        records.run_episode(number)
        records.closed(number)
    line = records.said_once("learner", "learning diverged", "version 2", "learning_rate")
    commits = len(records.log())
    records.wait(lambda: records.learner.received == commits, "the last commits")
    assert records.learner.fault and records.learner.policy_version == 2
    assert [message.version for message in records.weights] == [2]
    acting = checkpoint.decode(bytes(records.weights[0].data), records.weights[0].sha256)
    assert all(torch.equal(acting[name], good[f"actor.{name}"]) for name in acting) and acting
    assert records.graph.stop("learner") == 0
    kept, counters = checkpoint.load(records.output / "checkpoint")
    assert same(kept, good) and counters["policy_version"] == meta["policy_version"] == 2
    assert records.errors() == [line], records.errors()
    return (
        f"version 2 stayed the last, published and on the disk, while 3 more episodes were "
        f"ingested, {commits} commits in all: {quoted(line, 250)}"
    )


@row(37, "transitions that arrive twice, out of order, or not at all", "duplicates are dropped, "
     "gaps are requested again; nothing is accepted out of order", "learner")
def bad_delivery(make: Make) -> str:
    records, rng = make(Records), random.Random()
    relay = records.node("relay")
    onward = relay.create_publisher(Transition, "relayed", qos.LOG)
    kept: list[Transition] = []
    harm = {"dropped": 0, "doubled": 0}

    def pass_on(message: Transition) -> None:
        if rng.random() < 0.2:
            harm["dropped"] += 1
            return
        kept.append(message)
        if rng.random() < 0.2:
            harm["doubled"] += 1
            kept.append(message)
        if len(kept) >= 8:
            rng.shuffle(kept)
            while kept:
                onward.publish(kept.pop())

    relay.create_subscription(Transition, "transitions", pass_on, qos.LOG)
    records.begin("-r", "transitions:=relayed")
    for number in (1, 2, 3):
        records.run_episode(number)
        records.closed(number)
    log = records.nothing_lost_or_doubled()
    records.caught_up(len(log))
    assert min(harm.values()) > 0 and records.learner.duplicates > 0, harm
    duplicates = records.learner.duplicates
    records.same_as_never_harmed(log)
    assert not records.errors(), records.errors()
    return (
        f"of {len(log)} commits {harm['dropped']} dropped, {harm['doubled']} duplicated, all "
        f"shuffled by eights: each learnt from once and in order ({duplicates} duplicates "
        "dropped), the weights are bit for bit those of an undisturbed run"
    )


@row(38, "learner stopped (SIGSTOP) for longer than the topic's history", "nothing is evicted: "
     "what it missed is fetched from the log", "learner")
def long_outage(make: Make) -> str:
    records = make(Records)
    records.begin()
    number = 0

    def run_until(commits: int) -> None:
        nonlocal number
        while records.recorder.committed < commits:
            number += 1
            records.run_episode(number)
            records.closed(number)

    run_until(100)
    learner = records.graph.processes["learner"].pid
    stopped, before = time.monotonic(), records.recorder.committed
    os.kill(learner, signal.SIGSTOP)
    run_until(before + HISTORY + 100)
    outage = time.monotonic() - stopped
    os.kill(learner, signal.SIGCONT)
    log = records.nothing_lost_or_doubled()
    records.caught_up(len(log))
    took = time.monotonic() - stopped - outage
    records.same_as_never_harmed(log)
    assert not records.errors(), records.errors()
    return (
        f"{len(log) - before} commits in {outage:.0f} s, {HISTORY} of which the topic keeps: all "
        f"were fetched and learnt from within {took:.1f} s, the weights are bit for bit those "
        "without an outage"
    )

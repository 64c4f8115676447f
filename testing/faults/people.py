"""Faults 23 to 28: a person's device, buttons and labels, and a takeover at a bad moment."""

from __future__ import annotations

import re
import time
from typing import Any

import numpy as np
from steady import MachineStalled

from rlt_core.control.motion_limits import normalised_bound
from rlt_core.log import checkpoint
from rlt_core.records import EpisodeKind, Outcome, Phase, Source
from rlt_core.rl.agent import Agent
from rlt_core.settings import AgentSettings
from rlt_interfaces.msg import HumanCommand, PolicyInfo, PolicyWeights
from rlt_node import qos
from rlt_node.conversions import octets

from .bench import AGREED, PERSON, POLICY, Bench
from .chunks import CHUNK, TICK_S, quoted
from .hand import FAILURE, PROFILE, SUCCESS, TAKEOVER, Hand
from .rows import Make, row

DEVICE_S = 0.2  # joy_timeout_s
STALE_S = 2.0  # stale_s
RECEIVED_S = 0.03  # from a command's receipt to the end of the tick that it meets
GUARD_TICKS = 20
PRESSES = 12
SENSORS_LATE = re.compile(r"s old[ ,]| s behind ")


def start_operator(bench: Bench) -> Hand:
    """Start the real operator and a hand on its device, at rest."""
    hand = Hand(bench.node("device"))
    bench.closing.append(hand.close)
    bench.graph.start("operator", "--params-file", str(PROFILE), **AGREED)
    commands = bench.heard(HumanCommand, "human_command", qos.COMMAND)
    bench.wait(lambda: commands and not commands[-1].fault, "the operator to trust the device")
    return hand


def taken_over(make: Make) -> tuple[Bench, Hand]:
    """Let a person drive, with the stick forward."""
    bench = make()
    bench.start("chunk_controller")
    hand = start_operator(bench)
    bench.drive()
    hand.stick = 0.6
    hand.press(TAKEOVER)
    bench.wait(lambda: bench.steps[-1].source is Source.HUMAN, "the takeover")
    bench.pass_ticks(CHUNK)
    bench.mark()
    return bench, hand


def needs_a_new_press(bench: Bench, hand: Hand, fault: float, *words: str, detection: float) -> str:
    """The device fails in takeover: hold, and only release and press give control back."""
    hold = bench.held(fault, detection, ticks=3 * CHUNK)
    nobody(bench, hold.at)
    line = bench.said_once("chunk_controller", *words)
    hand.gone, hand.trembles = False, True  # back, with the button still down
    bench.pass_ticks(3 * CHUNK)
    nobody(bench, hold.at)
    hand.stick = 0.0
    hand.release(TAKEOVER)
    bench.pass_ticks(2 * CHUNK)
    nobody(bench, hold.at)
    hand.stick = 0.6
    hand.press(TAKEOVER)
    bench.wait(lambda: bench.steps[-1].source is Source.HUMAN, "the second takeover")
    hand.stick = 0.0
    released = hand.release(TAKEOVER)
    bench.resumes(released)
    bench.steady()
    assert len(bench.errors()) == 1, bench.errors()
    bench.judge()
    return (
        f"hold after {hold.delay:.2f} s; neither the device's return nor the release moved it, the "
        f"next press did: {quoted(line)}"
    )


def nobody(bench: Bench, begin: float) -> None:
    """Check that neither policy nor person has driven since then."""
    sources = {step.source.name for step in bench.since(begin)}
    assert sources == {"HOLD"}, f"{sources} since the hold began"


@row(23, "gamepad unplugged during a takeover", "hold, not the policy; latched until the button is "
     "released and pressed again", "person", ci=True)
def gamepad_unplugged(make: Make) -> str:
    bench, hand = taken_over(make)
    fault = time.monotonic()
    hand.gone = True
    return needs_a_new_press(bench, hand, fault, "joy", "silent", detection=DEVICE_S)


@row(24, "the device repeats deflected sticks after its link is lost", "noticed by its age; as 23",
     "person")
def stale_sticks(make: Make) -> str:
    bench, hand = taken_over(make)
    fault = time.monotonic()
    hand.trembles = False
    return needs_a_new_press(bench, hand, fault, "joy", "repeats", detection=STALE_S + TICK_S)


@row(25, "joy falls silent while a stick is held", "hold; the message names the cause", "person")
def silent_with_stick_held(make: Make) -> str:
    bench, hand = taken_over(make)
    fault = time.monotonic()
    hand.gone = True
    time.sleep(0.3)
    hand.gone = False  # the driver publishes again, the stick and the button never moved
    return needs_a_new_press(bench, hand, fault, "joy", "silent", detection=DEVICE_S)


def labelled(make: Make, **environment: str) -> Bench:
    """Start real episodes that a person labels; `environment` is added to that of the nodes."""
    bench = make(episodes=False)
    bench.graph.environment |= environment
    bench.start("chunk_controller")
    bench.wait(lambda: bench.steps, "the controller's first tick")
    start_episodes(bench)
    return bench


def start_episodes(bench: Bench) -> None:
    """Start real episodes that a person labels."""
    bench.start(
        "episodes", output=str(bench.graph.folder / "run"), job="evaluate_base",
        supervisor="human", base_eval_episodes=5, time_limit_ticks=100_000,
    )


def running(bench: Bench, episode: int) -> bool:
    """Whether this episode runs and has executed a tick."""
    state = bench.state
    return (
        state is not None and bench.steps[-1].tick >= state.start_tick
        and (state.episode, state.phase) == (episode, Phase.RUNNING)
    )


@row(26, "buttons held at start-up; a chattering button", "release first; debounced; no label",
     "person")
def held_and_chattering(make: Make) -> str:
    bench = labelled(make)
    bench.wait(lambda: running(bench, 1), "the first episode")
    hand = Hand(bench.node("device"))
    bench.closing.append(hand.close)
    hand.press(TAKEOVER, SUCCESS)
    bench.graph.start("operator", "--params-file", str(PROFILE), **AGREED)
    commands = bench.heard(HumanCommand, "human_command", qos.COMMAND)
    bench.wait(lambda: len(commands) > 5 * CHUNK, "the operator")
    assert all(command.fault for command in commands), "trusted a button that was never up"
    assert not any(step.source in PERSON for step in bench.steps), "a takeover without a press"
    hand.release(TAKEOVER, SUCCESS)
    bench.wait(lambda: not commands[-1].fault, "the operator to trust the device")
    bench.steady()
    bench.forgive()
    for _ in range(20):
        hand.click(SUCCESS, seconds=0.01)
        time.sleep(0.01)
    bench.pass_ticks(2 * CHUNK)
    assert running(bench, 1), "chatter or a held button ended the episode"
    hand.click(SUCCESS)
    bench.wait(lambda: bench.state.episode > 1 or bench.state.phase is Phase.ENDED, "the label")
    bench.judge()
    return "held at start: no takeover, no label; 20 presses of 10 ms: no label; a clean press: one"


@row(27, "success and failure together; a label just after the next episode began",
     "neither applied; a warning is logged; nothing is relabelled", "person")
def ambiguous_labels(make: Make) -> str:
    bench = labelled(make)
    hand = start_operator(bench)
    bench.wait(lambda: running(bench, 1), "the first episode")
    bench.steady(GUARD_TICKS + 2 * CHUNK)
    bench.forgive()
    bench.mark()
    hand.click(SUCCESS, FAILURE)
    bench.wait(lambda: bench.logged("WARN", "ERROR"), "an answer to both labels")
    bench.pass_ticks(CHUNK)
    both = bench.logged("WARN", "ERROR")
    assert len(both) == 1 and "success and failure" in both[0], both
    assert running(bench, 1), "both labels together ended the episode"
    hand.click(SUCCESS)
    bench.wait(lambda: running(bench, 2), "the second episode")
    bench.mark()
    hand.click(FAILURE, seconds=0.1)
    bench.wait(lambda: bench.logged("WARN", "ERROR"), "an answer to the late label")
    bench.pass_ticks(CHUNK)
    late = bench.logged("WARN", "ERROR")
    assert len(late) == 1 and "run/1" in late[0] and "run/2" in late[0], late
    assert running(bench, 2), "the late label ended the second episode"
    verdicts = [s.outcome for s in bench.states if s.episode == 1 and s.phase is Phase.ENDED]
    assert verdicts == [Outcome.SUCCESS], f"the first episode was relabelled: {verdicts}"
    bench.judge()
    return f"neither applied: {quoted(both[0])}; late: {quoted(late[0], 220)}"


def weights(bench: Bench, version: int) -> PolicyWeights:
    """Weights of an untrained actor, as the learner would publish them."""
    agent = AgentSettings()
    bound = normalised_bound(bench.motion_limits, bench.contract)
    actor = Agent(bench.contract, bound, agent, seed=version).actor_state()
    data, digest = checkpoint.encode(actor)
    return PolicyWeights(
        run="faults", version=version, contract_hash=bench.contract.hash(), sha256=digest,
        data=octets(data),
    )


@row(28, "takeover in the middle of a weight swap", "the person has control within a tick; the "
     "swap waits", "weights", ci=True)
def takeover_in_a_swap(make: Make) -> str:
    bench = make(policy=False)
    publisher = bench.publisher(PolicyWeights, "policy_weights", qos.LATEST)
    info = bench.heard(PolicyInfo, "policy_info", qos.LATEST)
    commands: list[tuple[float, Any]] = []
    bench.listen(
        HumanCommand, "human_command", qos.COMMAND,
        lambda message: commands.append((time.monotonic(), message)),
    )
    bench.start("policy", "observer", "chunk_controller")
    hand = start_operator(bench)
    bench.wait(lambda: info, "the policy")
    publisher.publish(weights(bench, 1))
    bench.drive(EpisodeKind.TRAIN)
    prepared = [weights(bench, version) for version in range(2, PRESSES + 2)]
    rng = np.random.default_rng(0)
    late = []
    for swap in prepared:
        time.sleep(rng.uniform(0.0, CHUNK * TICK_S))
        publisher.publish(swap)
        time.sleep(rng.uniform(0.0, 0.01))
        count, pressed = len(commands), hand.press(TAKEOVER)
        bench.wait(lambda pressed=pressed: person_since(bench, pressed), "the takeover")
        received = next(at for at, message in commands[count:] if message.takeover)
        begin = received + RECEIVED_S
        bench.pass_ticks(3)
        late += [s.tick for s in bench.since(begin) if s.source in POLICY]
        hand.release(TAKEOVER)
        bench.steady()
    assert not late, f"the policy acted at ticks {late}, more than a tick after the takeover"
    versions = {step.policy_version for step in bench.steps if step.source is Source.ACTOR}
    assert versions == {1}, f"versions {versions} acted within one episode"
    for line in filter(SENSORS_LATE.search, bench.errors()):
        raise MachineStalled(line)  # no sensor is at fault here
    assert not bench.errors(), bench.errors()
    bench.end_episode()
    bench.wait(lambda: info[-1].policy_version == PRESSES + 1, "the swap after the episode")
    bench.judge()
    return (
        f"{PRESSES} takeovers around {PRESSES} swaps: no policy tick later than one tick after "
        f"the command; version 1 acted to the episode's end, then {PRESSES + 1} was taken"
    )


def person_since(bench: Bench, begin: float) -> bool:
    """Whether a person has driven since then."""
    return any(step.source in PERSON for step in bench.since(begin))

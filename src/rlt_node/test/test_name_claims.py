"""A name that another process has claimed is found, and that process is named."""

from __future__ import annotations

import subprocess
import sys

import pytest

from rlt_node.name_claims import Taken, claim_graph, claim_node, full_name, remapped_name

HOLDER = """
import sys
from rlt_node import name_claims
held = getattr(name_claims, sys.argv[1])(eval(sys.argv[2]))
print("claimed", flush=True)
sys.stdin.read()
"""
NAME = "/rlt/chunk_controller"


class Holder:
    """A process that holds claims until it is killed."""

    def __init__(self, kind, names):
        self.process = subprocess.Popen(
            [sys.executable, "-c", HOLDER, kind, repr(names)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )
        assert self.process.stdout.readline() == "claimed\n"
        self.who = f"process {self.process.pid}"

    def kill(self):
        self.process.kill()
        self.process.communicate()


@pytest.fixture
def hold():
    made = []

    def make(kind, names):
        made.append(Holder(kind, names))
        return made[-1]

    yield make
    for holder in made:
        holder.kill()


def test_a_second_node_of_a_name_names_the_first_and_its_end_frees_the_name(hold, domain):
    holder = hold("claim_node", NAME)
    with pytest.raises(Taken) as refused:
        claim_node(NAME)
    for words in (NAME, f"ROS domain {domain}", holder.who, "namespace:="):
        assert words in str(refused.value)
    holder.kill()
    claim_node(NAME).close()


@pytest.mark.parametrize(
    ("name", "elsewhere"),
    [("/rlt/recorder", ""), ("/robot2/chunk_controller", ""), (NAME, "another domain")],
)
def test_other_names_and_domains_are_free(hold, monkeypatch, domain, name, elsewhere):
    hold("claim_node", NAME)
    if elsewhere:
        monkeypatch.setenv("ROS_DOMAIN_ID", str(domain + 1000))
    claim_node(name).close()


def test_no_domain_is_domain_zero(monkeypatch):
    monkeypatch.setenv("ROS_DOMAIN_ID", "")
    with claim_node("/nobody/else"):
        monkeypatch.setenv("ROS_DOMAIN_ID", "0")
        with pytest.raises(Taken):
            claim_node("/nobody/else")


def test_a_launch_refuses_a_name_of_another_launch(hold):
    holder = hold("claim_graph", ["/rlt/policy", NAME])
    with pytest.raises(Taken, match=f"another launch, {holder.who}, already runs {NAME} in ROS"):
        claim_graph(["/rlt/episodes", NAME])
    for claim in claim_graph(["/rlt/learner"]):  # a separate launch beside a robot
        claim.close()


def test_a_launch_refuses_a_survivor_of_an_earlier_one(hold):
    survivor = hold("claim_node", NAME)
    with pytest.raises(Taken, match=f"{NAME} already runs in ROS domain .*, as {survivor.who}"):
        claim_graph(["/rlt/policy", NAME])
    with claim_node("/rlt/policy"):
        pass


def test_the_nodes_of_a_launch_have_the_names_that_it_claimed(hold):
    hold("claim_graph", [NAME])
    claim_node(NAME).close()


def test_a_holder_that_was_asked_too_often_is_still_found(hold):
    hold("claim_node", NAME)
    for _ in range(200):  # more than a small backlog holds
        with pytest.raises(Taken, match="process"):
            claim_node(NAME)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], "/policy"),
        (["--ros-args", "-r", "__ns:=/rlt"], "/rlt/policy"),
        (["--ros-args", "-r", "__node:=mine", "-r", "__ns:=/lab/r1/"], "/lab/r1/mine"),
        (["--ros-args", "--remap", "policy:__ns:=/a", "-r", "__ns:=/b"], "/a/policy"),
        (["--ros-args", "-r", "other:__node:=mine", "-r", "__name:=third"], "/third"),
        (["--ros-args", "-r", "joy:=/__ns/joy", "-p", "run:=__ns"], "/policy"),
    ],
)
def test_the_name_that_a_process_gives_its_node(arguments, expected):
    assert remapped_name("policy", arguments) == expected


@pytest.mark.parametrize("namespace", ["rlt", "/rlt", "/rlt/"])
def test_a_namespace_is_the_same_however_it_is_written(namespace):
    assert full_name("chunk_controller", namespace) == NAME

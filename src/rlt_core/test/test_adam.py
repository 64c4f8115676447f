"""Adam without torch's compiler is torch's Adam."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from rlt_core.rl.adam import Adam

SHAPES = [(3,), (2, 4), ()]


def made(seed: int) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(shape, generator=generator).requires_grad_() for shape in SHAPES]


def set_gradients(parameters: list[torch.Tensor], present: tuple[bool, ...], seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    for parameter, given_one in zip(parameters, present, strict=True):
        gradient = torch.randn(parameter.shape, generator=generator)
        parameter.grad = gradient if given_one else None


@given(steps=st.lists(st.tuples(*[st.booleans()] * len(SHAPES)), max_size=6))
def test_it_is_torchs_own_bit_for_bit(steps):
    ours, theirs = made(0), made(0)
    optimiser, reference = Adam(ours, 3e-3), torch.optim.Adam(theirs, lr=3e-3, fused=True)
    for seed, present in enumerate(steps):
        for parameters in (ours, theirs):
            set_gradients(parameters, present, seed)
        optimiser.step()
        reference.step()
    assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))


def test_it_goes_on_exactly_where_it_was():
    one, other = made(0), made(0)
    first = Adam(one, 1e-2)
    set_gradients(one, (True, True, True), 1)
    first.step()
    second = Adam(other, 1e-2)
    second.load_state_dict(first.state_dict())
    with torch.no_grad():
        for a, b in zip(other, one, strict=True):
            a.copy_(b)
    for parameters, optimiser in ((one, first), (other, second)):
        set_gradients(parameters, (True, False, True), 2)
        optimiser.step()
    assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


def test_gradients_can_be_forgotten():
    parameters = made(0)
    set_gradients(parameters, (True, True, True), 1)
    Adam(parameters, 1e-2).zero_grad()
    assert [p.grad for p in parameters] == [None] * len(SHAPES)


@pytest.mark.parametrize(
    ("name", "value", "finding"),
    [("1.exp_avg", None, "exp_avg of parameter 1 is missing"),
     ("0.exp_avg_sq", torch.zeros(9), r"exp_avg_sq of parameter 0 is of shape \(9,\)")],
)
def test_a_state_that_does_not_fit_is_refused(name, value, finding):
    optimiser = Adam(made(0), 1e-2)
    state = optimiser.state_dict()
    del state[name]
    with pytest.raises(ValueError, match=finding):
        optimiser.load_state_dict(state if value is None else state | {name: value})


def test_an_update_does_not_import_the_compiler():
    program = (
        "import sys, torch\n"
        "from rlt_core.rl.adam import Adam\n"
        "p = torch.ones(3, requires_grad=True); p.grad = torch.ones(3)\n"
        "Adam([p], 0.1).step()\n"
        "sys.exit('torch._dynamo' in sys.modules)\n"
    )
    assert subprocess.run([sys.executable, "-c", program], timeout=120).returncode == 0

"""Every check that benchmarks/mutations.py deletes is still where the table says."""

import importlib.util
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
SPEC = importlib.util.spec_from_file_location("mutations", ROOT / "benchmarks" / "mutations.py")
mutations = importlib.util.module_from_spec(SPEC)
sys.modules[SPEC.name] = mutations  # its dataclass looks itself up there
SPEC.loader.exec_module(mutations)


@pytest.mark.parametrize("mutant", mutations.MUTANTS, ids=lambda mutant: mutant.guard)
def test_snippet_occurs_once(mutant):
    text = (ROOT / "src" / mutant.path).read_text()
    assert mutant.applied(text) != text
    for test in mutant.tests:
        package, name = test.split("/")
        assert (ROOT / "src" / package / "test" / f"{name}.py").exists()

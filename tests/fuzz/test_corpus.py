"""What fuzzing has found, and what it begins with: none of it breaks anything any more."""

from pathlib import Path

import pytest

from tests.fuzz.seeds import seeds
from tests.fuzz.targets import TARGETS

CORPUS = Path(__file__).parent / "corpus"


@pytest.mark.parametrize("target", TARGETS)
def test_nothing_that_was_found_breaks_it(target: str) -> None:
    kept = sorted((CORPUS / target).iterdir())
    assert kept
    for path in kept:
        TARGETS[target](path.read_bytes())


@pytest.mark.parametrize("target", TARGETS)
def test_nothing_that_it_begins_with_breaks_it(target: str) -> None:
    for seed in seeds(target):
        TARGETS[target](seed)

import sys
from dataclasses import astuple, replace
from pathlib import Path
from statistics import median

import pytest

from serving.engines.simulated.calibration import Row, error, fit, line, rows, run, summary
from serving.engines.simulated.profiles import LLAMA_3_1_8B_H100
from serving.engines.simulated.step_time import StepTime

PAGE = Path(__file__).parents[4] / "docs" / "benchmarks.md"
PROFILE = LLAMA_3_1_8B_H100


def test_closed_loops_take_as_long_as_they_were_measured() -> None:
    """-s shows each of them."""
    errors: list[float] = []
    for row in rows():
        outcome = run(PROFILE.limits, PROFILE.step_time, row)
        errors.append(abs(error(row, outcome)))
        sys.stdout.write(line(row, outcome))
    assert len(errors) == 42
    assert median(errors) <= 0.03
    assert max(errors) <= 0.10
    # Nothing here depends on the machine: the page has what `python -m serving.engines.simulated.calibration` says.
    assert f"per output token: {summary(errors)}." in PAGE.read_text(encoding="utf-8")


SMALL_ROWS = [
    Row(concurrency, input_tokens, 16, 0.0, 0.0) for concurrency in (1, 4, 16) for input_tokens in (10, 300, 2000)
]


@pytest.mark.parametrize(
    "truth",
    [
        StepTime(fixed_s=5e-3, per_decoding_s=2e-4, per_context_token_s=3e-8, per_prefill_token_s=1e-5),
        StepTime(fixed_s=5e-3, per_decoding_s=0.0, per_context_token_s=3e-8, per_prefill_token_s=1e-5),
    ],
    ids=["all parts", "one part is none"],
)
def test_the_fit_finds_the_step_time_that_made_the_figures(truth: StepTime) -> None:
    limits = replace(PROFILE.limits, ingest_s=0.0)
    measured = [replace(row, tpot_s=run(limits, truth, row).tpot_s) for row in SMALL_ROWS]
    assert astuple(fit(limits, measured)) == pytest.approx(astuple(truth), rel=1e-6, abs=1e-9)


def test_no_part_of_a_fit_is_negative() -> None:
    limits = replace(PROFILE.limits, ingest_s=0.0)
    truth = StepTime(fixed_s=5e-3, per_decoding_s=-1e-5, per_context_token_s=3e-8, per_prefill_token_s=1e-5)
    measured = [replace(row, tpot_s=run(limits, truth, row).tpot_s) for row in SMALL_ROWS]
    found = fit(limits, measured)
    assert found.per_decoding_s == 0.0
    assert min(astuple(found)) >= 0.0

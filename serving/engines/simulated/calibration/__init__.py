"""Measured closed loops, the same loops run by the scheduler in virtual time, and the step time that fits them best.

`python -m serving.engines.simulated.calibration` fits again and prints how well.
"""

import csv
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import count
from operator import mul
from pathlib import Path
from statistics import fmean, median
from typing import NamedTuple

from serving.engines.simulated.request import Request
from serving.engines.simulated.scheduler import Limits, Scheduler
from serving.engines.simulated.step_time import Batch, StepTime


@dataclass(frozen=True, slots=True)
class Row:
    """So many callers, each of which sends its next request when it has its answer; means over their requests."""

    concurrency: int
    input_tokens: int
    output_tokens: int
    ttft_s: float
    tpot_s: float
    """From the first token to the last, by the number of tokens after the first."""


def rows(name: str = "llama_3_1_8b_h100") -> list[Row]:
    """Return the measurements, in the order of the file."""
    with Path(__file__).with_name(f"{name}.csv").open(newline="", encoding="utf-8") as file:
        return [
            Row(
                concurrency=int(row["concurrency"]),
                input_tokens=int(row["input_tokens"]),
                output_tokens=int(row["output_tokens"]),
                ttft_s=float(row["ttft_ms"]) / 1000,
                tpot_s=float(row["tpot_ms"]) / 1000,
            )
            for row in csv.DictReader(file)
        ]


class Work(NamedTuple):
    """What steps have computed, all together."""

    steps: int = 0
    decoding: int = 0
    context_tokens: int = 0
    prefill_tokens: int = 0

    def plus(self, batch: Batch) -> "Work":
        return Work(
            self.steps + 1,
            self.decoding + batch.decoding,
            self.context_tokens + batch.context_tokens,
            self.prefill_tokens + batch.prefill_tokens,
        )


@dataclass(frozen=True, slots=True)
class Outcome:
    """Of a closed loop in virtual time: means over the second request of each caller."""

    ttft_s: float
    tpot_s: float
    work_per_token: tuple[float, ...]
    """Work from the first token to the last, by the number of tokens after the first."""


class Call(Request):
    """One request of a caller."""

    __slots__ = ("first_at_s", "first_work", "number", "sent_at_s")

    def __init__(self, row: Row, number: int, now_s: float) -> None:
        # The first ones differ in length, so that the callers get out of step, as they do where anything is random.
        output_tokens = row.output_tokens * min(number + 1, row.concurrency) // row.concurrency
        super().__init__(row.input_tokens, output_tokens, lambda block: (number, block))
        self.number = number
        self.sent_at_s = self.first_at_s = now_s
        self.first_work = Work()


def run(limits: Limits, step_time: StepTime, row: Row) -> Outcome:
    """Run a row's closed loop."""
    scheduler = Scheduler[Call](limits, step_time)
    now_s = 0.0
    work = Work()
    numbers = count()
    samples: list[tuple[float, ...]] = []
    for _ in range(row.concurrency):
        scheduler.submit(Call(row, next(numbers), now_s), now_s)
    while len(samples) < row.concurrency:
        now_s = scheduler.next_step_at(now_s) or now_s
        step = scheduler.step(now_s)
        assert step is not None, "a caller always waits for an answer"
        now_s += step.duration_s
        work = work.plus(step.batch)
        for call in step.produced:
            if call.made_tokens == 1:
                call.first_at_s, call.first_work = now_s, work
            elif call.has_made_all:
                if row.concurrency <= call.number < 2 * row.concurrency:
                    samples.append(_sample(call, now_s, work))
                scheduler.submit(Call(row, next(numbers), now_s), now_s)
    ttft_s, tpot_s, *work_per_token = map(fmean, zip(*samples, strict=True))
    return Outcome(ttft_s, tpot_s, tuple(work_per_token))


def _sample(call: Call, now_s: float, work: Work) -> tuple[float, ...]:
    later_tokens = call.output_tokens - 1
    done = tuple((after - before) / later_tokens for before, after in zip(call.first_work, work, strict=True))
    return (call.first_at_s - call.sent_at_s, (now_s - call.first_at_s) / later_tokens, *done)


def error(row: Row, outcome: Outcome) -> float:
    """Return by how much TPOT is off: 0.1 is 10 % too slow."""
    return outcome.tpot_s / row.tpot_s - 1


def line(row: Row, outcome: Outcome) -> str:
    """Return a line for people, TTFT included; what was measured of that has the rush at the beginning in it."""
    return (
        f"{row.concurrency:4} callers, {row.input_tokens:4} + {row.output_tokens:3} tokens: TPOT "
        f"{outcome.tpot_s * 1e3:5.2f} ms, measured {row.tpot_s * 1e3:5.2f} ({error(row, outcome):+6.1%}); TTFT "
        f"{outcome.ttft_s * 1e3:3.0f} ms, measured {row.ttft_s * 1e3:3.0f}\n"
    )


def summary(errors: Sequence[float]) -> str:
    """Return what to say of the errors of all rows."""
    return f"median {median(errors):.2%}, mean {fmean(errors):.2%}, largest {max(errors):.2%}"


def fit(limits: Limits, measured: Sequence[Row]) -> StepTime:
    """Return the step time with the least squares of relative errors of TPOT, no part of it negative.

    Which step computes what does not depend on how long steps take as long as requests are ingested at once, so TPOT is
    linear in what is looked for, and one run of each row is enough.
    """
    limits = replace(limits, ingest_s=0.0)
    untimed = StepTime(0.0, 0.0, 0.0, 0.0)
    # Relative: each equation is divided by what was measured.
    equations = [[part / row.tpot_s for part in run(limits, untimed, row).work_per_token] for row in measured]
    parts = list(range(len(Work._fields)))
    while True:
        found = dict(zip(parts, _solve([[equation[part] for part in parts] for equation in equations]), strict=True))
        if min(found.values()) >= 0:
            return StepTime(*(found.get(part, 0.0) for part in range(len(Work._fields))))
        parts = [part for part in parts if found[part] >= 0]


def _solve(equations: Sequence[Sequence[float]]) -> list[float]:
    """Return x so that every equation's sum of a*x is as near to 1 as can be: normal equations, by elimination."""
    columns = list(zip(*equations, strict=True))
    matrix = [[_product(left, right) for right in columns] + [sum(left)] for left in columns]
    for pivot, row in enumerate(matrix):
        row[:] = [value / row[pivot] for value in row]
        for other in matrix:
            if other is not row:
                other[:] = [value - other[pivot] * unit for value, unit in zip(other, row, strict=True)]
    return [row[-1] for row in matrix]


def _product(left: Sequence[float], right: Sequence[float]) -> float:
    return sum(map(mul, left, right))

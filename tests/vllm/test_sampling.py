"""Every field of the contract's sampling reaches vLLM, or is refused by its name."""

from dataclasses import fields, replace
from typing import Any

import pytest
from vllm.sampling_params import RequestOutputKind, SamplingParams

from serving.engine import ContinuationImpossible, Generation, Sampling, UnsupportedField
from serving.engines.vllm.choices import choice_requests
from serving.engines.vllm.sampling import FORMS, continues_exactly, demanded, sampling_params

PLAIN = Sampling(max_tokens=100)

MAPPED: dict[str, tuple[Any, Any]] = {
    "max_tokens": (7, 7),
    "min_tokens": (3, 3),
    "temperature": (0.5, 0.5),
    "top_p": (0.25, 0.25),
    "top_k": (9, 9),
    "min_p": (0.125, 0.125),
    "presence_penalty": (-2.0, -2.0),
    "frequency_penalty": (1.5, 1.5),
    "repetition_penalty": (1.25, 1.25),
    "stop_token_ids": ((5, 6), [5, 6]),
    "seed": (11, 11),
    "logprobs": (0, 0),
    "logit_bias": ({4: -100.0}, {4: -100.0}),
    "ignore_eos": (True, True),
}
"""Field by field: what is asked for, and what vLLM is told."""


def test_every_field_is_tried() -> None:
    others = {"n", "structured_output"}  # below
    assert {field.name for field in fields(Sampling)} == MAPPED.keys() | others


@pytest.mark.parametrize("name", MAPPED)
def test_a_field_reaches_vllm(name: str) -> None:
    asked, told = MAPPED[name]
    params = sampling_params(replace(PLAIN, **{name: asked}), 0, 0)
    assert getattr(params, name) == told
    untouched = sampling_params(PLAIN, 0, 0)
    different = {other for other in MAPPED if getattr(params, other) != getattr(untouched, other)}
    assert different == {name}


def test_what_is_not_asked_for_is_off() -> None:
    params = sampling_params(PLAIN, 0, 0)
    off = SamplingParams(
        max_tokens=100, detokenize=False, output_kind=RequestOutputKind.DELTA, skip_clone=True, logit_bias=None
    )
    assert params == off


@pytest.mark.parametrize(
    ("kind", "form", "attribute", "value"),
    [
        ("json_schema", '{"type": "object"}', "json", '{"type": "object"}'),
        ("regex", "a+", "regex", "a+"),
        ("grammar", 'root ::= "a"', "grammar", 'root ::= "a"'),
        ("choice", ("a", "b"), "choice", ["a", "b"]),
        ("tool_schema", '{"type": "array"}', "json", '{"type": "array"}'),
        ("structural_tag", "{}", "structural_tag", "{}"),
    ],
)
def test_structured_output_reaches_vllm(kind: str, form: str | tuple[str, ...], attribute: str, value: Any) -> None:
    assert kind in FORMS
    given = sampling_params(replace(PLAIN, structured_output=(kind, form)), 0, 0).structured_outputs
    assert given is not None
    assert getattr(given, attribute) == value
    if kind in ("tool_schema", "structural_tag"):
        assert demanded(given) == (kind, form)


def test_choices_of_one_seed_differ_and_no_seed_is_taken_for_none() -> None:
    seeds = [sampling_params(replace(PLAIN, seed=seed), 2, 0).seed for seed in (5, -1, -3, 2**63 - 1)]
    assert seeds == [7, 1, 2**63 - 1, 1]


def test_a_continued_choice_has_the_rest_of_its_budgets() -> None:
    sampling = replace(PLAIN, min_tokens=10)
    assert [(p.max_tokens, p.min_tokens) for p in (sampling_params(sampling, 0, sent) for sent in (4, 30))] == [
        (96, 6),
        (70, 0),
    ]


@pytest.mark.parametrize(
    ("sampling", "field_name"),
    [
        (replace(PLAIN, temperature=0.009), "sampling.temperature"),
        (replace(PLAIN, temperature=1e-7), "sampling.temperature"),
        (replace(PLAIN, temperature=3.0), "sampling.temperature"),
        (replace(PLAIN, top_p=0.0), "sampling.top_p"),
        (replace(PLAIN, logprobs=-2), "sampling.logprobs"),
        (replace(PLAIN, min_tokens=101), "sampling"),
    ],
)
def test_what_vllm_does_not_do_is_refused_by_name(sampling: Sampling, field_name: str) -> None:
    with pytest.raises(UnsupportedField) as refused:
        sampling_params(sampling, 0, 0)
    assert refused.value.field_name == field_name


def test_the_smallest_temperature_passes_as_the_wire_rounds_it() -> None:
    assert sampling_params(replace(PLAIN, temperature=0.009999999776482582), 0, 0).temperature == 0.01


@pytest.mark.parametrize(
    ("sampling", "is_exact"),
    [
        (replace(PLAIN, temperature=0.0, seed=1), True),
        (replace(PLAIN, repetition_penalty=2.0), True),
        (PLAIN, True),
        (replace(PLAIN, seed=1), False),
        (replace(PLAIN, presence_penalty=0.5), False),
        (replace(PLAIN, frequency_penalty=-0.5), False),
    ],
)
def test_knows_what_it_continues_exactly(sampling: Sampling, is_exact: bool) -> None:
    assert continues_exactly(sampling) == is_exact


def test_each_choice_is_a_request_that_begins_with_its_own_tokens() -> None:
    sampling = replace(PLAIN, n=4)
    generation = Generation("r", (1, 2), sampling, sent={0: (3,), 2: (4, 5)}, finished=frozenset({3}))
    assert [(r.index, r.request_id, r.token_ids, r.params.max_tokens) for r in choice_requests(generation)] == [
        (0, "r-0", [1, 2, 3], 99),
        (1, "r-1", [1, 2], 100),
        (2, "r-2", [1, 2, 4, 5], 98),
    ]


def test_a_grammar_cannot_be_continued() -> None:
    sampling = replace(PLAIN, n=2, structured_output=("regex", "a+"))
    with pytest.raises(ContinuationImpossible):
        choice_requests(Generation("r", (1, 2), sampling, sent={0: (3,)}))
    ended_alone = Generation("r", (1, 2), sampling, sent={0: (3,)}, finished=frozenset({0}))
    assert [request.index for request in choice_requests(ended_alone)] == [1]

"""From the contract's sampling to vLLM's. What vLLM would change or drop in silence is refused here."""

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from vllm.exceptions import VLLMValidationError
from vllm.sampling_params import RequestOutputKind, SamplingParams, StructuredOutputsParams

from serving.engine import Sampling, UnsupportedField

MIN_TEMPERATURE = 0.01
"""vLLM takes what is below, and not 0, for this."""

SEED_MASK = 2**63 - 1
"""vLLM takes the seed -1 for none, so negative seeds become positive ones."""


class Form(NamedTuple):
    """A kind of structured output: the field of the request to blame, and vLLM's name."""

    field_name: str
    vllm_name: str


TOOL_SCHEMA = "tool_schema"
STRUCTURAL_TAG = "structural_tag"
FORMS: Mapping[str, Form] = {
    "json_schema": Form("sampling.json_schema", "json"),
    "regex": Form("sampling.regex", "regex"),
    "grammar": Form("sampling.grammar", "grammar"),
    "choice": Form("sampling.choice", "choice"),
    # What `tool_choice` demands.
    TOOL_SCHEMA: Form("tools", "json"),
    STRUCTURAL_TAG: Form("tools", "structural_tag"),
}


def sampling_params(sampling: Sampling, index: int, sent_tokens: int) -> SamplingParams:
    """Return the parameters of one choice of which so many tokens were sent. Raises UnsupportedField."""
    # The contract's floats have 7 digits: 0.01 arrives as a little less.
    if sampling.temperature > 0 and round(sampling.temperature, 6) < MIN_TEMPERATURE:
        raise UnsupportedField("sampling.temperature", f"neither 0 nor at least {MIN_TEMPERATURE}")
    try:
        return SamplingParams(
            temperature=sampling.temperature,
            top_p=sampling.top_p,
            top_k=sampling.top_k,
            min_p=sampling.min_p,
            presence_penalty=sampling.presence_penalty,
            frequency_penalty=sampling.frequency_penalty,
            repetition_penalty=sampling.repetition_penalty,
            # As vLLM for n choices; n itself it refuses where sampling is greedy.
            seed=None if sampling.seed is None else (sampling.seed + index) & SEED_MASK,
            max_tokens=sampling.max_tokens - sent_tokens,
            min_tokens=max(0, sampling.min_tokens - sent_tokens),
            stop_token_ids=list(sampling.stop_token_ids),
            ignore_eos=sampling.ignore_eos,
            logprobs=sampling.logprobs,
            logit_bias=dict(sampling.logit_bias) or None,
            structured_outputs=_structured_outputs(sampling),
            detokenize=False,
            output_kind=RequestOutputKind.DELTA,
            skip_clone=True,
        )
    except VLLMValidationError as error:
        raise refused(error, sampling, "sampling") from None


def continues_exactly(sampling: Sampling) -> bool:
    """Whether a request whose prompt ends with the tokens sent goes on as the first one would have.

    Not where vLLM counts from the first token that it makes itself: the random numbers of a seed (its V1 model runner;
    V2 derives them from the position, but that was not tried), and tokens for presence and frequency penalties. Its
    repetition penalty counts prompt and output alike. Without a seed any draw is as good as the one that was lost.
    """
    is_seeded = sampling.temperature > 0 and sampling.seed is not None
    return not (is_seeded or sampling.presence_penalty or sampling.frequency_penalty)


def refused(error: Exception, sampling: Sampling, field_name: str) -> UnsupportedField:
    """Return vLLM's refusal of a request, naming the field to blame: `field_name` where vLLM does not say."""
    parameter: str | None = getattr(error, "parameter", None)
    message = " ".join(str(error.args[0] if error.args else error).split())
    if parameter is not None and hasattr(sampling, parameter):
        return UnsupportedField(f"sampling.{parameter}", message)
    if parameter is None and sampling.structured_output is not None:
        return UnsupportedField(FORMS[sampling.structured_output[0]].field_name, message)
    return UnsupportedField(parameter or field_name, message)


def _structured_outputs(sampling: Sampling) -> StructuredOutputsParams | None:
    if sampling.structured_output is None:
        return None
    kind, form = sampling.structured_output
    value: Any = form if isinstance(form, str) else list(form)
    return StructuredOutputsParams(**{FORMS[kind].vllm_name: value})


def demanded(structured_outputs: StructuredOutputsParams) -> tuple[str, str]:
    """Return what vLLM's tool parsers ask for in the form of Sampling.structured_output."""
    if structured_outputs.structural_tag is not None:
        return STRUCTURAL_TAG, structured_outputs.structural_tag
    schema = structured_outputs.json
    return TOOL_SCHEMA, schema if isinstance(schema, str) else json.dumps(schema)

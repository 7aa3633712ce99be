from collections.abc import Mapping
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.engine import Ended, Sampling, UnsupportedField
from serving.engines.simulated.answer import Answer, voice_of
from serving.engines.simulated.tokens import SimulatedDecoder, Special, encode

PROMPT = encode("Why is the sky blue?")
NATURAL_TOKENS = 100


def answer(
    sampling: Sampling, *, prompt: list[int] = PROMPT, index: int = 0, lora_name: str = "", thinks: bool = False
) -> Answer:
    prompt = [*prompt, Special.THINK] if thinks else prompt
    return Answer(voice_of(prompt, lora_name, NATURAL_TOKENS), index, sampling)


def tokens(of: Answer) -> list[int]:
    return of.tokens(0, of.length)


def text(of: Answer) -> str:
    decoder = SimulatedDecoder(skip_special_tokens=True)
    return "".join(map(decoder.decode, tokens(of))) + decoder.flush()


SAMPLINGS = st.builds(
    Sampling,
    max_tokens=st.integers(1, 600),
    min_tokens=st.integers(0, 200),
    ignore_eos=st.booleans(),
    stop_token_ids=st.sampled_from(((), tuple(encode("the sea car ")), (int(Special.END),))),
)


@given(SAMPLINGS, st.booleans(), st.integers(0, 700), st.integers(0, 700))
def test_a_part_is_what_stands_there_in_the_whole(sampling: Sampling, thinks: bool, start: int, stop: int) -> None:
    whole = answer(sampling, thinks=thinks)
    assert len(tokens(whole)) == whole.length <= sampling.max_tokens
    assert answer(sampling, thinks=thinks).tokens(start, stop) == tokens(whole)[start:stop]


@given(SAMPLINGS, st.booleans())
def test_it_ends_for_the_reason_that_it_says(sampling: Sampling, thinks: bool) -> None:
    whole = answer(sampling, thinks=thinks)
    last = tokens(whole)[-1]
    match whole.ended, whole.stop_token_id:
        case Ended.LENGTH, None:
            assert whole.length == sampling.max_tokens
        case Ended.STOP, None:
            assert last == Special.END
            assert not sampling.ignore_eos
        case Ended.STOP, stop_token_id:
            assert last == stop_token_id
            assert stop_token_id in sampling.stop_token_ids
        case _:
            pytest.fail("it ends otherwise")
    if whole.ended is Ended.STOP:
        assert whole.length >= sampling.min_tokens
    first = max(0, sampling.min_tokens - 1)
    assert not set(sampling.stop_token_ids) & set(tokens(whole)[first:-1])


def test_words_go_on_to_the_limit_where_they_must_not_end_by_themselves() -> None:
    whole = answer(Sampling(max_tokens=5000, ignore_eos=True))
    assert (whole.length, whole.ended) == (5000, Ended.LENGTH)


def test_words_end_by_themselves_near_the_natural_length() -> None:
    lengths = {answer(Sampling(max_tokens=10_000), prompt=[number]).length for number in range(300)}
    assert NATURAL_TOKENS // 2 < min(lengths) < 60
    assert 140 < max(lengths) <= 3 * NATURAL_TOKENS // 2 + 1


@pytest.mark.parametrize(
    "other",
    [
        answer(Sampling(max_tokens=50), prompt=[*PROMPT, 1]),
        answer(Sampling(max_tokens=50), index=1),
        answer(Sampling(max_tokens=50), lora_name="adapter"),
    ],
)
def test_another_prompt_choice_or_adapter_has_another_answer(other: Answer) -> None:
    assert tokens(other) != tokens(answer(Sampling(max_tokens=50)))


def test_it_thinks_first_where_the_prompt_says_so() -> None:
    said = text(answer(Sampling(max_tokens=1000), thinks=True))
    thoughts, words = said.removeprefix("<think>").split("</think>")
    assert said.startswith("<think>")
    assert 30 * 4 < len(thoughts.encode()) < 100 * 4
    assert len(words.encode()) > 40 * 4


def test_one_of_the_choices_is_given_word_for_word() -> None:
    texts = ("yes, of course", "no")
    given_texts = {
        text(answer(Sampling(max_tokens=100, structured_output=("choice", texts)), prompt=[number]))
        for number in range(20)
    }
    assert given_texts == set(texts)


def test_a_structured_output_comes_after_the_thoughts_and_ends_where_it_is_complete() -> None:
    sampling = Sampling(max_tokens=1000, structured_output=("json_schema", '{"type": "boolean"}'))
    whole = answer(sampling, thinks=True)
    assert text(whole).partition("</think>")[2] == "true"
    assert whole.ended is Ended.STOP


REFUSED: Mapping[str, Sampling] = {
    "sampling.presence_penalty": Sampling(max_tokens=9, presence_penalty=0.5),
    "sampling.frequency_penalty": Sampling(max_tokens=9, frequency_penalty=-0.5),
    "sampling.repetition_penalty": Sampling(max_tokens=9, repetition_penalty=1.1),
    "sampling.logit_bias": Sampling(max_tokens=9, logit_bias={7: 1.0}),
    "sampling.regex": Sampling(max_tokens=9, structured_output=("regex", "a+")),
    "sampling.grammar": Sampling(max_tokens=9, structured_output=("grammar", 'root ::= "a"')),
    "sampling.json_schema": Sampling(max_tokens=9, structured_output=("json_schema", '{"pattern": "a"}')),
    "sampling.ignore_eos": Sampling(max_tokens=9, structured_output=("choice", ("a",)), ignore_eos=True),
    "sampling.min_tokens": Sampling(max_tokens=9, structured_output=("choice", ("a",)), min_tokens=3),
}


@pytest.mark.parametrize("field", REFUSED)
def test_what_it_cannot_do_is_refused_by_the_fields_name(field: str) -> None:
    with pytest.raises(UnsupportedField) as refusal:
        answer(REFUSED[field])
    assert refusal.value.field_name == field


def test_what_only_cuts_off_unlikely_tokens_changes_nothing() -> None:
    plain = Sampling(max_tokens=50)
    other = replace(plain, temperature=0.0, top_p=0.5, top_k=3, min_p=0.1, seed=7)
    assert tokens(answer(other)) == tokens(answer(plain))

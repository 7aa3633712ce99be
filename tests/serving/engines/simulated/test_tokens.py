import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.engine import Tokenizer
from serving.engines.simulated.tokens import SimulatedTokenizer, Special, as_bytes, encode

TEXTS = st.text() | st.text(alphabet="ab é東🙂.:>\n\0")


def decoded(tokenizer: Tokenizer, token_ids: list[int], *, skip_special_tokens: bool = True) -> list[str]:
    decoder = tokenizer.decoder([], skip_special_tokens=skip_special_tokens)
    return [decoder.decode(token_id) for token_id in token_ids] + [decoder.flush()]


@given(TEXTS)
def test_a_text_comes_back(text: str) -> None:
    assert "".join(decoded(SimulatedTokenizer(), SimulatedTokenizer().encode(text))) == text


@given(TEXTS, TEXTS)
def test_what_stands_before_a_full_stop_changes_nothing_behind_it(before: str, after: str) -> None:
    after = after.lstrip(".:?!>\n")
    assert encode(f"{before}\n{after}") == encode(f"{before}\n") + encode(after)


@given(TEXTS)
def test_ids_are_fixed32_and_never_special(text: str) -> None:
    ids = encode(text)
    assert all(0 <= token_id < 1 << 32 for token_id in ids)
    assert not {int(special) for special in Special} & set(ids)
    assert len(as_bytes(ids)) == 4 * len(ids)


def test_prose_has_about_four_bytes_a_token() -> None:
    text = "The gateway chooses a replica for each request, streams the tokens back, and hides every failure. " * 50
    assert 3.5 < len(text.encode()) / len(encode(text)) <= 4


def test_a_character_that_is_cut_comes_with_its_last_byte() -> None:
    assert decoded(SimulatedTokenizer(), encode("for\N{LATIN SMALL LETTER E WITH CIRCUMFLEX}ts")) == ["for", "êts", ""]


def test_a_character_that_is_never_completed_is_replaced_at_the_end() -> None:
    assert decoded(SimulatedTokenizer(), encode("forêts")[:1]) == ["for", "\N{REPLACEMENT CHARACTER}"]


@pytest.mark.parametrize(("skip", "text"), [(True, ""), (False, "<|end|>")])
def test_special_tokens_are_left_out_of_the_text_or_named(skip: bool, text: str) -> None:
    assert decoded(SimulatedTokenizer(), [Special.END], skip_special_tokens=skip) == [text, ""]


def test_a_prompt_begins_with_its_special_token() -> None:
    assert SimulatedTokenizer().encode("") == [Special.BEGIN]


def test_no_text_looks_like_a_special_token() -> None:
    assert Special.END not in encode("<|end|>")

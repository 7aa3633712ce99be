from hypothesis import given
from hypothesis import strategies as st

from serving.engines.simulated.tokens import SimulatedDecoder, encode
from serving.engines.simulated.words import PHRASE_TOKENS, PHRASES, WORDS, Words


def test_every_word_is_a_whole_number_of_tokens() -> None:
    assert [word for word in WORDS if len(f"{word} ".encode()) % 4] == []


def test_every_phrase_is_as_long_as_the_others() -> None:
    assert {len(phrase) for phrase in PHRASES} == {PHRASE_TOKENS}


@given(st.integers(0, 2000), st.integers(0, 2000), st.binary(max_size=64))
def test_a_part_is_what_stands_there_in_the_whole(start: int, stop: int, key: bytes) -> None:
    assert Words(key).tokens(start, stop) == Words(key).tokens(0, 2000)[start:stop]


def test_every_machine_says_the_same() -> None:
    decoder = SimulatedDecoder(skip_special_tokens=True)
    text = "".join(map(decoder.decode, Words(b"key").tokens(0, 16)))
    assert text == "our another let sun few has bed how examination traffic its say "


def test_what_is_said_has_the_same_ids_when_it_is_encoded_again() -> None:
    tokens = Words(b"key").tokens(0, 5000)
    decoder = SimulatedDecoder(skip_special_tokens=True)
    assert encode("".join(map(decoder.decode, tokens))) == tokens


def test_now_and_then_a_character_is_cut() -> None:
    decoder = SimulatedDecoder(skip_special_tokens=True)
    texts = [decoder.decode(token_id) for token_id in Words(b"key").tokens(0, 1000)]
    assert 5 < sum(len(text.encode()) < 4 for text in texts) < 200

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference.v1 import inference_pb2 as pb
from serving.engine import ContinuationImpossible, Ended, Sampling, TokenDelta
from serving.text import Finish, Step, StopStrings, TextRules, Transcript, Unsent
from tests.serving.fakes import EOS, FakeDecoder

texts = st.text(alphabet="abé", max_size=12)
stop_lists = st.lists(st.text(alphabet="abé", min_size=1, max_size=4), min_size=1, max_size=3)


def first_completed(text: str, stop_strings: Sequence[str]) -> tuple[int, str] | None:
    """The definition, written down as slowly as possible."""
    for end in range(1, len(text) + 1):
        for stop_string in stop_strings:
            if text[:end].endswith(stop_string):
                return end, stop_string
    return None


def feed_all(stops: StopStrings, pieces: Sequence[str]) -> str:
    sent = ""
    for piece in pieces:
        sent += stops.feed(piece, can_stop=True)
        if stops.matched is not None:
            return sent
    return sent + stops.flush()


@given(st.lists(texts, max_size=6), stop_lists, st.booleans())
def test_ends_where_the_first_stop_string_is_completed(
    pieces: list[str], stop_strings: list[str], include: bool
) -> None:
    stops = StopStrings(stop_strings, include=include)
    sent = feed_all(stops, pieces)
    expected = first_completed("".join(pieces), stop_strings)
    if expected is None:
        assert (sent, stops.matched) == ("".join(pieces), None)
    else:
        end, matched = expected
        assert stops.matched == matched
        assert sent == "".join(pieces)[: end if include else end - len(matched)]


@given(st.lists(texts, max_size=6), stop_lists)
def test_holds_back_no_more_than_what_may_become_a_stop_string(pieces: list[str], stop_strings: list[str]) -> None:
    stops = StopStrings(stop_strings, include=False)
    seen = sent = ""
    for piece in pieces:
        seen += piece
        sent += stops.feed(piece, can_stop=False)
        held = seen[len(sent) :]
        assert seen.startswith(sent)
        assert not held or any(stop_string.startswith(held) for stop_string in stop_strings)


def transcript(sampling: Sampling | None = None, rules: TextRules | None = None) -> Transcript:
    rules = rules or TextRules()
    decoder = FakeDecoder(skip_special_tokens=rules.skip_special_tokens)
    return Transcript(decoder, sampling or Sampling(max_tokens=100), rules, frozenset({EOS}))


def text_of(step: Step) -> str:
    return "".join(step.texts) + step.rest


def test_a_character_comes_with_the_id_that_completes_it() -> None:
    first, second = "é".encode()
    step = transcript().advance(TokenDelta(0, [first, second]))
    assert step == Step([first, second], ["", "é"])


def test_an_incomplete_character_is_replaced_at_the_end() -> None:
    step = transcript().advance(TokenDelta(0, ["é".encode()[0]], ended=Ended.LENGTH))
    assert step.rest == "�"


def test_no_id_is_kept_beyond_the_one_that_completes_a_stop_string() -> None:
    ids = list(b"x stop y")
    choice = transcript(rules=TextRules(("stop",)))
    step = choice.advance(TokenDelta(0, ids, ended=Ended.LENGTH))
    assert (list(step.token_ids), text_of(step)) == (list(b"x stop"), "x ")
    assert step.finish == Finish(pb.FINISH_REASON_STOP, stop_string="stop")
    assert choice.tokens == 6


@pytest.mark.parametrize(("min_tokens", "expected"), [(0, ""), (3, ""), (4, "stop"), (7, "stop"), (8, "stopstopx")])
def test_a_stop_string_completed_by_one_of_the_first_min_tokens_does_not_count(min_tokens: int, expected: str) -> None:
    choice = transcript(Sampling(max_tokens=100, min_tokens=min_tokens), TextRules(("stop",)))
    assert text_of(choice.advance(TokenDelta(0, list(b"stopstopx"), ended=Ended.LENGTH))) == expected


@pytest.mark.parametrize(("include", "expected"), [(False, "a"), (True, "a</s>")])
def test_the_text_of_a_stop_token_is_sent_where_that_of_a_stop_string_is(include: bool, expected: str) -> None:
    rules = TextRules(include_stop_string=include, skip_special_tokens=False)
    step = transcript(rules=rules).advance(TokenDelta(0, [ord("a"), EOS], ended=Ended.STOP))
    assert text_of(step) == expected
    assert len(step.texts) == len(step.token_ids) == 2


@pytest.mark.parametrize(
    ("sampling", "token_ids", "finish"),
    [
        (Sampling(max_tokens=9), list(b"ab"), None),
        (Sampling(max_tokens=2), list(b"ab"), Finish(pb.FINISH_REASON_LENGTH)),
        (Sampling(max_tokens=9), [97, EOS], Finish(pb.FINISH_REASON_STOP)),
        (Sampling(max_tokens=9, ignore_eos=True), [97, EOS], None),
        (Sampling(max_tokens=9, min_tokens=3), [97, EOS], None),
        (Sampling(max_tokens=9, stop_token_ids=(98,)), list(b"ab"), Finish(pb.FINISH_REASON_STOP, stop_token_id=98)),
        (Sampling(max_tokens=9, stop_token_ids=(97,)), list(b"ab"), None),
        (Sampling(max_tokens=9), [], None),
    ],
)
def test_what_was_sent_may_prove_to_be_all(sampling: Sampling, token_ids: list[int], finish: Finish | None) -> None:
    choice = transcript(sampling)
    assert choice.replay(token_ids).finish == finish == choice.finish
    assert choice.tokens == len(token_ids)


@given(texts, st.data())
def test_drops_exactly_what_was_sent(text: str, data: st.DataObject) -> None:
    characters = data.draw(st.integers(0, len(text)))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=3)))
    unsent = Unsent(len(text[:characters].encode()))
    pieces = [text[start:end] for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    assert "".join(map(unsent.take, pieces)) == text[characters:]


def test_what_was_sent_cannot_end_inside_a_character() -> None:
    with pytest.raises(ContinuationImpossible):
        Unsent(1).take("é")

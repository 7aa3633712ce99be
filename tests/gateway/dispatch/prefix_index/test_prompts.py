import random
from array import array
from collections.abc import Sequence

import pytest

from gateway.dispatch.prefix_index.news import BYTES_MAX, News, blocks_of
from gateway.dispatch.prefix_index.prompts import PrefixIndex
from gateway.types import PromptRead, Usage

LLAMA = ("llama", "", "")
IDS = random.Random(1).randbytes(4 * 1_000)
"""A thousand token ids: 15 blocks and a rest."""


Told = list[tuple[str, int, Sequence[int]]]


def known(kv_cache_tokens: int = 0, told: Told | None = None) -> PrefixIndex:
    """Replicas a and b are there; `told` gets what others may not know."""
    heard: Told = [] if told is None else told
    index = PrefixIndex(b"secret", 10_000, lambda replica_id, life, blocks: heard.append((replica_id, life, blocks)))
    for replica_id in ("a", "b"):
        index.open(replica_id, 1, kv_cache_tokens)
    return index


def test_a_prompt_is_cached_where_it_was_read_and_its_last_token_never() -> None:
    index = known()
    first = index.of_ids(LLAMA, IDS)
    assert (first.tokens, first.cached_tokens("a")) == (1_000, 0)
    first.read("a", 1)
    assert (first.cached_tokens("a"), first.cached_tokens("b")) == (960, 0)
    longer = index.of_ids(LLAMA, IDS + IDS)
    assert (longer.tokens, longer.cached_tokens("a")) == (2_000, 960)
    whole = index.of_ids(LLAMA, IDS[: 4 * 64])
    assert (whole.tokens, whole.cached_tokens("a")) == (64, 63)


def test_of_a_long_prompt_at_most_a_sixteenth_more_is_cached_than_it_says() -> None:
    index = known()
    ids = random.Random(2).randbytes(4 * 100_000)
    index.of_ids(LLAMA, ids).read("a", 1)
    for tokens in (8_191, 8_192, 30_000, 70_000, 100_000):
        cached_tokens = index.of_ids(LLAMA, ids[: 4 * tokens] + b"other" * 10_000).cached_tokens("a")
        assert tokens - max(64, tokens // 16) <= cached_tokens <= tokens


@pytest.mark.parametrize("pieces", range(5))
def test_a_long_prompt_is_named_in_pieces_or_when_it_is_first_asked_for(pieces: int) -> None:
    index = known(10**6)
    ids = random.Random(3).randbytes(2**21)
    index.of_ids(LLAMA, ids).read("a", 1)
    prompt = index.of_ids(LLAMA, ids)
    assert [prompt.name() for _ in range(pieces)] == [False, False, False, True, True][:pieces]
    assert prompt.cached_tokens("a") == index.of_ids(LLAMA, ids).cached_tokens("a") > 100_000
    assert prompt.name()
    assert index.of_ids(LLAMA, IDS).name()


def test_another_salt_adapter_or_kind_of_prompt_has_nothing_cached() -> None:
    index = known()
    index.of_ids(LLAMA, IDS).read("a", 1)
    for other in (("llama", "", "salt"), ("llama", "law", ""), ("qwen", "", "")):
        assert index.of_ids(other, IDS).cached_tokens("a") == 0
    assert index.of_text(LLAMA, IDS).cached_tokens("a") == 0


def test_two_names_of_a_model_share_what_is_cached() -> None:
    index = known()
    index.of_ids(LLAMA, IDS).read("a", 1)
    assert index.of_ids(("alias", "", ""), IDS).renamed("llama", "").cached_tokens("a") == 960
    assert index.of_ids(("alias", "", "salt"), IDS).renamed("llama", "").cached_tokens("a") == 0


def test_nothing_is_remembered_of_a_life_that_is_over() -> None:
    index = known()
    prompt = index.of_ids(LLAMA, IDS)
    prompt.read("a", 1)
    index.open("a", 2, 0)
    assert index.of_ids(LLAMA, IDS).cached_tokens("a") == 0
    prompt.read("a", 1)
    assert index.of_ids(LLAMA, IDS).cached_tokens("a") == 0
    index.close("a")
    prompt.read("a", 2)
    assert index.of_ids(LLAMA, IDS).cached_tokens("a") == 0


def test_the_tokens_of_text_are_learnt_from_what_replicas_count() -> None:
    index = known()
    text = bytes(range(200)) * 20
    assert index.of_text(LLAMA, text).tokens == 1_000
    prompt = index.of_text(LLAMA, text)
    for _ in range(100):
        prompt.used("a", Usage(2_000, 0, 10), 0, is_settled=True)
    assert index.of_text(LLAMA, text).tokens == pytest.approx(2_000, rel=0.02)
    assert index.of_text(("qwen", "", ""), text).tokens == 1_000
    index.of_text(LLAMA, text).read("a", 1)
    assert index.of_text(LLAMA, text).cached_tokens("a") == pytest.approx(2_000 * 15 * 256 / 4_000, rel=0.02)


@pytest.mark.parametrize(
    ("expected_tokens", "cached_tokens", "is_settled", "missed"),
    [(960, 0, True, 1), (960, 0, False, 0), (960, 900, True, 0), (0, 960, True, 0), (64, 0, True, 0)],
)
def test_less_cached_than_was_thought_is_a_miss_if_all_sent_before_was_read(
    expected_tokens: int, cached_tokens: int, is_settled: bool, missed: int
) -> None:
    index = known()
    prompt = index.of_ids(LLAMA, IDS)
    prompt.read("a", 1)
    prompt.used("a", Usage(1_000, cached_tokens, 10), expected_tokens, is_settled=is_settled)
    assert index.missed == missed


def test_the_size_of_the_replicas_cache_bounds_what_it_is_thought_to_hold() -> None:
    index = known(kv_cache_tokens=2_048)
    rng = random.Random(2)
    for _ in range(20):
        index.of_ids(LLAMA, rng.randbytes(4 * 1_024)).read("a", 1)
    assert len(index.holders) * 64 <= 2 * 2_048


def test_another_worker_learns_what_it_was_not_asked_for() -> None:
    told: Told = []
    told_back: Told = []
    index, other = known(told=told), known(told=told_back)
    index.of_ids(LLAMA, IDS).read("a", 1)
    index.of_ids(LLAMA, IDS).read("a", 1)
    assert len(told) == 1
    reads = [
        PromptRead(replica_id, incarnation, array("Q", blocks).tobytes()) for replica_id, incarnation, blocks in told
    ]
    other.read_elsewhere(reads)
    assert other.of_ids(LLAMA, IDS).cached_tokens("a") == 960
    assert told_back == []
    other.read_elsewhere([reads[0]._replace(incarnation=7), reads[0]._replace(replica_id="unknown")])


def test_news_are_sent_together_and_bounded() -> None:
    due: list[int] = []
    news = News(lambda: due.append(1))
    blocks = list(range(2**64 - 100, 2**64))
    for _ in range(BYTES_MAX // 800 + 3):
        news.add("a", 1, blocks)
    assert due == [1]
    reads = news.take()
    assert (len(reads), news.dropped) == (BYTES_MAX // 800, 3)
    assert list(blocks_of(reads[0])) == blocks
    assert news.take() == []
    news.add("b", 2, blocks)
    assert due == [1, 1]


def test_names_that_are_cut_are_refused() -> None:
    with pytest.raises(ValueError, match="9 bytes"):
        blocks_of(PromptRead("a", 1, bytes(9)))

import random
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.dispatch.prefix_index.chain import ENDS
from gateway.dispatch.prefix_index.holders import Holders

IDS = [f"replica-{number}" for number in range(6)]


def blocks(path: str) -> Sequence[int]:
    """Names of a prompt whose blocks are these letters."""
    return [int.from_bytes(path[: end + 1].encode()) for end in range(len(path))]


def depths(holders: Holders, path: str) -> dict[str, int]:
    return {replica_id: depth for ids, depth in holders.depths(blocks(path)) for replica_id in ids}


def test_finds_how_far_each_replica_has_read() -> None:
    holders = opened(1_000)
    for replica_id, path in zip(IDS, ("abcdef", "abc", "abx", "x", "abcdef"), strict=False):
        assert holders.use(replica_id, blocks(path))
    assert depths(holders, "abcdefgh") == {IDS[0]: 6, IDS[1]: 3, IDS[2]: 2, IDS[4]: 6}
    assert depths(holders, "q") == depths(holders, "") == {}


def test_names_those_that_hold_more_again_whether_they_are_many_or_few() -> None:
    holders, ids = Holders(1_000), tuple(f"{number:02}" for number in range(20))
    for number, replica_id in enumerate(ids):
        holders.open(replica_id, 1, 100)
        holders.use(replica_id, blocks("abcde" if number % 8 == 0 else "abcd" if number < 12 else "abc"))
    for _ in range(2):
        found = list(holders.depths(blocks("abcdef")))
        assert found == [(ids, 3), ((*ids[:12], ids[16]), 4), ((ids[0], ids[8], ids[16]), 5)]


def test_a_prompt_that_was_read_before_is_nothing_new() -> None:
    holders = opened(1_000)
    holders.use(IDS[0], blocks("abc"))
    assert not holders.use(IDS[0], blocks("ab"))
    assert holders.use(IDS[0], blocks("abcd"))


def test_forgets_what_was_used_longest_ago_once_the_cache_is_full() -> None:
    holders = opened(8)
    holders.use(IDS[0], blocks("old"))
    for path in ("one", "two", "six"):
        holders.use(IDS[0], blocks(path))
    assert depths(holders, "old") == {}
    assert depths(holders, "six") == {IDS[0]: 3}


def test_what_is_used_again_is_kept() -> None:
    holders = opened(8)
    for path in ("hot", "one", "hot", "two", "hot", "six", "hot", "ten"):
        holders.use(IDS[0], blocks(path))
    assert depths(holders, "hot") == {IDS[0]: 3}


def test_another_life_begins_with_nothing() -> None:
    holders = opened(100)
    holders.use(IDS[0], blocks("abc"))
    holders.open(IDS[0], 1, 100)
    assert depths(holders, "abc") == {IDS[0]: 3}
    holders.open(IDS[0], 2, 100)
    assert depths(holders, "abc") == {}
    assert len(holders) == 0


def test_a_replica_that_comes_does_not_inherit_from_one_that_went() -> None:
    holders = opened(100)
    for replica_id in IDS:
        holders.use(replica_id, blocks("abc"))
    holders.close(IDS[2])
    holders.open("new", 1, 100)
    holders.use("new", blocks("a"))
    assert depths(holders, "abc") == {"new": 1, **dict.fromkeys((*IDS[:2], *IDS[3:]), 3)}


def test_a_miss_forgets_the_older_half_and_takes_the_cache_for_smaller() -> None:
    holders = opened(8)
    for path in ("hot", "one", "two"):
        holders.use(IDS[0], blocks(path))
    holders.missed(IDS[0])
    holders.missed(IDS[0])
    assert len(holders) == 0
    for _ in range(50):
        holders.missed(IDS[0])
    holders.use(IDS[0], blocks("abcdef"))
    assert depths(holders, "abcdef") == {IDS[0]: 1}
    for _ in range(50):
        holders.surprised(IDS[0])
    holders.use(IDS[0], blocks("abcdef"))
    assert depths(holders, "abcdef") == {IDS[0]: 6}


def test_all_together_stay_within_the_bound() -> None:
    holders = Holders(120)
    for replica_id in IDS:
        holders.open(replica_id, 1, 1_000_000)
    rng = random.Random(1)
    for _ in range(2_000):
        holders.use(rng.choice(IDS), blocks("".join(rng.choices("abc", k=rng.randint(1, 30)))))
        assert len(holders) <= 120
    assert holders.estimated_bytes() < 120 * 300


@given(seed=st.integers(0, 2**32), capacity=st.integers(1, 3_000))
def test_a_cache_is_counted_in_single_blocks_whatever_a_name_stands_for(seed: int, capacity: int) -> None:
    rng = random.Random(seed)
    holders = opened(capacity)
    ends = {name: end for path in ("a" * 200, "b" * 200) for name, end in zip(blocks(path), ENDS[1:], strict=False)}
    for _ in range(10):
        path = rng.choice("ab") * rng.randint(1, 200)
        holders.use(IDS[0], blocks(path))
        held = [depths(holders, each * 200).get(IDS[0], 0) for each in "ab"]
        assert sum(ENDS[depth] for depth in held) <= 2 * capacity
        assert depths(holders, path).get(IDS[0], 0) in (len(path), max(at for at in range(201) if ENDS[at] <= capacity))
    assert len(holders) <= 2 * len(ends)


@pytest.mark.parametrize("capacity", [4, 16, 1_000])
@given(seed=st.integers(0, 2**32))
def test_finds_what_a_search_of_every_replica_finds(capacity: int, seed: int) -> None:
    rng = random.Random(seed)
    holders = opened(capacity)
    for _ in range(30):
        replica_id, path = rng.choice(IDS), "".join(rng.choices("ab", k=rng.randint(1, 6)))
        match rng.randrange(12):
            case 0:
                holders.missed(replica_id)
            case 1:
                holders.close(replica_id)
                holders.open(replica_id, 1, capacity)
            case _:
                holders.use(replica_id, blocks(path))
    path = "".join(rng.choices("ab", k=6))
    searched = {
        replica_id: sum(any(replica_id in ids for ids, _ in holders.depths([name])) for name in blocks(path))
        for replica_id in IDS
    }
    assert depths(holders, path) == {replica_id: depth for replica_id, depth in searched.items() if depth}
    for replica_id in IDS:
        holders.close(replica_id)
    assert len(holders) == holders.estimated_bytes() == 0


def opened(capacity: int) -> Holders:
    holders = Holders(1_000_000)
    for replica_id in IDS:
        holders.open(replica_id, 1, capacity)
    return holders

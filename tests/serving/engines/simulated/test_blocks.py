from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from serving.engines.simulated.blocks import BlockPool

SIZE = 8


def names(*texts: str) -> dict[int, str]:
    return dict(enumerate(texts))


def hold(pool: BlockPool, *texts: str) -> list[int]:
    """What a request does whose prompt fills so many blocks."""
    blocks = pool.take(len(texts))
    for block, name in zip(blocks, texts, strict=True):
        pool.name(block, name)
    return blocks


def found(pool: BlockPool, *texts: str) -> int:
    return len(pool.find(names(*texts).__getitem__, len(texts)))


def test_finds_the_longest_beginning_that_is_cached() -> None:
    pool = BlockPool(SIZE)
    hold(pool, "a", "ab", "abc")
    assert found(pool, "a", "ab", "abd") == 2
    assert found(pool, "x", "ab", "abc") == 0
    assert len(pool.find(names("a", "ab", "abc").__getitem__, 1)) == 1


def test_a_released_block_is_free_and_still_found() -> None:
    pool = BlockPool(SIZE)
    pool.release(hold(pool, "a", "ab"))
    assert (pool.free, found(pool, "a", "ab")) == (SIZE, 2)


def test_blocks_without_a_name_are_used_before_those_that_can_be_found() -> None:
    pool = BlockPool(SIZE)
    pool.release(hold(pool, "a", "ab"))
    pool.take(SIZE - 2)
    assert found(pool, "a", "ab") == 2


def test_the_end_of_a_prompt_is_forgotten_before_its_beginning() -> None:
    pool = BlockPool(3)
    pool.release(hold(pool, "a", "ab", "abc"))
    pool.take(1)
    assert found(pool, "a", "ab", "abc") == 2


def test_the_least_recently_used_prefix_is_forgotten_first() -> None:
    pool = BlockPool(2)
    pool.release(hold(pool, "a"))
    pool.release(hold(pool, "b"))
    again = pool.find(names("a").__getitem__, 1)
    pool.share(again)
    pool.release(again)
    pool.take(1)
    assert (found(pool, "a"), found(pool, "b")) == (1, 0)


def test_a_shared_block_is_free_only_when_its_last_holder_has_released_it() -> None:
    pool = BlockPool(SIZE)
    first = hold(pool, "a")
    pool.share(first)
    pool.release(first)
    assert (pool.free, pool.idle_among(first)) == (SIZE - 1, 0)
    pool.release(first)
    assert (pool.free, pool.idle_among(first)) == (SIZE, 1)


def test_a_name_is_found_until_the_newest_of_its_blocks_is_forgotten() -> None:
    pool = BlockPool(2)
    older, newer = hold(pool, "a"), hold(pool, "a")
    pool.release(older)
    pool.release(newer)
    pool.take(1)
    assert found(pool, "a") == 1
    pool.take(1)
    assert found(pool, "a") == 0


class Holders(RuleBasedStateMachine):
    """Requests that take, name, share and release blocks in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.pool = BlockPool(SIZE)
        self.held: list[list[int]] = []

    @rule(count=st.integers(1, SIZE), named=st.integers(0, SIZE))
    def take(self, count: int, named: int) -> None:
        if count <= self.pool.free:
            before = self.pool.free
            blocks = self.pool.take(count)
            assert self.pool.free == before - count
            assert not set(blocks) & {block for other in self.held for block in other}
            self.held.append(blocks)
            for number, block in enumerate(blocks[:named]):
                self.pool.name(block, number)

    @rule(at_most=st.integers(1, SIZE))
    def share(self, at_most: int) -> None:
        hits = self.pool.find(lambda number: number, at_most)
        before, idle = self.pool.free, self.pool.idle_among(hits)
        self.pool.share(hits)
        assert self.pool.free == before - idle
        self.held.append(hits)

    @precondition(lambda self: self.held)
    @rule(data=st.data())
    def release(self, data: st.DataObject) -> None:
        self.pool.release(self.held.pop(data.draw(st.integers(0, len(self.held) - 1))))

    @invariant()
    def no_block_is_lost(self) -> None:
        assert self.pool.free == SIZE - len({block for blocks in self.held for block in blocks})
        assert self.pool.utilization == 1 - self.pool.free / SIZE

    def teardown(self) -> None:
        for blocks in self.held:
            self.pool.release(blocks)
        assert self.pool.free == SIZE
        assert sorted(self.pool.take(SIZE)) == list(range(SIZE))


TestHolders = Holders.TestCase
TestHolders.settings = settings(max_examples=50, stateful_step_count=20)

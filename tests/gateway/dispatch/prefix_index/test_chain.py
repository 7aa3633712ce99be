import os
import subprocess
import sys

from hypothesis import given
from hypothesis import strategies as st

from gateway.dispatch.prefix_index.chain import BLOCK_BYTES, ENDS, Chain, seed

SEED = seed(b"secret", "ids", "llama", "", "")


def chain(before: int, data: bytes) -> list[int]:
    whole = Chain(before, data)
    assert whole.extend(len(data))
    return whole.names


@given(st.binary(max_size=5 * BLOCK_BYTES), st.binary(max_size=3 * BLOCK_BYTES))
def test_what_begins_alike_is_called_alike_as_far_as_whole_blocks_go(start: bytes, rest: bytes) -> None:
    names = chain(SEED, start)
    assert len(names) == len(start) // BLOCK_BYTES
    assert chain(SEED, start + rest)[: len(names)] == names


@given(st.integers(0, 400_000), st.lists(st.integers(1, 100_000), max_size=5))
def test_names_are_the_same_piece_by_piece(size: int, pieces: list[int]) -> None:
    data = (bytes(range(256)) * 1_600)[:size]
    whole = Chain(SEED, data)
    for piece in pieces:
        before = len(whole.names)
        is_done = whole.extend(piece)
        named = ENDS[len(whole.names)] - ENDS[before]
        assert is_done or piece <= named * BLOCK_BYTES < piece + size / 16 + BLOCK_BYTES
    assert whole.extend(size)
    assert whole.names == chain(SEED, data)


@given(st.integers(0, 4_000_000))
def test_names_reach_to_within_a_block_or_a_sixteenth_of_a_prompt(size: int) -> None:
    named = max(end for end in ENDS if end * BLOCK_BYTES <= size) * BLOCK_BYTES
    assert size - named < max(BLOCK_BYTES, size / 16)
    if size < 32 * 1024:
        assert size - named < BLOCK_BYTES


def test_a_long_prompt_has_few_names() -> None:
    data = bytes(range(256)) * 1_600
    names = chain(SEED, data)
    assert len(names) == len(set(names)) == 185
    other = chain(SEED, data[:350_000] + b"x" + data[350_001:])
    alike = sum(end * BLOCK_BYTES <= 350_000 for end in ENDS[1:])
    assert names[:alike] == other[:alike]
    assert not set(names[alike:]) & set(other[alike:])


@given(st.lists(st.integers(0, 1), min_size=1, max_size=6), st.lists(st.integers(0, 1), min_size=1, max_size=6))
def test_a_name_is_that_of_all_blocks_up_to_it(one: list[int], other: list[int]) -> None:
    one_names = chain(SEED, b"".join(bytes([each]) * BLOCK_BYTES for each in one))
    other_names = chain(SEED, b"".join(bytes([each]) * BLOCK_BYTES for each in other))
    for length in range(1, min(len(one), len(other)) + 1):
        assert (one_names[length - 1] == other_names[length - 1]) == (one[:length] == other[:length])


def test_models_adapters_salts_and_gateways_share_no_blocks() -> None:
    scopes = [("llama", "", ""), ("llama", "law", ""), ("llama", "", "law"), ("llamalaw", "", ""), ("", "llama", "law")]
    seeds = {seed(secret, *scope) for secret in (b"one", b"two") for scope in scopes}
    assert len(seeds) == 2 * len(scopes)


def test_names_are_the_same_in_every_worker() -> None:
    program = (
        "from gateway.dispatch.prefix_index.chain import Chain, seed;"
        "chain = Chain(seed(b'secret', 'llama'), bytes(range(256)) * 2);"
        "assert chain.extend(512);"
        "print(f'{chain.names[-1]:016x}')"
    )
    names = {
        subprocess.run(
            [sys.executable, "-c", program], env={**os.environ, "PYTHONHASHSEED": number}, check=True, stdout=-1
        ).stdout
        for number in ("1", "2")
    }
    assert len(names) == 1
    assert len(names.pop().strip()) == 16

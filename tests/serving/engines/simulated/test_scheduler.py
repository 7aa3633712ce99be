import pytest

from serving.engines.simulated.request import State
from serving.engines.simulated.scheduler import Limits, Scheduler
from serving.engines.simulated.step_time import Batch, StepTime
from tests.serving.engines.simulated.sequences import ONE_SECOND, Sequenced, SmallScheduler, names


def prompt(tokens: int, first: int = 0) -> list[int]:
    return list(range(first, first + tokens))


def test_a_prompt_is_computed_in_chunks_and_then_a_token_each_step() -> None:
    scheduler = SmallScheduler(max_num_batched_tokens=16)
    request = Sequenced("a", prompt(40), output_tokens=3)
    scheduler.submit_all(request)
    steps = scheduler.run()
    assert [step.batch for step in steps] == [
        Batch(decoding=0, context_tokens=0, prefill_tokens=16),
        Batch(decoding=0, context_tokens=0, prefill_tokens=16),
        Batch(decoding=0, context_tokens=0, prefill_tokens=8),
        Batch(decoding=1, context_tokens=41, prefill_tokens=0),
        Batch(decoding=1, context_tokens=42, prefill_tokens=0),
    ]
    assert [names(step.produced) for step in steps] == ["", "", "a", "a", "a"]
    assert request.has_made_all
    assert request.state is State.ENDED


def test_decoding_comes_before_prompts_and_prompts_come_in_order_of_arrival() -> None:
    scheduler = SmallScheduler(max_num_batched_tokens=16)
    scheduler.submit_all(Sequenced("a", prompt(8), 9), Sequenced("b", prompt(8, 100), 9))
    assert scheduler.run_step().batch == Batch(0, 0, 16)
    scheduler.submit_all(Sequenced("c", prompt(20, 200), 9), Sequenced("d", prompt(3, 300), 9))
    first, second = scheduler.run_step(), scheduler.run_step()
    assert (first.batch, names(first.produced)) == (Batch(2, 18, 14), "ab")
    assert (second.batch, names(second.produced)) == (Batch(2, 20, 9), "abcd")


def test_no_more_requests_run_than_may() -> None:
    scheduler = SmallScheduler(max_num_seqs=2)
    scheduler.submit_all(*(Sequenced(name, prompt(2, 10 * number), 2) for number, name in enumerate("abc")))
    assert [names(step.produced) for step in scheduler.run()] == ["ab", "ab", "c", "c"]


def test_lower_priority_values_are_sooner() -> None:
    scheduler = SmallScheduler(max_num_seqs=1)
    scheduler.submit_all(
        Sequenced("a", prompt(2), priority=1),
        Sequenced("b", prompt(2, 10)),
        Sequenced("c", prompt(2, 20), priority=-1),
        Sequenced("d", prompt(2, 30)),
    )
    assert [names(step.produced) for step in scheduler.run()] == ["c", "b", "d", "a"]


def test_a_request_is_seen_when_it_has_been_ingested() -> None:
    scheduler = SmallScheduler(ingest_s=0.5)
    assert scheduler.next_step_at(0.0) is None
    scheduler.submit_all(Sequenced("a", prompt(2)))
    assert scheduler.next_step_at(0.2) == 0.5
    assert scheduler.step(0.2) is None
    assert (scheduler.queue_depth, scheduler.uncached_waiting_tokens) == (1, 2)
    assert scheduler.step(0.5) is not None
    assert (scheduler.queue_depth, scheduler.uncached_waiting_tokens) == (0, 0)


def test_an_equal_beginning_is_computed_once() -> None:
    scheduler = SmallScheduler()
    scheduler.submit_all(Sequenced("a", prompt(13)))
    scheduler.run()
    again = Sequenced("b", [*prompt(10), 77, 78, 79])
    scheduler.submit_all(again)
    assert scheduler.uncached_waiting_tokens == 5
    assert scheduler.run_step().batch == Batch(0, 0, 5)
    assert again.cached_tokens == 8


def test_two_requests_of_one_step_share_what_is_computed_in_it() -> None:
    scheduler = SmallScheduler()
    first, second = Sequenced("a", prompt(9)), Sequenced("b", prompt(9))
    scheduler.submit_all(first, second)
    assert scheduler.run_step().batch == Batch(0, 0, 10)
    assert (first.cached_tokens, second.cached_tokens) == (0, 8)


def test_the_last_block_is_computed_even_where_all_of_the_prompt_is_cached() -> None:
    scheduler = SmallScheduler()
    scheduler.submit_all(Sequenced("a", prompt(8)))
    scheduler.run()
    again = Sequenced("b", prompt(8))
    scheduler.submit_all(again)
    assert scheduler.run_step().batch == Batch(0, 0, 4)
    assert again.cached_tokens == 4


def test_an_answer_is_found_when_it_comes_back_in_the_next_prompt() -> None:
    scheduler = SmallScheduler()
    first = Sequenced("a", prompt(6), output_tokens=7)
    scheduler.submit_all(first)
    scheduler.run()
    second = Sequenced("b", [*first.tokens, 5, 6, 7])
    scheduler.submit_all(second)
    scheduler.run()
    # 13 tokens, of which the last was made and never computed.
    assert second.cached_tokens == 12


def test_another_salt_shares_nothing() -> None:
    scheduler = SmallScheduler()
    scheduler.submit_all(Sequenced("a", prompt(9), salt="mine"))
    scheduler.run()
    other = Sequenced("b", prompt(9), salt="yours")
    scheduler.submit_all(other)
    scheduler.run()
    assert other.cached_tokens == 0


def test_a_prompt_waits_until_all_of_it_fits() -> None:
    scheduler = SmallScheduler(blocks=5, max_num_batched_tokens=8)
    scheduler.submit_all(Sequenced("a", prompt(8), 4), Sequenced("b", prompt(12, 100)), Sequenced("c", prompt(1, 200)))
    steps = [scheduler.run_step() for _ in range(4)]
    # Three blocks are free at first, until a needs the third; c would fit and does not overtake b.
    assert [names(step.produced) for step in steps] == ["a", "a", "a", "a"]
    assert [names(step.produced) for step in scheduler.run()] == ["", "bc"]


def test_a_cached_block_that_nobody_holds_is_not_a_free_one_for_who_shares_it() -> None:
    scheduler = SmallScheduler(blocks=5)
    scheduler.submit_all(Sequenced("a", prompt(8)))
    scheduler.run()
    scheduler.submit_all(Sequenced("b", prompt(9, 100), 3), Sequenced("c", prompt(12)))
    steps = scheduler.run()
    # c finds two blocks and needs a third, but b holds all others until it ends.
    assert [names(step.produced) for step in steps] == ["b", "b", "b", "c"]
    assert not any(step.preempted for step in steps)


def test_who_came_last_gives_its_blocks_back_and_goes_on_where_it_was() -> None:
    scheduler = SmallScheduler(blocks=4)
    first, last = Sequenced("a", prompt(7), 6), Sequenced("b", prompt(7, 100), 6)
    scheduler.submit_all(first, last)
    assert names(scheduler.run_step().produced) == "ab"
    assert names(scheduler.run_step().produced) == "ab"
    step = scheduler.run_step()
    assert (names(step.preempted), names(step.produced)) == ("b", "a")
    assert (last.state, last.preemptions, last.made_tokens) == (State.WAITING, 1, 2)
    # Of 9 tokens the cache has 8: the blocks are free, but not yet forgotten.
    assert scheduler.uncached_waiting_tokens == 1
    steps = scheduler.run()
    assert sum(names(step.produced).count("b") for step in steps) == 4
    assert last.has_made_all
    assert last.cached_tokens == 0, "what it found of itself was not a prompt's hit"


def test_nobody_is_admitted_in_a_step_that_preempted() -> None:
    scheduler = SmallScheduler(blocks=4)
    scheduler.submit_all(Sequenced("a", prompt(7), 3), Sequenced("b", prompt(7, 100), 9))
    for _ in range(2):
        scheduler.run_step()
    scheduler.submit_all(Sequenced("c", prompt(2, 200), priority=-1))
    step = scheduler.run_step()
    assert (names(step.preempted), names(step.produced)) == ("b", "a")
    assert names(scheduler.run_step().produced) == "cb"


def test_an_urgent_request_is_not_the_one_that_gives_back() -> None:
    scheduler = SmallScheduler(blocks=4)
    scheduler.submit_all(Sequenced("a", prompt(7), 6), Sequenced("b", prompt(7, 100), 6, priority=-1))
    for _ in range(2):
        scheduler.run_step()
    assert names(scheduler.run_step().preempted) == "a"


def test_a_request_gives_back_its_own_blocks_where_it_is_the_last() -> None:
    scheduler = SmallScheduler(blocks=5)
    scheduler.submit_all(Sequenced("a", prompt(11), 9), Sequenced("b", prompt(7, 100), 9))
    for _ in range(2):
        scheduler.run_step()
    # Both are at the end of their blocks, and none is free.
    assert names(scheduler.run_step().preempted) == "b"


@pytest.mark.parametrize("steps", range(7))
def test_an_aborted_request_leaves_nothing_behind(steps: int) -> None:
    scheduler = SmallScheduler(max_num_batched_tokens=8, ingest_s=1.0)
    request = Sequenced("a", prompt(20), 3)
    scheduler.submit_all(request)
    for _ in range(steps):
        scheduler.step(scheduler.now_s)
        scheduler.now_s += 1.0
    scheduler.abort(request)
    scheduler.abort(request)
    assert request.state is State.ENDED
    assert scheduler.run() == []
    assert repr(scheduler).startswith("<Scheduler 0 running, 0 waiting, <BlockPool 0 held")
    assert (scheduler.uncached_waiting_tokens, scheduler.kv_cache_utilization) == (0, 0.0)


def test_a_waiting_request_can_be_aborted() -> None:
    scheduler = SmallScheduler(max_num_seqs=1)
    first, second, third = (Sequenced(name, prompt(2, 10 * number), 2) for number, name in enumerate("abc"))
    scheduler.submit_all(first, second, third)
    scheduler.run_step()
    scheduler.abort(second)
    assert [names(step.produced) for step in scheduler.run()] == ["a", "c", "c"]


def test_what_can_never_run_is_refused_at_once() -> None:
    scheduler = SmallScheduler(blocks=4)
    scheduler.submit_all(Sequenced("a", prompt(10), 6))
    for request in (Sequenced("b", prompt(10), 7), Sequenced("c", []), Sequenced("d", prompt(1), 0)):
        with pytest.raises(ValueError, match=r"fit into|needs a token"):
            scheduler.submit(request, 0.0)


def test_a_step_must_have_a_token_for_each_running_request() -> None:
    with pytest.raises(ValueError, match="max_num_seqs"):
        Limits(kv_cache_tokens=100, max_num_seqs=9, max_num_batched_tokens=8)


def test_a_step_takes_as_long_as_what_it_computes() -> None:
    step_time = StepTime(fixed_s=1.0, per_decoding_s=0.5, per_context_token_s=0.25, per_prefill_token_s=0.125)
    assert step_time.duration_s(Batch(decoding=2, context_tokens=8, prefill_tokens=16)) == 1.0 + 1.0 + 2.0 + 2.0


def test_nothing_to_do_is_no_step() -> None:
    assert Scheduler[Sequenced](Limits(100, 1, 8), ONE_SECOND).step(0.0) is None

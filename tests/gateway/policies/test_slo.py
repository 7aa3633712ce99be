import random

from msgspec.structs import replace

from gateway.errors import Reason, Refused
from gateway.policies.slo import Slo
from gateway.types import Pace
from tests.gateway.fleets import Cached, facts, view

PACE = Pace(1.0, 0.0, floor_s=0.5, token_s=1e-3, output_tokens=100.0, tokens_per_s=50.0)
SLOW = replace(view("slow"), pace=replace(PACE, token_s=4e-3))
FAST = replace(view("fast"), pace=PACE, prefill_tokens=1_000)


def test_picks_who_would_begin_to_answer_first() -> None:
    policy = Slo(random.Random(0))
    assert policy.pick(facts(prompt_tokens=1_000), [SLOW, FAST], 0.0) is FAST
    assert policy.pick(facts(prompt_tokens=100), [SLOW, FAST], 0.0) is SLOW
    cached = replace(facts(prompt_tokens=1_000), prefix=Cached(slow=900))
    assert policy.pick(cached, [SLOW, FAST], 0.0) is SLOW


def test_refuses_what_would_come_too_late_and_says_when_it_would_not() -> None:
    request = replace(facts(prompt_tokens=1_000), first_token_target_s=2.0)
    refused = Slo(random.Random(0)).pick(request, [SLOW, FAST], 0.0)
    assert isinstance(refused, Refused)
    assert (refused.reason, refused.retry_after_s) == (Reason.OVERLOADED, 0.5)
    assert Slo(random.Random(0)).pick(replace(request, first_token_target_s=2.5), [SLOW, FAST], 0.0) is FAST


def test_requests_that_name_no_target_have_that_of_the_settings() -> None:
    request = facts(prompt_tokens=1_000)
    assert isinstance(Slo(random.Random(0), target_s=2.0).pick(request, [FAST], 0.0), Refused)
    assert Slo(random.Random(0), target_s=2.5).pick(request, [FAST], 0.0) is FAST


def test_one_that_has_answered_nothing_is_taken_to_read_at_the_speed_of_the_settings() -> None:
    request = facts(prompt_tokens=1_000)
    new = view("new")
    assert isinstance(Slo(random.Random(0), target_s=1.0, tokens_per_s=900).pick(request, [new], 0.0), Refused)
    assert Slo(random.Random(0), target_s=1.0, tokens_per_s=1_000).pick(request, [new], 0.0) is new

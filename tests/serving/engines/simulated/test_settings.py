import msgspec
import pytest

from serving.engines.simulated.profiles import PROFILES
from serving.engines.simulated.settings import SimulatedSettings, profile_of


def test_settings_win_over_the_profile() -> None:
    settings = SimulatedSettings(kv_cache_tokens=1000, max_num_seqs=3, max_num_batched_tokens=50, context_tokens=100)
    profile = profile_of(settings)
    assert (profile.limits.kv_cache_tokens, profile.limits.max_num_seqs) == (1000, 3)
    assert (profile.limits.max_num_batched_tokens, profile.context_tokens) == (50, 100)
    assert profile.step_time == PROFILES[settings.profile].step_time


@pytest.mark.parametrize("name", PROFILES)
def test_a_profile_is_what_it_is_without_settings(name: str) -> None:
    assert profile_of(SimulatedSettings(profile=name)) == PROFILES[name]


def test_a_small_cache_makes_a_small_context() -> None:
    assert profile_of(SimulatedSettings(kv_cache_tokens=1000)).context_tokens == 991


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (SimulatedSettings(profile="b200"), "profile: 'b200' is none of llama-3.1-8b-h100, llama-3.1-8b-a100"),
        (SimulatedSettings(context_tokens=500_000), "context_tokens: 500000 is not between"),
        (SimulatedSettings(kv_cache_tokens=3), "context_tokens: "),
        (SimulatedSettings(max_num_seqs=9000), "max_num_seqs must lie between"),
    ],
)
def test_what_does_not_go_together_is_refused(settings: SimulatedSettings, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        profile_of(settings)


@pytest.mark.parametrize("wrong", [{"speedup": 0}, {"max_num_seqs": 0}, {"natural_tokens": 0}, {"typo": 1}])
def test_a_setting_out_of_range_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(wrong, SimulatedSettings)

"""What can be set of the simulated engine."""

from dataclasses import replace
from typing import Annotated

from msgspec import Meta, Struct

from serving.engines.simulated.profiles import PROFILES, Profile

Count = Annotated[int, Meta(ge=1)]


class SimulatedSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    model: str = "simulated"
    """The name that it is served under."""
    profile: str = "llama-3.1-8b-h100"
    """Model and GPU: llama-3.1-8b-h100 (fitted to measurements) or llama-3.1-8b-a100 (derived)."""
    speedup: Annotated[float, Meta(gt=0, le=1_000_000)] = 1.0
    """How many times faster than the real one."""
    natural_tokens: Count = 1024
    """An answer ends by itself, unless the request says ignore_eos, after between half and one and a half of this. The
    same for all replicas of a model, or they cannot continue each other's streams."""
    lora_names: tuple[str, ...] = ()
    """Adapters. Each speaks otherwise than the model itself."""
    embedding_dimensions: Annotated[int, Meta(ge=1, le=65_536)] = 256
    """Length of the vectors that Embed gives."""
    max_queued_requests: Count = 4096
    """More are refused as overload."""
    kv_cache_tokens: Count | None = None
    """KV cache, in place of the profile's."""
    max_num_seqs: Count | None = None
    """In place of the profile's: how many requests run at once."""
    max_num_batched_tokens: Count | None = None
    """In place of the profile's: how many tokens one step computes."""
    context_tokens: Annotated[int, Meta(ge=2)] | None = None
    """Prompt and output together, in place of the profile's."""


def profile_of(settings: SimulatedSettings) -> Profile:
    """Return the profile with what the settings change. Raises ValueError, with a line that names the setting."""
    if settings.profile not in PROFILES:
        raise ValueError(f"profile: {settings.profile!r} is none of {', '.join(PROFILES)}")
    changes = {
        name: value
        for name in ("kv_cache_tokens", "max_num_seqs", "max_num_batched_tokens")
        if (value := getattr(settings, name)) is not None
    }
    profile = PROFILES[settings.profile]
    limits = replace(profile.limits, **changes)
    # One request always fits into the cache alone, with a token of output.
    most = limits.kv_cache_tokens - limits.kv_cache_tokens % limits.block_tokens - 1
    context_tokens = min(profile.context_tokens, most) if settings.context_tokens is None else settings.context_tokens
    if not 2 <= context_tokens <= most:
        raise ValueError(f"context_tokens: {context_tokens} is not between 2 and {most}, what the KV cache holds")
    return replace(profile, limits=limits, context_tokens=context_tokens)

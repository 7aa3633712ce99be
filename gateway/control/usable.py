"""What shows only when it is tried: the policies and sources that settings name have to exist."""

from random import Random

from gateway.config import Settings
from gateway.control.discovery.sources import watch_of
from gateway.policies.chosen import choose, choose_shadows


def check_usable(settings: Settings) -> None:
    """Raises SettingsError."""
    choose(settings, Random(0))
    choose_shadows(settings, Random(0))
    for source in settings.discovery:
        watch_of(source)

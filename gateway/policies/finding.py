"""From a policy's name to its class: one of ours, one of an installed package, one in a file."""

import difflib
import re
from collections.abc import Callable
from importlib import import_module
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from traceback import extract_tb
from types import ModuleType

from gateway.errors import SettingsError
from gateway.policies.base import Policy

__all__ = ["GROUP", "POLICIES", "find", "name_of", "split"]

POLICIES: dict[str, str] = {
    "least_connection": "gateway.policies.least_connection:LeastConnection",
    "round_robin": "gateway.policies.round_robin:RoundRobin",
    "random": "gateway.policies.random_choice:RandomChoice",
    "weighted": "gateway.policies.weighted:Weighted",
    "queue_depth": "gateway.policies.queue_depth:QueueDepth",
    "power_of_two": "gateway.policies.power_of_two:PowerOfTwo",
    "peak_ewma": "gateway.policies.peak_ewma:PeakEwma",
    "least_work": "gateway.policies.least_work:LeastWork",
    "prefix_affinity": "gateway.policies.prefix_affinity:PrefixAffinity",
    "session_affinity": "gateway.policies.session_affinity:SessionAffinity",
    "sticky_until_saturated": "gateway.policies.sticky_until_saturated:StickyUntilSaturated",
    "lmetric": "gateway.policies.lmetric:LMetric",
    "slo": "gateway.policies.slo:Slo",
}
"""From name to class, as an import string: only what is chosen is imported."""

GROUP = "inference_gateway.policies"
"""The entry point group in which packages offer theirs."""

_PART = re.compile(r"(?P<file>[^:]+\.py):(?P<attribute>\w+)(?=:|$)|[^:]*")


def split(spec: str) -> list[str]:
    """Return the names in `outer:inner`, each a name or `FILE.py:CLASS`."""
    names: list[str] = []
    while True:
        part = _PART.match(spec)
        assert part is not None
        names.append(part[0])
        if part.end() == len(spec):
            return names
        spec = spec[part.end() + 1 :]


def find(name: str) -> Callable[..., Policy]:
    """Return the class of that name, or raise SettingsError."""
    part = _PART.fullmatch(name)
    if part and part["file"]:
        module = _from_file(Path(part["file"]))
        return _attribute(name, module, part["attribute"])
    if name in POLICIES:
        module_name, _, attribute = POLICIES[name].partition(":")
        return getattr(import_module(module_name), attribute)
    from importlib.metadata import entry_points  # noqa: PLC0415 - it takes 1 MB of memory

    offered = {entry.name: entry for entry in entry_points(group=GROUP)}
    if name not in offered:
        names = (*POLICIES, *offered)
        near = [f"{name}:CLASS"] if name.endswith(".py") else difflib.get_close_matches(name, names, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise SettingsError(f"policy: {name!r} is none of {', '.join(names)}{hint}")
    try:
        return offered[name].load()
    except (Exception, SystemExit) as error:
        raise SettingsError(f"policy: {name} ({offered[name].value}): {_one_line(error)}") from error


def name_of(policy: Policy) -> str:
    """Return the name of a policy's class in POLICIES, or else the class's own."""
    made_by = type(policy)
    place = f"{made_by.__module__}:{made_by.__qualname__}"
    return next((name for name, target in POLICIES.items() if target == place), made_by.__qualname__)


def _from_file(file: Path) -> ModuleType:
    spec = spec_from_file_location(f"policy_{file.stem}", file)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        raise SettingsError(f"policy: {_place(file, error)}: {_one_line(error)}") from error
    return module


def _attribute(name: str, module: ModuleType, attribute: str) -> Callable[..., Policy]:
    found = getattr(module, attribute, None)
    if found is None:
        raise SettingsError(f"policy: {name}: there is no {attribute} in it")
    return found


def _place(file: Path, error: BaseException) -> str:
    """Return the file, with the line that failed where one is known."""
    if isinstance(error, SyntaxError) and error.filename == str(file.absolute()):
        return f"{file}:{error.lineno}"
    lines = [frame.lineno for frame in extract_tb(error.__traceback__) if frame.filename == str(file.absolute())]
    return f"{file}:{lines[-1]}" if lines else str(file)


def _one_line(error: BaseException) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    text = error.msg if isinstance(error, SyntaxError) else str(error)
    return " ".join(f"{type(error).__name__}: {text}".split()).removesuffix(":")

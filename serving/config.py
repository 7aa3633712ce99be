"""Settings of a replica: read once, checked once, frozen. The docstring of a setting is the help of its flag."""

import ast
import inspect
import re
import textwrap
from collections.abc import Awaitable, Callable, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import msgspec
from msgspec import Meta, Struct

from serving.engine import Engine

MIB = 1024 * 1024

Seconds = Annotated[float, Meta(ge=0, le=86_400)]
PositiveSeconds = Annotated[float, Meta(gt=0, le=86_400)]

NO_LISTENER = "none"


class SettingsError(Exception):
    """A setting that cannot be used. The message says what and where, in one line."""


class EngineEntry(NamedTuple):
    """Import strings, MODULE:NAME, so that an engine is imported when it is chosen."""

    settings: str
    """A msgspec Struct; its field `model` gets the name that is served."""
    create: str
    """`async def create(settings) -> Engine`. Raises ValueError for settings that do not go together and RuntimeError
    where the engine does not start, in one line."""
    shown: tuple[str, ...] = ()
    """Settings that say most about a running engine."""


ENGINES: Mapping[str, EngineEntry] = {
    "simulated": EngineEntry(
        "serving.engines.simulated.settings:SimulatedSettings",
        "serving.engines.simulated.engine:create",
        ("profile", "speedup"),
    ),
    "vllm": EngineEntry(
        "serving.engines.vllm.settings:VllmSettings", "serving.engines.vllm.engine:create", ("model_path",)
    ),
}


class Settings(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    model: str
    """The name that is served."""
    engine: str = "simulated"
    """What makes the tokens: simulated, vllm."""
    engine_config: str = ""
    """A YAML file with settings of the engine; flags win over it."""
    listen: str = "127.0.0.1:50051"
    """HOST:PORT of gRPC; port 0: any free one."""
    tls_cert: str = ""
    """A PEM file with the certificate and those that lead to an authority; empty: plain text."""
    tls_key: str = ""
    """A PEM file with its private key, without a passphrase."""
    tls_client_ca: str = ""
    """A PEM file with the authorities of clients' certificates, which are then required."""
    metrics_listen: str = "127.0.0.1:9465"
    """HOST:PORT of /metrics, /health and /health/ready; port 0: any free one; none: no HTTP."""
    grace_s: Seconds = 30.0
    """How long running streams may take to finish, once the replica is asked to stop."""
    drain_pause_s: Seconds = 0.5
    """From NOT_SERVING to the first refused request, so that it is seen."""
    retry_after_s: PositiveSeconds = 1.0
    """What a refused request is told to wait, where another replica does not take it sooner."""
    load_report_floor_s: PositiveSeconds = 0.1
    """The shortest time between two load reports on a stream."""
    load_report_heartbeat_s: PositiveSeconds = 1.0
    """The longest one, where the watcher asks for no other."""
    request_bytes: Annotated[int, Meta(ge=1, le=2**31 - 1)] = 64 * MIB
    """The longest request message."""
    header_bytes: Annotated[int, Meta(ge=1024, le=MIB)] = 32 * 1024
    """The most metadata of one request. Above the gateway's own limit, so that it alone refuses."""
    log_level: str = "info"
    """debug, info, warning or error."""

    def __post_init__(self) -> None:
        split_address("listen", self.listen)
        if self.metrics_listen != NO_LISTENER:
            split_address("metrics_listen", self.metrics_listen)
        if self.engine not in ENGINES:
            raise ValueError(f"engine: {self.engine!r} is none of {', '.join(ENGINES)}")
        if self.log_level not in LOG_LEVELS:
            raise ValueError(f"log_level: {self.log_level!r} is none of {', '.join(LOG_LEVELS)}")
        if bool(self.tls_cert) != bool(self.tls_key):
            raise ValueError("tls_key: goes together with tls_cert")
        if self.tls_client_ca and not self.tls_cert:
            raise ValueError("tls_client_ca: without tls_cert there is no TLS")
        if not self.model:
            raise ValueError("model: empty")


LOG_LEVELS = ("debug", "info", "warning", "error")


def split_address(name: str, address: str) -> tuple[str, int]:
    """Return host and port of `HOST:PORT` or `[IPV6]:PORT`. Raises ValueError."""
    host, _, port = address.rpartition(":")
    is_bracketed = host.startswith("[") and host.endswith("]")
    host = host[1:-1] if is_bracketed else host
    is_port = port.isascii() and port.isdigit() and int(port) <= 65_535
    if not host or not is_port or (":" in host and not is_bracketed):
        raise ValueError(f"{name}: {address!r} is not HOST:PORT")
    return host, int(port)


def load(import_string: str) -> Any:
    """Return what `MODULE:NAME` names."""
    module, _, name = import_string.partition(":")
    return getattr(import_module(module), name)


def settings_type(engine: str) -> type[Struct]:
    """Return the type of an engine's settings. Raises SettingsError."""
    if engine not in ENGINES:
        raise SettingsError(f"engine: {engine!r} is none of {', '.join(ENGINES)}")
    return load(ENGINES[engine].settings)


def engine_factory(engine: str) -> Callable[[Struct], Awaitable[Engine]]:
    """Import an engine. Raises SettingsError where its packages are not installed."""
    try:
        return load(ENGINES[engine].create)
    except ModuleNotFoundError as error:
        line = f"engine: {engine} needs the package {error.name}; inference-gateway[{engine}] has it"
        raise SettingsError(line) from None


def convert(kind: type[Struct], flags: Mapping[str, object], file: str = "") -> Any:
    """Return settings of this kind: their defaults, changed by the YAML `file`, changed by `flags`. Raises
    SettingsError. Flags are text, as a shell gives them."""
    values = {**(_read(file) if file else {}), **flags}
    try:
        return msgspec.convert(values, kind, strict=False)
    except msgspec.ValidationError as error:
        where, what = _explain(str(error))
        is_flag = not file or re.split(r"[.\[]", where)[0] in flags
        raise SettingsError(": ".join(filter(None, ["" if is_flag else file, where, what]))) from None


def _explain(message: str) -> tuple[str, str]:
    """Return where and what, from msgspec's message; where is empty if the message says it."""
    what, _, where = message.replace("`", "").partition(" - at $.")
    what = what.replace("Object contains unknown field", "unknown setting")
    return where, f"{what[:1].lower()}{what[1:]}"


def _read(file: str) -> Mapping[str, Any]:
    try:
        return msgspec.yaml.decode(Path(file).read_bytes(), type=dict[str, Any])
    except OSError as error:
        raise SettingsError(f"{file}: {error.strerror}") from None
    except msgspec.ValidationError:
        raise SettingsError(f"{file}: not a mapping of settings") from None
    except msgspec.DecodeError as error:
        raise SettingsError(f"{file}: {' '.join(str(error).split())}") from None


def help_texts(kind: type[Struct]) -> Mapping[str, str]:
    """Return the docstring of each setting, on one line."""
    body = ast.parse(textwrap.dedent(inspect.getsource(kind))).body[0]
    assert isinstance(body, ast.ClassDef)
    texts: dict[str, str] = {}
    for node, after in zip(body.body, body.body[1:], strict=False):
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and (text := _text(after)):
            texts[node.target.id] = " ".join(text.split())
    return texts


def _text(node: ast.stmt) -> str:
    match node:
        case ast.Expr(value=ast.Constant(value=str(text))):
            return text
        case _:
            return ""


def description(engine: str, settings: Struct) -> str:
    """Return what to say of a running engine: `simulated, llama-3.1-8b-h100, speedup 1`."""
    shown: Sequence[str] = ENGINES[engine].shown
    values = [(name, getattr(settings, name)) for name in shown]
    said = [value if isinstance(value, str) else f"{name} {value:g}" for name, value in values]
    return ", ".join(filter(None, [engine, *said]))

from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.config import ReplicaSettings, Settings
from gateway.errors import SettingsError
from gateway.settings_file import load_settings


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "gateway.yaml"


def test_an_empty_file_and_no_flags_give_the_defaults(file: Path) -> None:
    file.write_text("# nothing yet\n")
    assert load_settings(file) == load_settings() == Settings()


def test_flags_win_over_the_file_and_the_file_over_defaults(file: Path) -> None:
    file.write_text("policy: random\ngrace_s: 7\nlimits: {header_bytes: 1024}\n")
    settings = load_settings(file, {"policy": "round_robin"})
    assert (settings.policy, settings.grace_s, settings.limits.header_bytes) == ("round_robin", 7.0, 1024)
    assert settings.limits.request_bytes == Settings().limits.request_bytes


def test_settings_reach_a_worker_unchanged() -> None:
    settings = load_settings(flags={"replicas": [{"address": "[::1]:9001", "weight": 2}], "opaque_services": ["a.B"]})
    assert settings.replicas == (ReplicaSettings(address="[::1]:9001", weight=2.0),)
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(settings), type=Settings) == settings


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("policy: x\nlimts: {}", ":2: limts: unknown setting; did you mean limits?"),
        ("limits:\n  request_bites: 3", ":2: limits.request_bites: unknown setting; did you mean request_bytes?"),
        ("xyzzy: 3", ":1: xyzzy: unknown setting"),
        ("replicas:\n- address: a:1\n- addres: b:1", ":3: replicas[1].addres: unknown setting; did you mean address?"),
        ("replicas:\n- address: a:1\n- address: b", ":3: replicas[1].address: 'b' is not HOST:PORT"),
        ("replicas:\n- weight: 1", ":2: replicas[0]: object missing required field address"),
        ("replicas:\n- address: a:1\n- address: a:1", ":3: replicas[1]: a:1 stands there twice"),
        ("replicas:\n- {address: a:1, weight: 0}", ":2: replicas[0].weight: expected float > 0.0"),
        ("\ngrace_s: -1", ":2: grace_s: expected float >= 0.0"),
        ("grace_s: soon", ":1: grace_s: expected float, got str"),
        ("grace_s: 1\ngrace_s: 2", ":2: grace_s: stands there twice, first on line 1"),
        ("limits:", ":1: limits: expected object, got null"),
        ("limits: {header_bytes: 100000}", ":1: limits.header_bytes_hard: below header_bytes"),
        ("limits: {request_bytes: 999999999}", ":1: limits.buffered_bytes: below request_bytes"),
        ("limits: {stream_window_bytes: 2140000000}", ":1: limits.stream_window_bytes: with request_bytes more"),
        ("connect: {backoff_base_s: 9}", ":1: connect.backoff_max_s: below backoff_base_s"),
        ("workers: 0", ":1: workers: expected int >= 1"),
        ("log_level: loud", ":1: log_level: 'loud' is not one of debug, info, warning, error"),
        ("listen: '8080'", ":1: listen: '8080' is not HOST:PORT"),
        ("metrics_listen: a:99999", ":1: metrics_listen: 'a:99999' has no port between 0 and 65535"),
        ("opaque_services: [a.B, /a.B/]", ":1: opaque_services[1]: '/a.B/' is not a service's full name"),
        ("1: 2", ":1: expected str"),
        ("- a", ": not a mapping of settings"),
        ("a: [", ":1: expected the node content"),
        ("a: b: c", ":1: mapping values are not allowed here"),
        ("a: \x01", ": unacceptable character"),
    ],
)
def test_a_mistake_is_told_in_one_line_with_its_place(file: Path, text: str, complaint: str) -> None:
    file.write_text(text)
    with pytest.raises(SettingsError) as raised:
        load_settings(file)
    message = str(raised.value)
    assert message.startswith(f"{file}{complaint}")
    assert "\n" not in message


def test_a_mistake_in_a_flag_is_not_blamed_on_the_file(file: Path) -> None:
    file.write_text("grace_s: 3\n")
    with pytest.raises(SettingsError, match=r"^command line: replicas\[0\]\.address: 'x' is not HOST:PORT$"):
        load_settings(file, {"replicas": [{"address": "x"}]})


def test_a_missing_file_is_named(file: Path) -> None:
    with pytest.raises(SettingsError, match=f"^{file}: No such file or directory$"):
        load_settings(file)


def test_a_file_that_is_not_text_is_named(file: Path) -> None:
    file.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(SettingsError, match=f"^{file}: "):
        load_settings(file)


def test_the_environment_wins_over_the_file_and_flags_over_both(file: Path) -> None:
    file.write_text("policy: random\ngrace_s: 1\nlimits: {header_bytes: 4096, request_bytes: 7}\n")
    environment = {
        "INFERENCE_GATEWAY_LIMITS__REQUEST_BYTES": "9",
        "INFERENCE_GATEWAY_GRACE_S": "2",
        "INFERENCE_GATEWAY_POLICY": "round_robin",
        "INFERENCE_GATEWAY_REPLICAS": "[{address: 'a:1'}]",
        "HOME": "/",
    }
    settings = load_settings(file, {"grace_s": 3.0}, environment)
    assert (settings.limits.header_bytes, settings.limits.request_bytes) == (4096, 9)
    assert (settings.policy, settings.grace_s) == ("round_robin", 3.0)
    assert settings.replicas == (ReplicaSettings(address="a:1"),)


@pytest.mark.parametrize(
    ("variable", "value", "complaint"),
    [
        ("GRACE", "1", "GRACE: grace: unknown setting; did you mean grace_s?"),
        ("LIMITS__REQUEST_BYTES", "0", "LIMITS__REQUEST_BYTES: limits.request_bytes: expected int >= 1"),
        ("LIMITS", "3", "LIMITS: limits: expected object, got int"),
        ("REPLICAS", "[{address: x}]", "REPLICAS: replicas[0].address: 'x' is not HOST:PORT"),
        ("LISTEN", "[", "LISTEN: '[' is not YAML"),
    ],
)
def test_a_mistake_in_the_environment_names_its_variable(variable: str, value: str, complaint: str) -> None:
    with pytest.raises(SettingsError) as raised:
        load_settings(environment={f"INFERENCE_GATEWAY_{variable}": value})
    assert str(raised.value) == f"environment INFERENCE_GATEWAY_{complaint}"


def test_what_kubernetes_says_of_a_service_of_that_name_is_no_setting() -> None:
    links = ("SERVICE_HOST", "SERVICE_PORT", "SERVICE_PORT_GRPC", "PORT", "PORT_8080_TCP", "PORT_8080_TCP_ADDR")
    environment = {f"INFERENCE_GATEWAY_{name}": "tcp://10.0.0.1:8080" for name in (*links, "METRICS_SERVICE_HOST")}
    assert load_settings(environment=environment) == Settings()


def test_a_mistake_in_an_entry_by_name_or_of_a_kind_has_its_line(file: Path) -> None:
    for text, complaint in [
        (
            "aliases:\n  a: {model: m}\n  b:\n    modle: m\n",
            ":4: aliases[...].modle: unknown setting; did you mean model?",
        ),
        ("discovery:\n- kind: dns\n  nmae: a\n", ":3: discovery[0].nmae: unknown setting; did you mean name?"),
        ("discovery:\n- kind: consul\n", ":2: discovery[0].kind: invalid value 'consul'"),
        (
            "discovery:\n- {kind: file, path: a}\n- {kind: file, path: a}\n",
            ":3: discovery[1]: file:a stands there twice",
        ),
    ]:
        file.write_text(text)
        with pytest.raises(SettingsError) as raised:
            load_settings(file)
        assert str(raised.value) == f"{file}{complaint}"


NAMES = st.sampled_from(["limits", "replicas", "listen", "address", "x"]) | st.text()
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(NAMES, VALUES, max_size=3))
def test_settings_however_wrong_fail_only_by_one_line(values: dict[str, object]) -> None:
    try:
        load_settings(flags=values)
    except SettingsError as error:
        complaint = str(error)
    else:
        complaint = ""
    assert "\n" not in complaint

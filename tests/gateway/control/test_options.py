from pathlib import Path

import pytest

from gateway.config import AgentTlsSettings, ReplicaSettings, ReplicaTlsSettings, Settings, TlsSettings
from gateway.control.options import parse_settings
from gateway.errors import SettingsError


def test_without_flags_all_is_as_in_the_settings() -> None:
    assert parse_settings([]) == Settings()


def test_each_flag_sets_its_setting(tmp_path: Path) -> None:
    file = tmp_path / "gateway.yaml"
    file.write_text("grace_s: 1\nlimits: {header_bytes: 4096}\nreplicas: [{address: 'c:1'}]\n")
    settings = parse_settings(
        ["--config", str(file), "--listen", "0.0.0.0:80", "--replica", "a:1", "--replica", "b:1"]
        + ["--policy", "random", "--opaque-service", "a.B", "--metrics-listen", "none", "--admin-listen", "/run/a.sock"]
        + ["--workers", "3", "--grace-s", "5", "--parking-s", "2.5", "--drain-pause-s", "0", "--log-level", "debug"]
    )
    assert settings.replicas == (ReplicaSettings(address="a:1"), ReplicaSettings(address="b:1"))
    assert (settings.listen, settings.metrics_listen, settings.admin_listen) == ("0.0.0.0:80", "none", "/run/a.sock")
    assert (settings.policy, settings.opaque_services, settings.log_level) == ("random", ("a.B",), "debug")
    assert (settings.grace_s, settings.parking_s, settings.drain_pause_s) == (5.0, 2.5, 0.0)
    assert (settings.limits.header_bytes, settings.workers) == (4096, 3)


def test_the_number_of_workers_may_be_left_to_the_machine() -> None:
    assert parse_settings(["--workers", "auto"]).workers == "auto"


def test_flags_of_tls_stand_beside_what_the_file_says_of_it(tmp_path: Path) -> None:
    file = tmp_path / "gateway.yaml"
    file.write_text("tls: {agents: {cert: c, key: old}, reread_interval_s: 1}\n")
    settings = parse_settings(
        ["--config", str(file), "--tls-key", "k", "--tls-client-ca", "ca", "--tls-client-cert", "optional"]
        + ["--replica-tls-ca", "rca", "--replica-tls-cert", "rc", "--replica-tls-key", "rk"]
        + ["--replica-tls-server-name", "r"]
    )
    assert settings.tls == TlsSettings(
        agents=AgentTlsSettings(cert="c", key="k", client_ca="ca", client_cert="optional"),
        replicas=ReplicaTlsSettings(ca="rca", cert="rc", key="rk", server_name="r"),
        reread_interval_s=1.0,
    )


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--polcy", "random"], r"^unrecognized arguments: --polcy random \(see inference-gateway serve --help\)$"),
        (["--grace-s", "soon"], r"^argument --grace-s: invalid float value: 'soon' \(see "),
        (["--workers", "0"], r"^command line: workers: expected int >= 1$"),
        (["--grace-s", "-1"], r"^command line: grace_s: expected float >= 0\.0$"),
        (["--replica", "a"], r"^command line: replicas\[0\]\.address: 'a' is not HOST:PORT$"),
        (["--config", "/nowhere.yaml"], r"^/nowhere\.yaml: No such file or directory$"),
        (
            ["--tls-cert", "c"],
            r"^command line: tls\.agents\.key: missing, and the certificate is of no use without it$",
        ),
        (["--tls-client-ca", "c"], r"^command line: tls\.agents\.client_ca: without cert there is no TLS$"),
        (
            ["--replica-tls-key", "k"],
            r"^command line: tls\.replicas\.cert: missing, and the key is of no use without it$",
        ),
        (["--replica-tls-server-name", "n"], r"^command line: tls\.replicas\.server_name: without ca there is no TLS$"),
        (["--tls-client-cert", "maybe"], r"^command line: tls\.agents\.client_cert: invalid enum value 'maybe'$"),
        (["--log-level", "loud"], r"^argument --log-level: invalid choice: 'loud'"),
    ],
)
def test_a_mistake_is_told_in_one_line(arguments: list[str], complaint: str) -> None:
    with pytest.raises(SettingsError, match=complaint) as raised:
        parse_settings(arguments)
    assert "\n" not in str(raised.value)

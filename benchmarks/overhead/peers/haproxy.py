"""HAProxy with one thread, HTTP/2 on both sides. Raised: 100 streams a connection, connections, windows."""

from benchmarks.overhead.peers.base import Place, Running, find_program, free_port, wait_for_port

_CONFIG = """\
global
  nbthread 1
  maxconn 4000
  tune.h2.max-concurrent-streams 20000
  tune.h2.initial-window-size 1048576
defaults
  mode http
  timeout connect 5s
  timeout client 600s
  timeout server 600s
frontend agents
  bind 127.0.0.1:{port} proto h2
  default_backend replicas
backend replicas
  balance leastconn
  http-reuse always
{servers}
"""


def start(place: Place) -> Running:
    program = find_program("haproxy", "haproxy")
    port = free_port()
    lines = (f"  server {number} {address} proto h2" for number, address in enumerate(place.replica_addresses))
    config = place.folder / "haproxy.cfg"
    config.write_text(_CONFIG.format(port=port, servers="\n".join(lines)))
    process = place.processes.start("haproxy", [program, "-f", str(config)])
    wait_for_port(process, port)
    return Running([port], {"proxy": process.pid})

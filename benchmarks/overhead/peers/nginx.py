"""nginx with one worker. Raised: 128 streams a connection, connections, requests of a kept connection, how many are
kept. It has one upstream connection for each request that runs, which cannot be changed."""

import psutil

from benchmarks.overhead.peers.base import Place, Running, find_program, free_port, wait_for_port

_CONFIG = """\
daemon off;
user root;
worker_processes 1;
worker_rlimit_nofile 20000;
pid {folder}/nginx.pid;
error_log stderr;
events {{ worker_connections 19000; }}
http {{
  access_log off;
  client_max_body_size 0;
  client_body_buffer_size 1m;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  keepalive_requests 1000000;
  upstream replicas {{
    least_conn;
{servers}
    keepalive 1024;
    keepalive_requests 1000000;
  }}
  server {{
    listen 127.0.0.1:{port} http2;
    http2_max_concurrent_streams 20000;
    location / {{
      grpc_pass grpc://replicas;
      grpc_read_timeout 600s;
    }}
  }}
}}
"""


def start(place: Place) -> Running:
    program = find_program("nginx", "nginx")
    port = free_port()
    servers = "\n".join(f"    server {address};" for address in place.replica_addresses)
    config = place.folder / "nginx.conf"
    config.write_text(_CONFIG.format(port=port, servers=servers, folder=place.folder))
    process = place.processes.start("nginx", [program, "-p", str(place.folder), "-c", str(config)])
    wait_for_port(process, port)
    (worker,) = psutil.Process(process.pid).children()
    return Running([port], {"master": process.pid, "worker": worker.pid})

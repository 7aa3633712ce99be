"""Agents, a gateway and three replicas, one of which is killed half way."""

import os

# gRPC's core reads this when it is imported. Its notes on lost connections would run through the live view.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")

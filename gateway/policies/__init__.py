"""The policies that an operator can name."""

from gateway.policies.building import build
from gateway.policies.finding import POLICIES

__all__ = ["POLICIES", "build"]

"""What control knows of one replica."""

from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

from gateway.config import ReplicaSettings
from gateway.fleet.conduct import Conduct
from gateway.types import ReplicaRecord


class ModelOffer(NamedTuple):
    """One model as a replica names it (inference.v1.Model)."""

    name: str
    context_tokens: int = 0
    lora_names: tuple[str, ...] = ()
    kv_cache_tokens: int = 0
    ready_replicas: int = 1
    """More than 1 where the replica is itself a gateway."""


class Change(Enum):
    FLEET = "fleet"
    LOAD = "load"
    """Load reports alone: these come often and may wait a little."""


@dataclass(slots=True)
class Replica:
    """One replica with what workers need not know."""

    record: ReplicaRecord
    settings: ReplicaSettings
    conduct: Conduct
    offers: tuple[ModelOffer, ...] = ()
    reason: str = "not yet connected"
    """Why it is in its state, for people."""
    boot_id: int = 0
    """Of this incarnation; 0 where it is not known."""
    is_identified: bool = False
    """Since the health connection was last established."""
    is_serving: bool = False
    """It says so, whether or not an operator has drained it."""
    is_drained: bool = False
    """By an operator, until one takes that back."""
    operators_weight: float | None = None
    """Instead of the settings'."""
    is_connected: bool = False
    """Its health connection is up. While it is not, nothing else is judged: what was on its way proves nothing."""

"""Who a peer is, by its certificate (SPIFFE's X509-SVID)."""

import re
from collections.abc import Iterable

_MAX_BYTES = 2048
# SPIFFE-ID 2.1 to 2.4: a trust domain, then segments that are neither empty nor `.` nor `..`.
_SPIFFE_ID = re.compile(r"spiffe://[a-z0-9._-]{1,255}(?:/(?!\.{1,2}(?:/|$))[A-Za-z0-9._-]+)*")


def spiffe_id(subject_alt_names: Iterable[tuple[str, str]]) -> str:
    """Return the id in these names of a verified certificate (as `ssl` gives them); empty where there is none.

    An X509-SVID has exactly one URI (X509-SVID 2)."""
    uris = [value for kind, value in subject_alt_names if kind == "URI"]
    if len(uris) == 1 and len(uris[0]) <= _MAX_BYTES and _SPIFFE_ID.fullmatch(uris[0]):
        return uris[0]
    return ""

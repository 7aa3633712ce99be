"""What a server's peer says first (RFC 9113, 3.4): the client's preface, or something else."""

import re
from enum import Enum

from gateway.http2.frames import PREFACE

_HTTP1_REQUEST = re.compile(rb"[A-Z]+ [^ \r\n]+ HTTP/1\.[01]\r?\n")
_HTTP1_BEGINNING = re.compile(rb"[A-Z]+(?: [^\r\n]*)?\r?")
_TLS_BEGINNING = b"\x16\x03"
"""A handshake record, whatever the version (RFC 8446, 5.1)."""
_LINE_BYTES = 8_192
"""A longer request line is no business of ours."""


class Greeting(Enum):
    UNDECIDED = "undecided"
    """Too little has come to tell."""
    HTTP2 = "HTTP/2"
    HTTP1 = "HTTP/1"
    TLS = "TLS"
    FOREIGN = "foreign"


def greeting(data: bytes) -> Greeting:
    """Return what the peer speaks, by all that it has sent."""
    if data.startswith(PREFACE):
        return Greeting.HTTP2
    if PREFACE.startswith(data) or _TLS_BEGINNING.startswith(data):
        return Greeting.UNDECIDED
    if data.startswith(_TLS_BEGINNING):
        return Greeting.TLS
    if _HTTP1_REQUEST.match(data):
        return Greeting.HTTP1
    if len(data) < _LINE_BYTES and _HTTP1_BEGINNING.fullmatch(data):
        return Greeting.UNDECIDED
    return Greeting.FOREIGN

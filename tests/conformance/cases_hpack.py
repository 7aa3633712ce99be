"""RFC 7541, by section: what no decoder may take."""

from hpack.hpack import encode_integer

from gateway.http2 import frames
from gateway.http2.frames import ErrorCode, Setting
from tests.conformance.script import STREAM_ID, Case, Player, common, connection_error, request
from tests.gateway.http2.raw_peer import ALL

COMPRESSION_ERROR = connection_error(ErrorCode.COMPRESSION_ERROR)
NAME = b"\x00\x85\xf2\xb2\x4a\x84\xff"
"""A literal without indexing, of the name x-test."""


def above_the_limit(player: Player) -> bytes:
    """An update of the table's size to one more than the server allows."""
    size = player.settings.get(Setting.HEADER_TABLE_SIZE, 4_096) + 1
    update = bytearray(encode_integer(size, 5))
    update[0] |= 0x20
    return frames.frame(frames.HEADERS, ALL, STREAM_ID, bytes(update) + player.encoder.encode(common(player)))


CASES = [
    Case("hpack/2.3.3/1", "an index behind both tables", [request(tail=b"\xc6"), COMPRESSION_ERROR]),
    Case("hpack/2.3.3/2", "a name's index behind both tables", [request(tail=b"\x7f\x07\x00"), COMPRESSION_ERROR]),
    Case("hpack/4.2/1", "a table size update at a block's end", [request(tail=b"\x21"), COMPRESSION_ERROR]),
    Case(
        "hpack/5.2/1", "Huffman, 8 bits of padding", [request(tail=NAME + b"\x84\x49\x50\x9f\xff"), COMPRESSION_ERROR]
    ),
    Case("hpack/5.2/2", "Huffman, padded by zeros", [request(tail=NAME + b"\x83\x49\x50\x90"), COMPRESSION_ERROR]),
    Case("hpack/5.2/3", "Huffman, EOS", [request(tail=NAME + b"\x87\x49\x51\xff\xff\xff\xfa\x7f"), COMPRESSION_ERROR]),
    Case("hpack/6.1/1", "index 0", [request(tail=b"\x80"), COMPRESSION_ERROR]),
    Case("hpack/6.3/1", "a table size above the limit", [above_the_limit, COMPRESSION_ERROR]),
]

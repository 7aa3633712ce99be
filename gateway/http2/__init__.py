"""HTTP/2 (RFC 9113) without sockets: bytes in, calls and bytes out.

`connection.Connection` is the whole of it; it knows nothing of gRPC or of asyncio, and time is an argument.

    connection                            the frame loop, and what an owner may ask
    control                               the connection's own frames, and how it ends
    inbound                               the frames of streams, and the windows that we give
    outbound                              what leaves, what waits for a window, and whose turn it is
    streams                               a stream, and the total table of its states
    block, decoder, headers, field_rules  header blocks: assembled, decoded, encoded, judged
    settings, limits, guard, budget       what a peer may do, and how often
    frames, preface, owner                the wire, a peer's first words, who is told
"""

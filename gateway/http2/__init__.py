"""HTTP/2 (RFC 9113) without sockets: bytes in, calls and bytes out.

`connection.Connection` is the whole of it; it knows nothing of gRPC, of asyncio or of time.
"""

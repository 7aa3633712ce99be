"""Memory that control and its workers share: pages without a name, which end with the last process that has them."""

import mmap
import os
import platform

IS_ORDERED = platform.machine() in ("x86_64", "AMD64")
"""Whether this processor shows stores in their order."""


class SharedMemory:
    """`view` begins as zeros. It owns `fd`."""

    def __init__(self, fd: int) -> None:
        """Take over what `made` has made here or in the parent."""
        self.fd = fd
        self.view = memoryview(mmap.mmap(fd, 0))

    @classmethod
    def made(cls, size_bytes: int) -> "SharedMemory":
        """Pages that nobody touches cost nothing."""
        fd = os.memfd_create("inference-gateway")
        os.ftruncate(fd, size_bytes)
        return cls(fd)

    def close(self) -> None:
        """Close the descriptor; `view` stays."""
        os.close(self.fd)

"""Static x86-64 programs of a few dozen bytes, for guests and images that need no more."""

import struct

BASE = 0x400000
HEADERS = 64 + 56
EXIT = bytes.fromhex("b83c000000 31ff 0f05")  # exit(0)
# The system call reboot, asking for power off.
POWER_OFF = bytes.fromhex("b8a9000000 bfaddee1fe be69191228 badcfe2143 4d31d2 0f05")
FOREVER = bytes.fromhex("ebfe")  # jump to itself


def program(message: bytes, end: bytes) -> bytes:
    """Write `message` to standard output, then `end`."""
    write = 5 + 5 + 10 + 5 + 2
    address = BASE + HEADERS + write + len(end)
    code = (
        bytes.fromhex("b801000000 bf01000000")
        + b"\x48\xbe"
        + struct.pack("<Q", address)
        + b"\xba"
        + struct.pack("<I", len(message))
        + bytes.fromhex("0f05")
        + end
        + message
    )
    ident = b"\x7fELF" + bytes([2, 1, 1]) + bytes(9)
    header = ident + struct.pack("<HHIQQQIHHHHHH", 2, 62, 1, BASE + HEADERS, 64, 0, 0, 64, 56, 1, 0, 0, 0)
    size = HEADERS + len(code)
    segment = struct.pack("<IIQQQQQQ", 1, 5, 0, BASE, BASE, size, size, 0x1000)
    return header + segment + code

"""Messages between launcher and service, one per packet of a SOCK_SEQPACKET socket.

A request is MAGIC, a word and a nonce; the reply is MAGIC, a verdict, that nonce, and JSON (done) or a
reason (refused). The nonce is new in every request, so that an answer to what somebody else has sent
on the launcher's connection is never taken for the launcher's. actionloop/filereset.py is the other end.
"""

from __future__ import annotations

MAGIC = b"RWF1"
NONCE_BYTES = 16
CHECKPOINT = b"C"
RESET = b"R"
DONE = b"K"
REFUSED = b"X"
REQUEST_BYTES = len(MAGIC) + 1 + NONCE_BYTES
REASON_BYTES = 512


def request(packet: bytes) -> tuple[bytes, bytes] | None:
    """Word and nonce; None for what is no request."""
    if len(packet) != REQUEST_BYTES or not packet.startswith(MAGIC):
        return None
    word = packet[len(MAGIC) : len(MAGIC) + 1]
    return (word, packet[-NONCE_BYTES:]) if word in (CHECKPOINT, RESET) else None


def reply(verdict: bytes, nonce: bytes, text: str) -> bytes:
    """A whole packet."""
    return MAGIC + verdict + nonce + text.encode(errors="replace")[:REASON_BYTES]

"""Frames: what the supervisor and a runtime loop say to each other over one stream socket.

A frame is a 4-byte big-endian length of the rest, one byte of kind, and a body.

    supervisor -> runtime
      I  init      JSON object: {"handler", "code_root", "environment": {…}, "files": {…}}: set the environment, import the handler
      E  event     4-byte big-endian length of the JSON meta, the meta, then the payload as it is.
                   meta: {"request_id", "deadline_ms", "trace_header", "context": {…}}
      S  snapshot  (templates only) the rest of the frame is the spawn request; see snapshot.py
      X  exit      no body: leave
    runtime -> supervisor
      R  ready     no body: the handler is imported
      F  failed    JSON error document of the import; the process then exits with status 1
      O  ok        the JSON answer
      N  no        the JSON error document of a handler that raised

The boot loops (boot/) carry their own copy of this format, because nothing of haneul is importable in a sandbox;
tests/contract holds both sides to it. Standard output and error go through a pipe of their own (fds 1 and 2); whatever
was written before a frame was sent is readable from the pipe once the frame has arrived.
"""

import struct

INIT = b"I"
EVENT = b"E"
SNAPSHOT = b"S"
EXIT = b"X"
READY = b"R"
FAILED = b"F"
OK = b"O"
NO = b"N"

_LENGTH = struct.Struct(">I")
_COPY_MAX_BYTES = 64 * 1024


def frame(kind: bytes, *parts: bytes) -> bytes:
    """One frame, ready to be sent."""
    body = b"".join(parts)
    return _LENGTH.pack(len(body) + 1) + kind + body


def event_parts(meta: bytes, payload: bytes) -> tuple[bytes, ...]:
    """An event frame in one piece, or in two when copying a large payload would cost more than a second buffer."""
    head = b"".join((_LENGTH.pack(len(meta) + len(payload) + 5), EVENT, _LENGTH.pack(len(meta)), meta))
    return (head + payload,) if len(payload) < _COPY_MAX_BYTES else (head, payload)


def event(meta: bytes, payload: bytes) -> bytes:
    """An event frame."""
    return b"".join(event_parts(meta, payload))

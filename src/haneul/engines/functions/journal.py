"""The journal of one environment: what its function and the platform write, on its way to the log, in order."""

from collections.abc import Iterable

from haneul.base.env import Env, Timer
from haneul.base.finished import Logged, Observer
from haneul.base.limits import LOG_FLUSH_S, LOG_LINE_MAX_BYTES, LOG_LINES_PENDING_MAX, LOG_TAIL_MAX_BYTES
from haneul.base.scope import Scope


class Journal:
    """Collects lines and hands them to the observer together: at the end of an invocation, or LOG_FLUSH_S after the
    first one while it runs."""

    __slots__ = ("_env", "_group", "_observer", "_pending", "_scope", "_stream", "_tail", "_timer")

    def __init__(self, env: Env, observer: Observer, scope: Scope, group: str, stream: str) -> None:
        self._env = env
        self._observer = observer
        self._scope = scope
        self._group = group
        self._stream = stream
        self._pending: list[tuple[int, str]] = []
        self._tail: bytearray | None = None
        self._timer: Timer | None = None

    def begin_tail(self) -> None:
        """From here on remember the last LOG_TAIL_MAX_BYTES, until end_tail()."""
        self._tail = bytearray()

    def end_tail(self) -> bytes:
        tail, self._tail = self._tail, None
        return bytes(tail[-LOG_TAIL_MAX_BYTES:]) if tail is not None else b""

    def take(self, lines: list[bytes]) -> None:
        """Lines of the function's own: a LogSink."""
        if max(map(len, lines), default=0) > LOG_LINE_MAX_BYTES:
            lines = [piece for line in lines for piece in _pieces(line)]
        self.write(line.decode("utf-8", "replace") for line in lines)
        if len(self._pending) >= LOG_LINES_PENDING_MAX:
            self.flush()
        elif self._timer is None and self._pending:
            self._timer = self._env.call_later(LOG_FLUSH_S, self.flush)

    def write(self, texts: Iterable[str]) -> None:
        """Lines of the platform's; they leave with the next flush."""
        now_ms = self._env.now_ms()
        pending = self._pending
        tail = self._tail
        for text in texts:
            pending.append((now_ms, text))
            if tail is not None:
                tail += text.encode()
                tail += b"\n"
                if len(tail) > 8 * LOG_TAIL_MAX_BYTES:
                    del tail[:-LOG_TAIL_MAX_BYTES]

    def flush(self) -> None:
        """Hand over what is pending."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._pending:
            lines, self._pending = self._pending, []
            self._observer.logged(Logged(self._scope, self._group, self._stream, lines))


def _pieces(line: bytes) -> list[bytes]:
    return [line[start : start + LOG_LINE_MAX_BYTES] for start in range(0, max(len(line), 1), LOG_LINE_MAX_BYTES)]

"""One client's connection: takes requests from the socket, hands them to the face, one after the other, and answers.

Requests that arrive while one is being answered wait as bytes, unparsed and bounded; then the socket is paused.
After an error, an upgrade or a closing answer nothing more is parsed.
"""

import asyncio
import traceback
from enum import Enum, auto
from math import inf
from typing import Any, Final

from haneul.base.errors import Invalid, TooLarge
from haneul.base.limits import (
    BODY_BUFFER_MAX_BYTES,
    BODY_PROGRESS_MIN_BYTES,
    BODY_TIMEOUT_S,
    DRAIN_MAX_BYTES,
    HEADERS_TIMEOUT_S,
    KEEP_ALIVE_TIMEOUT_S,
    LINGER_MAX_BYTES,
    LINGER_TIMEOUT_S,
    PIPELINE_MAX_REQUESTS,
    WEBSOCKET_CLOSE_TIMEOUT_S,
    WEBSOCKET_IDLE_TIMEOUT_S,
    WRITE_BUFFER_MAX_BYTES,
)

from .body import IncomingBody, WholeBody
from .eager import Next
from .head import END, HeadParser, Malformed, check_beginning
from .http import FileSlice, Request, Response
from .outlet import Outlet
from .sending import ClientGone, close_stream, send_file, send_stream
from .site import Site
from .websocket import Handshake, WebSocket, accept, wants_socket
from .writer import BadResponse, ends_with_connection, refusal, render, render_whole

_TURNS: Final = range(PIPELINE_MAX_REQUESTS)
_CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"


class _Does(Enum):
    """What a connection is at."""

    NEW = auto()  # nothing has come yet
    IDLE = auto()  # has answered; waits for the next request
    HEAD = auto()  # has the beginning of a head
    WORK = auto()  # a request is being answered
    FLUSH = auto()  # has answered; goes on in the loop's next turn, or when the client has read its answers
    DRAIN = auto()  # has answered; reads over what is left of a small body
    LINGER = auto()  # the last answer is out; reads on, so that a reset does not eat it
    SOCKET = auto()  # a WebSocket
    GONE = auto()


# Looked at several times per request: as names of the module they cost a tenth of an attribute of an Enum.
NEW, IDLE, HEAD, WORK, FLUSH, DRAIN, LINGER, SOCKET, GONE = _Does


class Connection(asyncio.Protocol):
    """deadline: when expire() is due, by site.clock; the server's sweep looks at it."""

    __slots__ = (
        "_body",
        "_does",
        "_expects",
        "_http10",
        "_keep_alive",
        "_out",
        "_parser",
        "_pending",
        "_progress",
        "_reading",
        "_remote",
        "_request",
        "_site",
        "_skipped",
        "_socket",
        "_task",
        "_transport",
        "deadline",
    )
    _transport: asyncio.Transport
    _out: Outlet

    def __init__(self, site: Site) -> None:
        self._site = site
        self._parser = HeadParser()
        self._pending = bytearray()
        self._does = NEW
        self._request: Request | None = None
        self._body: IncomingBody | None = None
        self._task: asyncio.Task[None] | None = None
        self._socket: WebSocket | None = None
        self._remote = ("", 0)
        self._keep_alive = True
        self._http10 = False
        self._expects = False  # the client waits for 100 Continue
        self._reading = True
        self._progress = 0  # bytes of body since the deadline was set
        self._skipped = 0  # bytes read over while lingering
        self.deadline = inf

    # what the event loop calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports do not inherit from asyncio.Transport.
        self._transport = transport  # type: ignore[assignment]
        self._out = Outlet(self._site, self._transport)
        peer = transport.get_extra_info("peername")
        if isinstance(peer, tuple) and len(peer) >= 2:
            self._remote = (peer[0], peer[1])
        if self._site.admit(self):
            self.deadline = self._site.clock + HEADERS_TIMEOUT_S
        else:
            self._refuse(503, "too many connections, or stopping")

    def data_received(self, data: bytes) -> None:
        does = self._does
        if does is IDLE or does is NEW:
            self._serve(data)
        elif does is HEAD:
            searched = max(len(self._pending) - len(END) + 1, 0)
            self._pending += data
            if self._pending.find(END, searched) < 0:
                self._wait_for_head()
            else:
                self._serve(self._take_pending())
        elif does is SOCKET:
            assert self._socket is not None
            self._socket.feed(data)
        elif does is LINGER:
            self._skipped += len(data)
            if self._skipped > LINGER_MAX_BYTES:
                self._transport.abort()
        elif does is not GONE:
            self._receive_body(data)

    def eof_received(self) -> bool:
        """A client that ends its side is taken as gone, and what runs for it is cancelled (as nginx does)."""
        self._leave()
        self._wait_for_client()
        return False

    def connection_lost(self, error: Exception | None) -> None:
        self._leave()
        self.deadline = inf
        self._site.forget(self)

    def pause_writing(self) -> None:
        self._out.pause()
        self._wait_for_client()

    def resume_writing(self) -> None:
        self._out.resume()
        if self._does is FLUSH:
            self._site.loop.call_soon(self._resume)
        elif self._does is WORK:
            self.deadline = inf
            self._await_body()
        elif self._does is SOCKET:
            self.expect_within(WEBSOCKET_IDLE_TIMEOUT_S / 2)

    # from bytes to requests

    def _serve(self, data: bytes) -> None:
        """Answer the requests in data, until one has to wait or the rest is no whole head."""
        position, size = 0, len(data)
        for _ in _TURNS:
            if data.startswith(b"\r\n", position):
                position += 2  # an empty line before a request is to be ignored (RFC 9112, 2.2)
            end = data.find(END, position)
            if end < 0:
                self._pending += data[position:]
                self._wait_for_head()
                return
            end += 4
            try:
                self._parser.parse(data if end == size and not position else data[position:end])
            except Malformed as error:
                self._refuse(error.status, error.reason)
                return
            position = self._begin(data, end)
            if self._does is not IDLE:
                self._receive_later(data[position:])
                return
            if position >= size:
                return
            if self._transport.get_write_buffer_size() > WRITE_BUFFER_MAX_BYTES:
                break
        self._does = FLUSH  # others want their turn, or the client does not read its answers
        self._receive_later(data[position:])
        self._site.loop.call_soon(self._resume)

    def _begin(self, data: bytes, position: int) -> int:
        """Start on the request that the parser holds, with its body from position on; the answer is the body's end."""
        parser, site, length = self._parser, self._site, self._parser.length
        incoming: IncomingBody | None = None
        body: WholeBody | IncomingBody
        if length is not None and length <= len(data) - position:
            end = position + length
            body = WholeBody(data[position:end])
        else:
            end = len(data)
            body = incoming = IncomingBody(self, length)
        request = Request(
            method=parser.method,
            target=parser.target,
            headers=parser.headers,
            body=body,
            remote=self._remote,
            scheme=site.scheme,
            http_version="1.0" if parser.http10 else "1.1",
            received=site.env.now(),
            index=parser.index,
        )
        self._request = request
        self._body = incoming
        self._keep_alive = parser.keep_alive
        self._http10 = parser.http10
        self._expects = parser.expects and incoming is not None
        self._out.started = False
        self._does = WORK
        self.deadline = inf
        if incoming is not None:
            end -= len(self._feed(incoming, data[position:]))
            self._await_body()
        if site.upgrade is not None and request.header(b"upgrade") is not None and wants_socket(request):
            self._task = site.starter.start(accept(site.upgrade, request), self._answered)
        else:
            self._task = site.starter.start(site.face.handle(request), self._answered)
        return end

    def _wait_for_head(self) -> None:
        if not self._pending:
            return
        if self._does is not HEAD:
            self._does = HEAD
            self.deadline = self._site.clock + HEADERS_TIMEOUT_S
        try:
            check_beginning(self._pending)
        except Malformed as error:
            self._refuse(error.status, error.reason)

    def _take_pending(self) -> bytes:
        data = bytes(self._pending)
        self._pending.clear()
        return data

    def _receive_later(self, data: bytes) -> None:
        """Take what lies behind the request in hand. It waits here, and when it is much, the client has to wait too."""
        if not data or self._does is LINGER or self._does is GONE:
            return
        if self._socket is not None:
            self._socket.feed(data)
        elif self._keep_alive:
            self._pending += data
            if len(self._pending) > BODY_BUFFER_MAX_BYTES:
                self.pause_body()

    def _resume(self) -> None:
        """The answer is out, and the client has read enough of it: on with what has come in meanwhile."""
        if self._does is not FLUSH or not self._out.writable:
            return
        if self._be_idle() and self._pending:
            self._serve(self._take_pending())

    def _be_idle(self) -> bool:
        """Ready for the next request; False when there shall be none."""
        self._does = IDLE
        self.deadline = self._site.clock + KEEP_ALIVE_TIMEOUT_S
        if not self._reading:
            self.resume_body()
        if self._site.stopping:
            self.finish()
            return False
        return True

    # the body of the request in hand

    def _receive_body(self, data: bytes) -> None:
        body = self._body
        if body is None or body.over:
            self._receive_later(data)
        elif body.broken is None:
            rest = self._feed(body, data)
            if self._does is DRAIN:
                self._drain(body)
            self._receive_later(rest)
            self._resume()

    def _drain(self, body: IncomingBody) -> None:
        if body.broken is not None:
            self.finish()
        elif body.over:
            self._body = None
            self._does = FLUSH

    def _feed(self, body: IncomingBody, data: bytes) -> bytes:
        """What lies behind the body. Bad chunks break it off, and with it everything behind it."""
        if not data:
            return data
        self._expects = False  # it did not wait
        try:
            rest = body.feed(data)
        except Malformed as error:
            body.fail(error.reason)
            self._keep_alive = False
            return b""
        if self._out.writable:
            self._progress += len(data)
            if body.over:
                self.deadline = inf
            elif self._progress >= BODY_PROGRESS_MIN_BYTES:
                self._await_body()
        return rest

    def _await_body(self) -> None:
        """From now on the client has BODY_TIMEOUT_S for the next bit of its body, unless it is we who are not ready."""
        body = self._body
        if body is None or body.over or body.broken is not None or self._expects or not self._reading:
            return
        self._progress = 0
        self.deadline = self._site.clock + BODY_TIMEOUT_S

    def ask_for_body(self) -> None:
        if not self._expects:
            return
        self._expects = False
        if self._out.started:
            # 100 Continue would come behind the head of the final answer.
            assert self._body is not None
            self._body.fail("it was not asked for before the answer began")
            return
        self._out.write(_CONTINUE)
        self._await_body()

    def pause_body(self) -> None:
        if self._reading and self._does is not GONE:
            self._reading = False
            self._transport.pause_reading()
            if self._out.writable and self._does is WORK:
                self.deadline = inf

    def resume_body(self) -> None:
        if not self._reading and self._does is not GONE:
            self._reading = True
            self._transport.resume_reading()
            if self._out.writable and self._does is WORK:
                self._await_body()

    # from answers to bytes

    def _answered(self, response: Any, error: BaseException | None) -> Next:
        """The face is done. What remains to be sent runs on in the same task."""
        if self._does is GONE:
            return (close_stream(response.body), self._sent) if isinstance(response, Response) else None
        if error is not None:
            self._fail(error)
            return None
        if type(response) is not Response:
            if isinstance(response, Handshake):
                return self._upgrade(response)
            self._fail(BadResponse(f"a face answered with {type(response).__name__}"))
            return None
        if self._body is not None or response.close_after or self._site.stopping or self._http10:
            self._settle_keep_alive(response)
        body = response.body
        assert self._request is not None
        to_head = self._request.method == "HEAD"
        try:
            if type(body) is bytes:
                pieces = render_whole(response, body, to_head, self._http10, self._keep_alive, self._site.date)
            else:
                head = render(response, to_head, self._http10, self._keep_alive, self._site.date)
        except BadResponse as bad:  # a mistake of the face
            self._fail(bad)
            return None if type(body) is bytes else (close_stream(body), _ignore)
        out = self._out
        if isinstance(body, bytes):
            out.started = True
            if isinstance(pieces, bytes):
                self._transport.write(pieces)
            else:
                self._transport.writelines(pieces)
            self._complete()
            return None
        if head.bodiless or (isinstance(body, FileSlice) and not body.length):
            out.begin(head.data)
            return close_stream(body), self._sent
        return send_file(out, head, body) if isinstance(body, FileSlice) else send_stream(out, head, body), self._sent

    def _settle_keep_alive(self, response: Response) -> None:
        """Whether the connection lives on: not when the rest of the request's body is long, or may never come."""
        body = self._body
        if body is not None and (self._expects or not body.is_nearly_over(DRAIN_MAX_BYTES)):
            self._keep_alive = False
        if self._site.stopping or response.close_after or ends_with_connection(response, http10=self._http10):
            self._keep_alive = False

    def _sent(self, _: Any, error: BaseException | None) -> Next:
        if error is not None and self._does is not GONE:
            self._fail(error)
        elif self._does is not GONE:
            self._complete()
        return None

    def _fail(self, error: BaseException) -> None:
        """Answer in place of a face that raised; too late for that, end the connection so that the client notices."""
        request = self._request
        assert request is not None
        if isinstance(error, ClientGone):
            self._transport.abort()
            return
        status = _status_of(error, self._body)
        if status == 500 or self._out.started:
            self._site.log.error(
                "request failed",
                method=request.method,
                path=request.path.decode("ascii", "replace"),
                started=self._out.started,
                error="".join(traceback.format_exception(error)),
            )
        if self._out.started:
            self._transport.abort()
            return
        reason = "internal error" if status == 500 else str(error)
        answer = Response(status, [(b"content-type", b"text/plain; charset=utf-8")], reason.encode() + b"\n")
        self._answered(answer, None)

    def _complete(self) -> None:
        """The answer is written."""
        in_task, self._task, self._request = self._task is not None, None, None
        body, self._body = self._body, None
        if body is not None and not body.over:
            if not self._keep_alive or body.broken is not None:
                self._linger()
                return
            body.drop()
            self._body, self._does = body, DRAIN
            self._progress = 0
            self.deadline = self._site.clock + BODY_TIMEOUT_S
        elif not self._keep_alive:
            self.finish()
        elif (in_task and self._pending) or not self._out.writable:
            self._does = FLUSH  # the next request must not begin inside this one's task
            self._site.loop.call_soon(self._resume)
        else:
            self._be_idle()

    # upgrades

    def _upgrade(self, handshake: Handshake) -> Next:
        self._does = SOCKET
        self._keep_alive = False
        self._out.begin(handshake.head)
        self._socket = WebSocket(self, self._out)
        if self._pending:
            self._socket.feed(self._take_pending())
        self.resume_body()
        return handshake.serve(self._socket), self._served

    def _served(self, _: Any, error: BaseException | None) -> Next:
        self._task = None
        if error is not None and not isinstance(error, asyncio.CancelledError):
            self._site.log.error("web socket failed", error="".join(traceback.format_exception(error)))
        if self._socket is not None:
            self._socket.begin_close(1000 if error is None else 1011)
        return None

    def expect_within(self, seconds: float) -> None:
        if self._out.writable:
            self.deadline = self._site.clock + seconds

    # endings

    def expire(self) -> None:
        """The deadline has passed."""
        does = self._does
        if not self._out.writable or does is GONE or (does is LINGER and not self._out.is_empty()):
            if self._out.has_moved():
                self.deadline = self._site.clock + BODY_TIMEOUT_S
            else:
                self._transport.abort()
        elif does is SOCKET:
            assert self._socket is not None
            self._socket.expire()
        elif does is HEAD:
            self._refuse(408, "the headers did not arrive in time")
        elif does is WORK and self._body is not None:
            self._keep_alive = False
            self.deadline = inf
            self._body.fail("it does not arrive in time")
        else:
            self.finish()

    def wind_down(self) -> None:
        """The server stops: end at once when idle, else with the answer."""
        if self._does is NEW or self._does is IDLE:
            self.finish()
        elif self._socket is not None:
            self._socket.begin_close(1001, "the server stops")

    def abort(self) -> None:
        self._transport.abort()

    def finish(self) -> None:
        """Close once everything written is out."""
        if self._does is GONE:
            return
        if self._pending or self._does is SOCKET:
            self._linger()
            return
        self._does = LINGER
        self._transport.close()
        self._wait_for_client()

    def _refuse(self, status: int, reason: str) -> None:
        """Answer a request that no face has seen; nothing more is parsed."""
        self._site.log.debug("request refused", status=status, reason=reason)
        self._transport.write(refusal(status, reason, self._site.date))
        self._linger()

    def _linger(self) -> None:
        """End our side, and read over what the client still sends: closing at once would reset the connection, and the
        reset may overtake the answer (RFC 9112, 9.6)."""
        self._does = LINGER
        self._pending.clear()
        if self._out.is_empty():
            self.deadline = self._site.clock + LINGER_TIMEOUT_S
        else:
            self._wait_for_client()
        self.resume_body()
        if self._transport.can_write_eof():
            self._transport.write_eof()

    def _leave(self) -> None:
        """The client is gone."""
        if self._does is GONE:
            return
        self._does = GONE
        self._pending.clear()
        if self._body is not None:
            self._body.fail("the client went away")
        self._out.lose()
        task = self._task
        if self._socket is not None:
            self._socket.lost()  # who serves it learns of it, and may still tidy up
            if task is not None:
                self._site.env.call_later(WEBSOCKET_CLOSE_TIMEOUT_S, lambda: _cancel(task))
        elif task is not None:
            task.cancel()

    def _wait_for_client(self) -> None:
        """The client has BODY_TIMEOUT_S to read some of what is written."""
        self._out.mark()
        self.deadline = self._site.clock + BODY_TIMEOUT_S


def _status_of(error: BaseException, body: IncomingBody | None) -> int:
    """What to answer for an error: the client's own when it is about the body that it sent."""
    if isinstance(error, TooLarge) and error.noun == "request body":
        return 413
    if isinstance(error, Invalid) and body is not None and error is body.broken:
        return 400
    return 500


def _ignore(_: Any, error: BaseException | None) -> Next:
    return None


def _cancel(task: "asyncio.Task[None]") -> None:
    task.cancel()

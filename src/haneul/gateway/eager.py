"""Coroutines started by hand: one that never waits costs no task, one that waits is adopted by a task.

A task per request costs about 3 µs and a turn of the loop, a third of what a small answer costs in all. So a coroutine's
first step runs at once, inside the caller. It must not be seen from within: `asyncio.current_task()`, and with it
`asyncio.timeout` and `TaskGroup`, have to give the task which later drives the coroutine, should it wait.

That is done with a spare: a real task that is parked on a future. The first step runs in its name (`_enter_task`, which
asyncio documents for makers of tasks). A coroutine that ends without waiting leaves the spare to the next one; one that
waits keeps the spare, which then awaits the future that the first step ended in, and a new spare is parked.
Each coroutine runs in a context of its own, so no context variable leaks from one into the next.

One thing is different: a task that was remembered by a coroutine which then never waited is still alive, and may become
another's. Cancelling such a remembered task before that only costs the spare.
"""

import asyncio
import collections.abc
import contextvars
from collections.abc import Callable, Coroutine, Generator
from typing import Any, TypeVar

Work = Coroutine[Any, Any, Any]
Next = tuple[Work, "Then"] | None
Then = Callable[[Any, BaseException | None], Next]
"""Told of the result or the error of a coroutine; may name another that is to run on in the same task and context."""

T = TypeVar("T")


class Starter:
    """Starts coroutines on one event loop. close() ends the spare."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._spare: tuple[_Driver, asyncio.Task[None]] | None = None

    def start(self, work: Work, then: Then) -> "asyncio.Task[None] | None":
        """Run work up to its end or its first wait. Called from inside another task, nothing is run by hand.

        `then` is called once with (result, None) or (None, error), before this returns or later in the task. The
        answer is None when all is over, else the task that drives the rest. A cancelled task reports CancelledError.
        """
        spare = self._spare
        if spare is None or spare[1].cancelling():
            spare = self._park()
        driver, task = spare
        context = contextvars.copy_context()
        try:
            asyncio._enter_task(self._loop, task)
        except RuntimeError:  # another task is running
            self._spare = None
            driver.begin(work, then, context)
            return task
        try:
            while True:
                try:
                    waiting = context.run(work.send, None)
                except StopIteration as end:
                    following = then(end.value, None)
                except (KeyboardInterrupt, SystemExit):
                    raise
                except BaseException as error:
                    following = then(None, error)
                else:
                    break
                if following is None:
                    return None
                work, then = following
        finally:
            asyncio._leave_task(self._loop, task)
        self._spare = None
        driver.adopt(work, then, context, waiting)
        return task

    def close(self) -> None:
        if self._spare is not None:
            self._spare[1].cancel()
            self._spare = None

    def _park(self) -> "tuple[_Driver, asyncio.Task[None]]":
        driver = _Driver(self._loop)
        self._spare = driver, asyncio.Task(driver, loop=self._loop, name="request")
        return self._spare


class _Driver(collections.abc.Coroutine[Any, Any, None]):
    """What a spare task runs: nothing until it adopts a coroutine, then that coroutine to its end.

    An object and not a generator, because a task may be cancelled before its first step: a generator would then end
    unstarted, and the adopted coroutine would be lost.
    """

    __slots__ = ("__weakref__", "_adopted", "_context", "_parked", "_then", "_waiting", "_work")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._parked: asyncio.Future[None] = loop.create_future()
        self._work: Work | None = None
        self._then: Then | None = None
        self._context: contextvars.Context | None = None
        self._waiting: Any = None
        self._adopted = False

    def adopt(self, work: Work, then: Then, context: contextvars.Context, waiting: Any) -> None:
        """Take over a coroutine whose last step gave `waiting`: a future, or None for a bare yield."""
        if getattr(waiting, "_asyncio_future_blocking", None):
            # Raised by Future.__await__ for the task that is about to wait. Another task may await the same future
            # before ours does, and would lower it under our feet: so it is lowered now and raised again in _wait.
            waiting._asyncio_future_blocking = False
        self._waiting = waiting
        self._adopted = True
        self.begin(work, then, context)

    def begin(self, work: Work, then: Then, context: contextvars.Context) -> None:
        """Take over a coroutine that has not begun; or let go of what the task is parked on."""
        self._work, self._then, self._context = work, then, context
        if not self._parked.done():
            self._parked.set_result(None)

    def send(self, _: Any) -> Any:
        if self._work is None:
            return _wait(self._parked)
        if self._adopted:
            self._adopted = False
            waiting, self._waiting = self._waiting, None
            return _wait(waiting)
        return self._step(self._work.send, None)

    def throw(self, error: Any, value: Any = None, traceback: Any = None) -> Any:
        if isinstance(error, type):
            error = value if value is not None else error()
        if self._work is None:
            raise error
        if self._adopted:
            self._adopted = False
            waiting, self._waiting = self._waiting, None
            # Cancelled before the task could wait: do as Task.cancel() does, and ask what is waited for first.
            if isinstance(error, asyncio.CancelledError) and waiting is not None and waiting.cancel():
                return _wait(waiting)
        return self._step(self._work.throw, error)

    def close(self) -> None:
        if self._work is not None:
            self._work.close()

    def __await__(self) -> Generator[Any, Any, None]:
        raise TypeError("only a task may drive this")

    def _step(self, call: Callable[[Any], Any], argument: Any) -> Any:
        assert self._context is not None and self._then is not None
        while True:
            try:
                return self._context.run(call, argument)
            except StopIteration as end:
                following = self._then(end.value, None)
            except (KeyboardInterrupt, SystemExit):
                raise
            except BaseException as error:
                following = self._then(None, error)
            if following is None:
                raise StopIteration
            self._work, self._then = following
            call, argument = self._work.send, None


def _wait(waiting: Any) -> Any:
    """Hand a future to the task as Future.__await__ does: with the mark that says it was awaited, not yielded."""
    if getattr(waiting, "_asyncio_future_blocking", None) is not None:
        waiting._asyncio_future_blocking = True
    return waiting

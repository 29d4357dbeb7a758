"""Relay: what ended and what was written, taken in one step and passed on a moment later to everyone who observes.

A request pays for one append here; telling the observers runs in one tight loop over many records, which costs a
fraction of telling them one by one in the middle of requests.
"""

from .env import Env, Timer
from .finished import Finished, Logged, Observer
from .limits import RELAY_MAX_RECORDS, RELAY_S


class Relay:
    """An Observer before the observers, which are given to `join` once they are made.

    They must be asked only after pass_on(): their batches call it before they write, so that a query sees all.
    """

    def __init__(self, env: Env) -> None:
        self._env = env
        self._observers: tuple[Observer, ...] = ()
        self._ended: list[Finished] = []
        self._logged: list[Logged] = []
        self._timer: Timer | None = None

    def join(self, observers: tuple[Observer, ...]) -> None:
        self._observers = observers

    def finished(self, record: Finished) -> None:
        ended = self._ended
        ended.append(record)
        if self._timer is None or len(ended) >= RELAY_MAX_RECORDS:
            self._wait()

    def logged(self, record: Logged) -> None:
        logged = self._logged
        logged.append(record)
        if self._timer is None or len(logged) >= RELAY_MAX_RECORDS:
            self._wait()

    def pass_on(self) -> None:
        """Tell the observers everything that has come so far."""
        ended, self._ended = self._ended, []
        logged, self._logged = self._logged, []
        for observer in self._observers:
            for record in ended:
                observer.finished(record)
            for lines in logged:
                observer.logged(lines)

    def _wait(self) -> None:
        if self._timer is None:
            self._timer = self._env.call_later(RELAY_S, self._due)
        else:
            self.pass_on()

    def _due(self) -> None:
        self._timer = None
        self.pass_on()

"""Slots: how many deliveries run at once, shared so that a slow target cannot keep the others waiting."""

from haneul.storage.outbox import Target


class Slots:
    """At most `most` in all; the last quarter is kept for targets that hold none, one each.

    Of the others a target may hold no more than it leaves free, so that one alone gets half of them and k slow ones get
    1/(k + 1) each once they have drained: the dynamic threshold by which switches share their buffers (Choudhury and
    Hahne, IEEE/ACM Transactions on Networking 6(2), 1998).
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._kept = most // 4
        self._held: dict[Target, int] = {}
        self.taken = 0

    def room(self, target: Target) -> bool:
        held = self._held.get(target, 0)
        free = self._most - self.taken
        return held < free - self._kept if held else free > 0

    def take(self, target: Target) -> None:
        self._held[target] = self._held.get(target, 0) + 1
        self.taken += 1

    def give(self, target: Target) -> None:
        self.taken -= 1
        if self._held[target] == 1:
            del self._held[target]
        else:
            self._held[target] -= 1

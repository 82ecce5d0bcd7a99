"""One vendor's server, told what to do in words that fit all vendors."""

from types import TracebackType

from support.wires.server import Received, Reply, WireServer
from support.wires.told import Answer, Say, Told
from support.wires.vendor import Invalid, Vendor


class Wire(WireServer):
    """What it is told is used in the order of the requests; the last one repeats.

    A request that breaks the vendor's rules gets the vendor's own error and uses nothing up; and the test fails at the
    end of the `with`, whatever the client made of it, unless it has looked at `rejected` and emptied it.
    """

    def __init__(self, vendor: Vendor, *told: Told) -> None:
        super().__init__(vendor.path)
        self.vendor = vendor
        self.told: list[Told] = list(told) or [Answer((Say("ok"),))]
        self.rejected: list[str] = []
        self._taken = 0

    def reply(self, received: Received) -> Reply:
        try:
            self.vendor.check(received)
        except Invalid as problem:
            self.rejected.append(problem.message)
            return self.vendor.invalid(problem)
        told = self.told[min(self._taken, len(self.told) - 1)]
        self._taken += 1
        return self.vendor.reply(told, self._taken, received)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        super().__exit__(kind, error, trace)
        assert not self.rejected, f"{self.vendor} refused requests: {self.rejected}"

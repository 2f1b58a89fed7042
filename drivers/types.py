"""Types that drivers share with links and pollers; only a type checker reads them."""

from gateway.core.types import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from typing import Any, Protocol, TypeVar

    from gateway.core.reading import Point, Values

    T = TypeVar("T")

    class Transaction(Protocol):
        """One question: see drivers/modbus.py, pylontech.py and prometheus.py.

        turns: answers that are waited for, one after the other.
        """

        gap_ms: int
        turns: int

        @property
        def request(self) -> bytes:
            """The bytes to send."""

        @property
        def result(self) -> Any:
            """What the answer says once feed said complete, else None."""

        @property
        def has_response(self) -> bool:
            """True if any byte has come."""

        def feed(self, data: bytes) -> bool | bytes:
            """Take bytes; True when the answer is whole.  Raises BadFrame, Refused.

            in_turn.InTurn, of TCP only, also returns bytes: the next request, to be sent now.
            """

        def describe(self) -> str:
            """Return the question in words."""

    class TcpTransaction(Transaction, Protocol):
        """One question over a stream.  rest: bytes behind its answer."""

        rest: bytes

    class HttpTransaction(Transaction, Protocol):
        """One question whose answer may end where the peer closes."""

        def closed(self) -> bool:
            """The peer closed: True if the body is whole.  Raises BadFrame for a torn one."""

    # A generator that yields transactions, is sent the result of each, and returns a T.
    Steps = Generator[Transaction, Any, T]
    # What carries out one transaction: its result comes back.
    Answer = Callable[[Any], Any]
    # What a device says it is: manufacturer, model, serial ... as far as it tells.
    Identification = dict[str, Any]

    class Driver(Protocol):
        """One device that can be polled: see driver.py."""

        points: tuple[Point, ...]
        answer_ms_max: int

        def poll(self) -> Steps[Values]:
            """Yield transactions; return the values by position."""

        def identify(self) -> Steps[Identification]:
            """Yield transactions; return what the device says it is."""

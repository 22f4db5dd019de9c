"""Requests to endpoints, and long lists of them that are read one by one."""

from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from typing import overload

from evalkit.backends.endpoint import Endpoint, Running
from evalkit.backends.types import Request


@dataclass(frozen=True, slots=True)
class Call:
    """One request to one endpoint."""

    request: Request
    endpoint: Endpoint


class Calls(Sequence[Call]):
    """What endpoints are to be asked, each request read from its list when it is its turn.

    In memory stay ten bytes a call: whose list it is in, and where.
    """

    def __init__(self) -> None:
        self._sources: list[tuple[Sequence[Request], Endpoint]] = []
        self._whose, self._places = array("H"), array("q")

    def add(self, requests: Sequence[Request], place: int, endpoint: Endpoint) -> None:
        """The request at this place of a contender's requests, to be put to this endpoint."""
        if not self._sources or self._sources[-1][0] is not requests:
            self._sources.append((requests, endpoint))
        self._whose.append(len(self._sources) - 1)
        self._places.append(place)

    def __len__(self) -> int:
        return len(self._places)

    @overload
    def __getitem__(self, at: int) -> Call: ...
    @overload
    def __getitem__(self, at: slice) -> list[Call]: ...
    def __getitem__(self, at: int | slice) -> Call | list[Call]:
        if isinstance(at, slice):
            return [self[place] for place in range(len(self))[at]]
        requests, endpoint = self._sources[self._whose[at]]
        return Call(requests[self._places[at]], endpoint)

    def described(self, running: Running) -> str:
        """Who is asked how much, and where."""
        addresses = sorted({endpoint.base_url for _, endpoint in self._sources})
        who = f"{len(self._sources)} contenders" if len(self._sources) > 1 else self[0].request.contender
        return (
            f"asking {who} {len(self):,} questions at {', '.join(addresses)}, up to {running.concurrency} at a time, in"
            " random order"
        )

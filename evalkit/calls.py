"""Requests to endpoints, and long lists of them that are read one by one."""

from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from typing import overload

from evalkit.endpoint import Endpoint, Running
from evalkit.generate import Request
from evalkit.prompts import Questions


@dataclass(frozen=True, slots=True)
class Call:
    """One request to one endpoint."""

    request: Request
    endpoint: Endpoint


class Calls(Sequence[Call]):
    """What endpoints are to be asked, each request read when it is its turn."""

    def __init__(self) -> None:
        self._asked: list[tuple[Questions, Endpoint]] = []
        self._whose, self._places = array("H"), array("q")

    def add(self, questions: Questions, request: Request) -> None:
        """One request of this contender, which is at an endpoint."""
        endpoint = questions.contender.endpoint
        if endpoint is not None and (not self._asked or self._asked[-1][0] is not questions):
            self._asked.append((questions, endpoint))
        self._whose.append(len(self._asked) - 1)
        self._places.append(request.place)

    def __len__(self) -> int:
        return len(self._places)

    @overload
    def __getitem__(self, at: int) -> Call: ...
    @overload
    def __getitem__(self, at: slice) -> list[Call]: ...
    def __getitem__(self, at: int | slice) -> Call | list[Call]:
        if isinstance(at, slice):
            return [self[place] for place in range(len(self))[at]]
        questions, endpoint = self._asked[self._whose[at]]
        return Call(questions.requests[self._places[at]], endpoint)

    def described(self, running: Running) -> str:
        """Who is asked how much, and where."""
        addresses = sorted({endpoint.base_url for _, endpoint in self._asked})
        who = f"{len(self._asked)} contenders" if len(self._asked) > 1 else self._asked[0][0].contender.name
        return (
            f"asking {who} {len(self):,} questions at {', '.join(addresses)}, up to {running.concurrency} at a time, in"
            " random order"
        )

"""The store: every release in a folder of its own, and one small file that says which is current and what was before.

That file is the only thing that changes, and it changes in one step: whatever happens before leaves the old release
current, whatever happens after finds the new one whole. One process at a time writes.
"""

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import msgspec

from curate.core.errors import ConfigError, DataError, ProvenanceError, ServiceError, os_errors
from curate.core.records import environment
from evalkit.records.typed import read_typed, write_typed
from evalkit.release import signing
from evalkit.release.bundle import RELEASE, Release, bundle_faults, describe, read_bundle, sync_folder, write_bundle
from evalkit.release.chain import Chain

STATE, BUNDLES, LOCK = "releases.json", "bundles", ".lock"
SCHEMA = 1
_WAIT_S = 600.0  # for another promotion: it copies an adapter, and at most the weights of a whole model
_SHORTEST = 6  # characters of a digest that name a release: fewer are typed by mistake


class StoreEvent(msgspec.Struct, frozen=True, kw_only=True):
    """A release was made current (`action`: promote or rollback) in the place of the one `before`."""

    action: str
    release: str
    before: str | None
    environment: dict[str, Any]


class StoreState(msgspec.Struct, frozen=True, kw_only=True):
    """releases.json: which release is current, and what happened, the oldest first."""

    kind: Literal["releases"] = "releases"
    schema: int = SCHEMA
    current: str | None = None
    history: tuple[StoreEvent, ...] = ()
    digest: str = ""

    def earlier(self) -> list[str]:
        """The releases below the current one, the one that a rollback returns to last."""
        stack: list[str] = []
        for event in self.history:
            if event.action == "rollback" and event.release in stack:
                while stack[-1] != event.release:
                    stack.pop()
            elif not stack or stack[-1] != event.release:
                stack.append(event.release)
        return stack[:-1]


@dataclass(frozen=True)
class Promotion:
    """A release, its folder, and whether it was current already."""

    record: Release
    folder: Path
    was_current: bool


class ReleaseStore:
    """The releases in a folder. Making one of these touches nothing."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def state(self) -> StoreState:
        """What is current. Raises: ProvenanceError where the state file was changed."""
        path = self.folder / STATE
        return (
            read_typed(path, StoreState, "a store of releases", "restore it from a copy")
            if path.is_file()
            else StoreState()
        )

    def bundle(self, digest: str) -> Path:
        """The folder of the release with this digest."""
        return self.folder / BUNDLES / digest.removeprefix("sha256:")

    def digests(self) -> list[str]:
        """Every release that was ever made current, in the order of that, and then what else lies there."""
        known = list(dict.fromkeys(event.release for event in self.state().history))
        there = sorted(f"sha256:{path.name}" for path in (self.folder / BUNDLES).glob("[!.]*") if path.is_dir())
        return [*known, *(digest for digest in there if digest not in known)]

    def find(self, name: str | None) -> str:
        """The digest that `name` means: `current` (or nothing), `previous`, a digest or its beginning.

        Raises: ConfigError where there is no such release, or several.
        """
        if name in (None, "current"):
            current = self.state().current
            if current is None:
                raise DataError("nothing was released yet", where=self.folder, fix="see `evalkit release promote`")
            return current
        if name == "previous":
            return self._previous()
        wanted = str(name).removeprefix("sha256:")
        found = [digest for digest in self.digests() if digest.removeprefix("sha256:").startswith(wanted)]
        if len(found) != 1 or len(wanted) < _SHORTEST:
            what = f"{len(found)} releases start with {name}" if found else f"there is no release {name}"
            what = what if len(wanted) >= _SHORTEST else f"{name} is too short to name a release"
            raise ConfigError(what, where=self.folder, fix="see `evalkit release list`")
        return found[0]

    def _previous(self) -> str:
        earlier = self.state().earlier()
        if not earlier:
            raise ConfigError(
                "there is no earlier release to go back to", where=self.folder, fix="see `evalkit release list`"
            )
        return earlier[-1]

    def promote(self, chain: Chain, *, allow_recorded: bool = False, key: Any = None) -> Promotion:
        """Make what the chain supports the current release. Raises: as `check_links`; the old one stays then."""
        record, sources = describe(chain, allow_recorded=allow_recorded)
        digest = record.digest
        folder = self.bundle(digest)
        with self._alone():
            self._clear_left_overs()
            if bundle_faults(folder, digest):
                write_bundle(folder, record, sources)
            if key is not None:
                signing.sign(folder / RELEASE, key, f"acidtest release {digest}")
            state = self.state()
            if state.current != digest:
                self._commit(state, "promote", digest)
            return Promotion(read_bundle(folder), folder, state.current == digest)

    def rollback(self, name: str | None) -> Promotion:
        """Make an earlier release current again. Raises: ProvenanceError where it is damaged: the current one stays."""
        with self._alone():
            digest = self.find(name or "previous")
            self.refuse_damaged(digest)
            state = self.state()
            if state.current != digest:
                self._commit(state, "rollback", digest)
            folder = self.bundle(digest)
            return Promotion(read_bundle(folder), folder, state.current == digest)

    def refuse_damaged(self, digest: str, public_key: Path | None = None) -> None:
        """Raises: ProvenanceError with everything that is wrong with a release."""
        faults = bundle_faults(self.bundle(digest), digest, public_key)
        if faults:
            raise ProvenanceError(
                "\n".join([f"release {short(digest)} is damaged", *(f"  {fault}" for fault in faults)]),
                where=self.bundle(digest),
                fix="promote it again from its run, or roll back to another",
            )

    def _commit(self, state: StoreState, action: str, digest: str) -> None:
        event = StoreEvent(action=action, release=digest, before=state.current, environment=environment())
        write_typed(self.folder / STATE, StoreState(current=digest, history=(*state.history, event)))
        sync_folder(self.folder)

    def _clear_left_overs(self) -> None:
        """Take away what promotions that were killed left half done; the lock says that nobody is at it."""
        for left_over in (self.folder / BUNDLES).glob(".*"):
            shutil.rmtree(left_over, ignore_errors=True)
        for left_over in (*self.folder.glob(f".{STATE}.*"), *self.folder.glob(f"{BUNDLES}/*/.{RELEASE}*")):
            left_over.unlink(missing_ok=True)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        from filelock import FileLock, Timeout

        with os_errors(self.folder):
            (self.folder / BUNDLES).mkdir(parents=True, exist_ok=True)
            lock = FileLock(self.folder / LOCK, timeout=_WAIT_S)
            try:
                lock.acquire()
            except Timeout as error:
                raise ServiceError(
                    f"another process has been writing here for {_WAIT_S:.0f} s", where=self.folder
                ) from error
        try:
            yield
        finally:
            lock.release()


def short(digest: str) -> str:
    """A digest as people read it: twelve hex digits."""
    return digest.removeprefix("sha256:")[:12]


def check(store: ReleaseStore, names: Sequence[str], public_key: Path | None = None) -> dict[str, list[str]]:
    """What is wrong with each of these releases, or with all of them and the state: empty lists where nothing is."""
    digests = [store.find(name) for name in names] if names else store.digests()
    if not digests:
        raise DataError("there are no releases here", where=store.folder, fix="see `evalkit release promote`")
    return {digest: bundle_faults(store.bundle(digest), digest, public_key) for digest in digests}

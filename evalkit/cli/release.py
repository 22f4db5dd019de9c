"""The commands on releases: promote, list, show, diff, rollback, verify."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from curate.core import console
from evalkit.cli.options import FILE, FOLDER, json_option

if TYPE_CHECKING:
    from evalkit.release.bundle import Release

_store_option = click.option(
    "--store", type=FOLDER, default="releases", show_default=True, help="The folder that holds the releases."
)


@click.group(epilog=console.EPILOG)
def release() -> None:
    """Releases: adapters that passed the gate, and which of them is current.

    \b
    Examples:
      evalkit release promote demo/run --results demo/results --verdict demo/results/verdict.json
      evalkit release list
      evalkit release rollback
    """


@release.command(epilog=console.EPILOG)
@click.argument("run", type=FOLDER)
@click.option("--results", type=FOLDER, required=True, help="What `evalkit run` wrote about this run.")
@click.option("--verdict", type=FILE, required=True, help="What the gate wrote about these results.")
@click.option("--dataset", type=FOLDER, help="The run's dataset, where it lies elsewhere now.")
@_store_option
@click.option("--sign", "key", type=FILE, help="Sign with this minisign secret key.")
@click.option("--allow-recorded", is_flag=True, help="Also where the adapter's answers were recorded, not made.")
@click.option("--dry-run", is_flag=True, help="Check the whole chain and say what would be written; write nothing.")
@json_option
@console.command_options
def promote(  # noqa: PLR0913 - one parameter for each option of the command
    run: Path,
    results: Path,
    verdict: Path,
    dataset: Path | None,
    store: Path,
    key: Path | None,
    *,
    allow_recorded: bool,
    dry_run: bool,
    as_json: bool,
) -> int:
    """Make RUN's adapter the current release, if its chain of digests is whole and the gate let it through.

    The chain is manifest -> run -> results -> verdict: each names the digest of what it came from. A link that leads
    elsewhere is refused with exit code 4, a verdict that failed with 1, one that is inconclusive with 6. The key's
    password is read from ACIDTEST_SIGNING_PASSWORD.

    \b
    Examples:
      evalkit release promote demo/run --results demo/results --verdict demo/results/verdict.json
      evalkit release promote demo/run --results demo/results --verdict verdict.json --dry-run
    """
    from evalkit.release import bundle, chain, signing
    from evalkit.release.store import ReleaseStore, short

    found = chain.read_chain(run, results, verdict, dataset)
    secret = signing.load_key(key) if key else None
    if dry_run:
        record, sources = bundle.describe(found, allow_recorded=allow_recorded)
        size = sum(path.stat().st_size for path in sources.values())
        _print(record, _release_lines(record), as_json=as_json)
        console.say(f"dry run: would write {len(sources)} files, {size / 1e6:.1f} MB, into {store}")
        return 0
    done = ReleaseStore(store).promote(found, allow_recorded=allow_recorded, key=secret)
    _print(_with_folder(done.record, done.folder), _release_lines(done.record), as_json=as_json)
    console.say(f"{short(done.record.digest)} {'was current already' if done.was_current else 'is current'}")
    return 0


@release.command("list", epilog=console.EPILOG)
@_store_option
@json_option
@console.command_options
def list_releases(store: Path, *, as_json: bool) -> int:
    """List the releases, the current one marked, with what each scored.

    \b
    Example:
      evalkit release list --json
    """
    from evalkit.release.listing import listed, table

    rows = listed(store)
    _print(rows, table(rows), as_json=as_json)
    return 0


@release.command(epilog=console.EPILOG)
@click.argument("name", metavar="[RELEASE]", required=False)
@_store_option
@json_option
@console.command_options
def show(name: str | None, store: Path, *, as_json: bool) -> int:
    """Show RELEASE (a digest or its beginning, `current`, `previous`), by default the current one, and its folder.

    \b
    Examples:
      evalkit release show
      evalkit release show 1f3c9a --json
    """
    from evalkit.release.bundle import read_bundle
    from evalkit.release.store import ReleaseStore

    found = ReleaseStore(store)
    folder = found.bundle(found.find(name))
    record = read_bundle(folder)
    _print(_with_folder(record, folder), [*_release_lines(record), f"folder    {folder}"], as_json=as_json)
    return 0


@release.command(epilog=console.EPILOG)
@click.argument("a")
@click.argument("b")
@_store_option
@json_option
@console.command_options
def diff(a: str, b: str, store: Path, *, as_json: bool) -> int:
    """Say how release B differs from A: settings, data, base, versions and scores; exit code 1 where it does.

    \b
    Examples:
      evalkit release diff previous current
      evalkit release diff 1f3c9a 77ab02
    """
    from evalkit.release.compare import compare_releases
    from evalkit.release.store import ReleaseStore

    found = ReleaseStore(store)
    first, second = found.find(a), found.find(b)
    difference = compare_releases(found.bundle(first), found.bundle(second))
    _print(difference.summary(), list(difference.lines()), as_json=as_json)
    return int(first != second)


@release.command(epilog=console.EPILOG)
@click.argument("name", metavar="[RELEASE]", required=False)
@_store_option
@click.option("--dry-run", is_flag=True, help="Check the release and say what would become current; change nothing.")
@json_option
@console.command_options
def rollback(name: str | None, store: Path, *, dry_run: bool, as_json: bool) -> int:
    """Make RELEASE current again, by default the one before the current one.

    A release that is damaged is refused; the current one stays.

    \b
    Examples:
      evalkit release rollback
      evalkit release rollback 1f3c9a
    """
    from evalkit.release.bundle import read_bundle
    from evalkit.release.store import ReleaseStore, short

    found = ReleaseStore(store)
    if dry_run:
        digest = found.find(name or "previous")
        found.refuse_damaged(digest)
        record = read_bundle(found.bundle(digest))
        _print(record, _release_lines(record), as_json=as_json)
        console.say(f"dry run: {short(digest)} would become current")
        return 0
    done = found.rollback(name)
    _print(_with_folder(done.record, done.folder), _release_lines(done.record), as_json=as_json)
    console.say(f"{short(done.record.digest)} {'was current already' if done.was_current else 'is current'}")
    return 0


@release.command(epilog=console.EPILOG)
@click.argument("names", metavar="[RELEASE]...", nargs=-1)
@_store_option
@click.option("--public-key", type=FILE, help="Also check signatures against this minisign public key.")
@json_option
@console.command_options
def verify(names: tuple[str, ...], store: Path, public_key: Path | None, *, as_json: bool) -> int:
    """Check every file and every link of each RELEASE, by default of all; exit code 4 where one is damaged.

    \b
    Examples:
      evalkit release verify
      evalkit release verify current --public-key release.pub
    """
    from evalkit.release.store import ReleaseStore, check, short

    found = check(ReleaseStore(store), names, public_key)
    lines = []
    for digest, faults in found.items():
        lines += [f"{short(digest)}  {'damaged' if faults else 'ok'}", *(f"  {fault}" for fault in faults)]
    _print(found, lines, as_json=as_json)
    return 4 if any(found.values()) else 0


def _with_folder(record: "Release", folder: Path) -> dict[str, Any]:
    from msgspec import to_builtins

    return {**to_builtins(record), "folder": str(folder)}


def _release_lines(record: "Release") -> list[str]:
    from curate.core.visible import visible
    from evalkit.release.listing import score
    from evalkit.release.store import short

    recorded = " (from recorded answers)" if record.recorded_answers else ""
    return [
        f"release   {record.digest}",
        f"suite     {visible(record.name)}",
        f"adapter   {short(record.adapter)} on {visible(record.base['id'])}",
        f"scored    {score(record)}{recorded}",
        f"verdict   {record.verdict.outcome}: {visible(record.verdict.because)}",
        *(f"judge     {visible(name)} is {state}" for name, state in (record.judges or {}).items()),
    ]


def _print(value: Any, lines: list[str], *, as_json: bool) -> None:
    if as_json:
        console.print_json(value)
    else:
        console.show("\n".join(lines))

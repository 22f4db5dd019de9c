"""The terminal's edge: how commands start, talk and end. stdout is the product, stderr the talk."""

import os
import re
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NoReturn, Protocol

import click
import msgspec

from curate.core.errors import AcidtestError, from_os_error
from curate.core.installation import find_intruder
from curate.core.paths import NO_CODE
from curate.core.visible import escape_invisible, visible

INTERRUPTED = 130
INTERNAL_ERROR = 70  # sysexits' EX_SOFTWARE: a fault of ours, distinct from every documented outcome
_LOG_EVERY_S = 10.0  # without a terminal, a progress line this often keeps logs short and watchers calm

EPILOG = """\b
Exit codes: 0 done or pass, 1 negative result, 2 usage or config, 3 bad input data,
4 broken provenance, 5 service or hardware, 6 inconclusive, 130 interrupted."""


def run(command: click.Command) -> NoReturn:
    """Run a command line and exit: errors become messages on stderr and exit codes, tracebacks only with --debug."""
    debug = "--debug" in sys.argv
    if debug:
        sys.argv.remove("--debug")
    # SIGTERM ends like Ctrl-C: the same clean-up runs, and the same command goes on later.
    signal.signal(signal.SIGTERM, _interrupt)
    if (intruder := find_intruder()) is not None:
        warn(intruder)
    try:
        code = command.main(standalone_mode=False)
        sys.stdout.flush()
    except click.ClickException as error:
        error.show()
        code = error.exit_code
    except (KeyboardInterrupt, click.Abort):
        say("interrupted; finished work is kept: run the same command again to go on")
        code = INTERRUPTED
    except SystemExit:
        # Here click exits by itself only when the reader of our output (head, less) has gone away: nothing is wrong.
        code = 0
    except Exception as error:  # noqa: BLE001 - the last boundary before the user
        code = _report(error, debug=debug)
    sys.exit(code if isinstance(code, int) else 0)


def _interrupt(*_: Any) -> NoReturn:
    raise KeyboardInterrupt


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Hold Ctrl-C and SIGTERM back until the block has ended; only the main thread ever gets them."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    held: list[int] = []
    before = {
        number: signal.signal(number, lambda got, _: held.append(got)) for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if held:
        signal.raise_signal(held[0])


def _report(error: Exception, *, debug: bool) -> int:
    if debug:
        traceback.print_exception(error)
    known = from_os_error(error) if isinstance(error, OSError) else error
    if isinstance(known, AcidtestError):
        say(str(known), mark=click.style("error: ", fg="red", bold=True))
        return known.exit_code
    say(f"{type(error).__name__}: {error}", mark=click.style("internal error: ", fg="red", bold=True))
    say("  This is a fault of acidtest. Run again with --debug and report what it prints.")
    return INTERNAL_ERROR


def say(text: str, *, mark: str = "") -> None:
    """Talk to the user on stderr, after a mark in colours, where a terminal wants them.

    The text may hold names from anybody's file: what would act on a terminal is shown as a sign.
    """
    click.echo(mark + visible(text), err=True, color=colour())


def show(text: object) -> None:
    """Print text on stdout, as `say` does on stderr."""
    click.echo(visible(str(text)))


def warn(text: str) -> None:
    """Say something that the user should look at."""
    say(text, mark=click.style("warning: ", fg="yellow", bold=True))


def print_json(value: object) -> None:
    """Print `value` as indented JSON on stdout; what would act on a terminal is escaped, and says the same."""
    click.echo(escape_invisible(msgspec.json.format(msgspec.json.encode(value), indent=2).decode()))


def colour() -> bool | None:
    """What click wants to be told about colours: none at all, or None, only on a terminal."""
    return False if os.environ.get("NO_COLOR") else None


class Advance(Protocol):
    """Moves a progress bar on by `steps` and shows `note` beside it."""

    def __call__(self, steps: float = 1, note: str = "") -> None:
        """Move on."""


@contextmanager
def progress(label: str, total: float) -> Iterator[Advance]:
    """A progress bar with the time left on stderr; where stderr is no terminal, a line of text now and then."""
    if sys.stderr.isatty():
        yield from _bar(label, total)
    else:
        yield from _log_lines(label, total)


def _bar(label: str, total: float) -> Iterator[Advance]:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=None),
        MofNCompleteColumn(),
        TextColumn("{task.fields[note]}", markup=False),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(visible(label), total=total, note="")

        def advance(steps: float = 1, note: str = "") -> None:
            bar.update(task, advance=steps, note=visible(note))

        yield advance


def _log_lines(label: str, total: float) -> Iterator[Advance]:
    done, started = 0.0, time.monotonic()
    said = started

    def advance(steps: float = 1, note: str = "") -> None:
        nonlocal done, said
        done += steps
        now = time.monotonic()
        if now - said >= _LOG_EVERY_S:
            said = now
            gone = now - started
            left = gone / max(done, 1e-9) * (total - done)
            times = f"{gone:.0f} s gone, about {left:.0f} s left"
            say(f"{label}: {done:.0f} of {total:.0f}, {times} {note}".rstrip())

    yield advance


class CommandWithMore(click.Group):
    """A command that works on its argument, or, where a name of one of `commands` stands first, is that command."""

    allow_interspersed_args = True

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        """The context of the command that the first word names, else of this one."""
        if args and (named := self.commands.get(args[0])) is not None:
            return named.make_context(f"{info_name} {args[0]}", args[1:], parent=parent, **extra)
        return super().make_context(info_name, args, parent=parent, **extra)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse as a command does, options after arguments too."""
        return click.Command.parse_args(self, ctx, args)

    def collect_usage_pieces(self, ctx: click.Context) -> list[str]:
        """What stands in the usage line: this command's own arguments."""
        return click.Command.collect_usage_pieces(self, ctx)

    def invoke(self, ctx: click.Context) -> Any:
        """Run this command itself."""
        return click.Command.invoke(self, ctx)


class Bytes(click.ParamType[int]):
    """A number of bytes as people write it: 500MB, 2GB, 1.5GiB."""

    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """The number. Fails for text that is none."""
        if isinstance(value, int):
            return value
        found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([kmgt]?)(i?)b?\s*", str(value).lower())
        if found is None:
            self.fail(f"{value!r} is no size: write it as 500MB or 2GB", param, ctx)
        number, unit, binary = found.groups()
        return int(float(number) * (1024 if binary else 1000) ** " kmgt".index(unit or " "))


def command_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """The options every command takes. `run` reads `--debug` wherever it stands; this makes `--help` show it."""
    return click.option("--debug", is_flag=True, expose_value=False, help="Show tracebacks.")(function)


def code_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """The option `--no-code`, of commands whose settings may name Python functions."""

    def forbid(_: click.Context, __: click.Parameter, value: bool) -> None:
        if value:
            os.environ[NO_CODE] = "1"

    option = click.option(
        "--no-code", is_flag=True, expose_value=False, callback=forbid, help="Refuse to run Python that the file names."
    )
    return option(function)


@contextmanager
def costs_time_alone(name: str) -> Iterator[None]:
    """Makes a warning of a disk that is full or not to be written to: what can't be kept is worked out again."""
    try:
        yield
    except (AcidtestError, OSError) as error:
        what = error.what if isinstance(error, AcidtestError) else error
        warn(f"{name}: can't be kept for a later build: {what}")

"""A plan as text."""

from collections.abc import Iterator, Sequence

from trainer.plan.hardware import Hardware
from trainer.plan.plan import CARD_SIZES_GB, Option, Plan


def plan_lines(plan: Plan) -> Iterator[str]:
    """The plan, line by line."""
    work = plan.work
    yield f"base       {plan.base}: {plan.parameters:,} weights, {plan.trainable:,} trained ({plan.method})"
    if not plan.counted:
        yield "           this architecture can't be counted; what it keeps is estimated from its widths"
    dropped = f", {plan.dropped} left out as too long" if plan.dropped else ""
    yield (
        f"rows       {plan.rows:,}{dropped}; longest {work.longest:,} tokens;"
        f" {work.supervised:,} tokens in the loss over all steps"
    )
    yield f"steps      {work.steps:,}, {work.tokens:,} tokens computed, {work.held_out:,} for the held-out loss"
    yield from _here(plan.here)
    yield ""
    yield "Memory in GB, time and price on other hardware (bf16; cards of one machine share the rows)"
    yield from _aligned([_OPTION_HEAD, *(_option(one, plan.currency) for one in plan.options)])
    if plan.priced_on:
        yield f"Prices in {plan.currency} of {plan.priced_on}, from your table."
    else:
        yield "No prices: name a table with --hardware (`trainer plan --help` shows one)."
    yield from _spread(plan.options)
    yield ""
    yield "Peak in GB for other bases with these rows and settings; c: fits with checkpointing alone"
    yield from _aligned(_sizes(plan))
    if plan.warnings:
        yield ""
        for warned in plan.warnings:
            yield f"unwise: {warned.rule}: {warned.detail}"


def _here(here: Option) -> Iterator[str]:
    memory = here.memory
    fits = "fits" if here.fits else "DOES NOT FIT"
    yield (
        f"here       {here.hardware}: {_gb(here.peak_bytes)} GB at the peak, {_gb(here.room_bytes)} GB free: {fits};"
        f" {_gb(here.checkpointed_bytes)} GB with checkpointing; about {_time(here.seconds)}"
    )
    yield (
        f"           weights {_gb(memory.weights)}, adapter {_gb(memory.adapter)}, activations"
        f" {_gb(memory.activations)}, logits {_gb(memory.logits)}, the rest {_gb(memory.workspace)};"
        f" micro_batch_tokens up to {here.micro_batch:,}"
    )
    yield from _to_change(here)


def _to_change(option: Option) -> Iterator[str]:
    """The changes up to the first that makes it fit."""
    for change in option.changes:
        yield f"           change {change.what}: {_gb(change.peak_bytes)} GB"
        if change.peak_bytes <= option.room_bytes:
            return
    if option.changes:
        yield "           and even then it doesn't fit: take a smaller base"


_OPTION_HEAD = ("hardware", "usable", "peak", "checkpointed", "micro-batch", "time", "price", "fits")


def _option(option: Option, currency: str | None) -> tuple[str, ...]:
    return (
        option.hardware,
        _gb(option.room_bytes),
        _gb(option.peak_bytes),
        _gb(option.checkpointed_bytes),
        f"{option.micro_batch:,}" if option.micro_batch else "-",
        _time(option.seconds),
        "-" if option.price is None else f"{option.price:.2f} {currency}",
        _verdict(option),
    )


def _verdict(option: Option) -> str:
    if option.fits:
        return "yes, checkpointed" if option.checkpointing else "yes"
    first = next((change.what for change in option.changes if change.peak_bytes <= option.room_bytes), None)
    return f"with {first.partition(' (')[0]}" if first else "no"


def _spread(options: Sequence[Option]) -> Iterator[str]:
    for option in options:
        spread = option.sharded_bytes
        if not option.fits and spread is not None and spread <= option.room_bytes:
            yield f"{option.hardware}: fits with the weights spread over the cards (FSDP), {_gb(spread)} GB on each."


def _sizes(plan: Plan) -> Iterator[tuple[str, ...]]:
    yield ("base", "peak", "checkpointed", *(f"{size} GB" for size in CARD_SIZES_GB))
    for one in plan.sizes:
        rooms = [Hardware(name="card", memory_gb=size, tflops=1).room_bytes for size in CARD_SIZES_GB]
        fits = ["yes" if one.peak_bytes <= room else "c" if one.checkpointed_bytes <= room else "-" for room in rooms]
        yield (one.name, _gb(one.peak_bytes), _gb(one.checkpointed_bytes), *fits)


def _aligned(rows: "Sequence[tuple[str, ...]] | Iterator[tuple[str, ...]]") -> Iterator[str]:
    """The rows as columns: the first to the left, the last as it is, those between to the right."""
    rows = list(rows)
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    for first, *cells in rows:
        right = [cell.rjust(width) for cell, width in zip(cells, widths[1:], strict=True)]
        yield "  ".join([first.ljust(widths[0]), *right[:-1], cells[-1]])


def _gb(size: float) -> str:
    return f"{size / 1e9:.1f}"


def _time(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"

"""`curate review`: decide on rows one key at a time."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from curate.core.console import EPILOG, CommandWithMore, command_options, print_json, say, show

if TYPE_CHECKING:
    from curate.core.review.items import Deck

_FILE = click.Path(dir_okay=False, path_type=Path)


@click.command("review", cls=CommandWithMore, epilog=EPILOG)
@click.argument("target", metavar="DATASET", type=click.Path(path_type=Path))
@click.option("--rejected", is_flag=True, help="The rows that the build left out, each with the reason.")
@click.option("--pairs", is_flag=True, help="The near duplicates, each beside the row that was kept instead.")
@click.option("--conflicts", is_flag=True, help="The rows with one prompt and different answers, side by side.")
@click.option("--sample", type=click.IntRange(min=1), help="So many of them, drawn at random.")
@click.option("--seed", default=0, help="Decides which are drawn.")
@click.option("--label", help="Only rows with this label.")
@click.option("--class", "classes", multiple=True, help="A label that a digit gives to a row; again for more.")
@click.option("--base", help="The base model whose tokens are shown; left out, the one of the dataset's recipe.")
@click.option("--journal", type=_FILE, help="Where decisions are kept; left out, decisions.jsonl beside the rows.")
@click.option("--reviewer", help="Who decides; left out, the name of the user.")
@click.option("--keys", type=_FILE, help="A YAML file with other keys, `keys: {keep: y, drop: z}`.")
@click.option("--plain", is_flag=True, help="No full screen: print an item, read a line.")
@command_options
def review(target: Path, rejected: bool, pairs: bool, conflicts: bool, classes: tuple[str, ...], **given: Any) -> int:
    """Decide on the rows of DATASET (a folder, or a file of rows) with one key each; the next build applies it.

    Every decision is on disk before the next row is shown. `?` shows all keys.

    \b
    Examples:
      curate review demo/dataset
      curate review demo/dataset --rejected
      curate review demo/dataset --pairs
      curate review rows.jsonl --sample 100 --plain
    """
    from curate.core.review.run import check_terminal

    if rejected + pairs + conflicts > 1:
        raise click.UsageError("--rejected, --pairs and --conflicts are kinds of items: review one, then the other")
    if len(classes) > 9:
        raise click.UsageError("--class: there are nine digits")
    check_terminal(plain=given["plain"])
    from curate.core.review.decisions import FILE
    from curate.core.review.run import Settings, reviewer_name
    from curate.core.review.run import review as run_review
    from curate.review.conflict_deck import conflict_deck
    from curate.review.rejected_deck import PairDeck, RejectedDeck
    from curate.review.rows_deck import open_rows, row_kind
    from curate.review.token_view import token_view

    deck: Deck
    if conflicts:
        deck = conflict_deck(target)
    elif pairs or rejected:
        deck = PairDeck(target) if pairs else RejectedDeck(target)
    else:
        deck = open_rows(target, row_kind(classes))
    folder = target if target.is_dir() else target.parent
    base = given["base"] or _base_of(folder)
    label = given["label"]
    settings = Settings(
        journal=given["journal"] or folder / FILE,
        reviewer=reviewer_name(given["reviewer"]),
        plain=given["plain"],
        filter='label:"' + label.replace("\\", "\\\\").replace('"', '\\"') + '"' if label else "",
        sample=given["sample"],
        seed=given["seed"],
        keys=given["keys"],
    )
    run_review(deck, settings, token_view(base, Path.cwd()) if base else None)
    return 0


@review.command("merge", epilog=EPILOG)
@click.argument("journals", nargs=-1, required=True, type=_FILE, metavar="JOURNALS...")
@click.option("--output", type=_FILE, help="Write the merged journal here.")
@click.option("--dry-run", is_flag=True, help="With --output: say what would be written; write nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@command_options
def merge_journals(journals: tuple[Path, ...], output: Path | None, dry_run: bool, as_json: bool) -> int:
    """Put the JOURNALS of several reviewers together, and say how far they agree (Cohen's kappa).

    Items on which they differ are left out of the merged journal: there they are pending again.

    \b
    Example:
      curate review merge ann.jsonl bob.jsonl --output dataset/decisions.jsonl
    """
    import msgspec

    from curate.core.files import write_lines
    from curate.core.review.merge import merge

    merged = merge(journals)
    if as_json:
        found = {"decisions": len(merged.events), "conflicts": [list(one) for one in merged.conflicts]}
        print_json({**found, "agreements": [_as_dict(one) for one in merged.agreements]})
    else:
        for one in merged.agreements:
            shown = "undefined" if one.kappa is None else f"{one.kappa:.3f}"
            show(f"{one.a} and {one.b}: {one.agreed} of {one.items} decided alike, kappa {shown}")
        show(f"{len(merged.events)} decisions, {len(merged.conflicts)} in conflict")
        for item, said in merged.conflicts:
            from curate.core.visible import visible

            show(visible(f"  {item}: " + ", ".join(f"{name} says {what}" for name, what in said.items())))
    if output is not None:
        if not dry_run:
            write_lines(output, map(msgspec.json.encode, merged.events))
        say(f"{'dry run: would write' if dry_run else 'wrote'} {len(merged.events)} decisions into {output}")
    return 0


def _as_dict(one: Any) -> dict[str, Any]:
    from dataclasses import asdict

    return asdict(one)


def _base_of(folder: Path) -> str | None:
    """The base model that the dataset's recipe names, a path as it stands there."""
    from curate.core.records import peek_record

    record = peek_record(folder / "manifest.json") or {}
    base = record.get("recipe", {}).get("base")
    return base if isinstance(base, str) else None

"""The command `evalkit drift`."""

from pathlib import Path

import click

from curate.core import console
from evalkit.cli.options import FILE, FOLDER, json_option


@click.command(epilog=console.EPILOG)
@click.argument("logs", nargs=-1, required=True, type=FILE)
@click.option("--dataset", type=FOLDER, required=True, help="The dataset that was trained on.")
@click.option("--results", type=FOLDER, help="The results of what was released: its answers are compared too.")
@click.option("--contender", help="Whose answers; by default the results' only adapter's.")
@click.option("--embedder", default="embedded:minilm", show_default=True, help="What compares questions by meaning.")
@click.option("--embedded", type=click.IntRange(min=0), default=500, show_default=True,
              help="Compare at most so many questions by meaning; 0 for none.")  # fmt: skip
@click.option("--one-per", metavar="FIELD",
              help="Count one exchange of each value of this field, such as conversation_id.")  # fmt: skip
@click.option("--alpha", type=click.FloatRange(0.001, 0.2), default=0.05, show_default=True,
              help="The chance of a false alarm, of all signals together.")  # fmt: skip
@json_option
@console.command_options
def drift(  # noqa: PLR0913 - one parameter for each option of the command
    logs: tuple[Path, ...],
    dataset: Path,
    results: Path | None,
    contender: str | None,
    embedder: str,
    embedded: int,
    one_per: str | None,
    *,
    alpha: float,
    as_json: bool,
) -> int:
    """Compare production LOGS with what was trained on and measured, and say whether to train again, and why.

    LOGS are JSON lines: rows in any format that curate reads, or OpenAI requests with their responses; `label` and a
    thumb (`thumb`, `feedback`, `rating`, `vote`) beside them are used. Bad lines are counted. Exit code 1 where
    something drifted, 6 where there is too little to say, else 0.

    \b
    Examples:
      evalkit drift logs.jsonl --dataset demo/dataset --results demo/results
      evalkit drift logs/*.jsonl --dataset demo/dataset --one-per conversation_id --json
    """
    from evalkit.drift.job import DriftSettings, check_drift

    settings = DriftSettings(embedder, embedded, alpha, one_per=one_per)
    found = check_drift(list(logs), dataset, results, contender, settings)
    if as_json:
        console.print_json(found.summary())
    else:
        console.show("\n".join(found.lines()))
    return {"retrain": 1, "look": 1, "unknown": 6}.get(found.advice, 0)

"""What a reader of a result is told about its judges."""

from collections.abc import Mapping
from typing import Any

from evalkit.judge.figures import meaning
from evalkit.wording import percent


def about_judges(result: Mapping[str, Any]) -> list[str]:
    """A sentence a judge: what stayed undecided, whether it could be bought, and what its grades are worth."""
    return [f"{name} is a judge's: {asked(judge)}. {worth(judge)}" for name, judge in _judges(result).items()]


def asked(judge: Mapping[str, Any]) -> str:
    """How many of its judgments are undecided, and whether it could be bought."""
    words = f"{judge['undecided']:,} of {judge['questions']:,} judgments undecided"
    canaries = judge.get("canaries")
    if canaries and canaries["decided"]:
        words += f", {canaries['raised']} of {canaries['decided']} canaries raised a grade"
        words += f" ({', '.join(canaries['disguises'])})" if canaries["raised"] else ""
    return words


def worth(judge: Mapping[str, Any]) -> str:
    """The judge's state and how far it agrees with people; without a card that holds, why, and how to get one."""
    found = judge.get("calibration")
    if found is None:  # a result of an earlier version
        return "What its grades are worth, its card says: `evalkit judge calibrate`."
    if "because" in found:
        return f"It is {found['state']}: {meaning(found['state'])} ({found['because']}; see `evalkit judge calibrate`)."
    figures = found["figures"]
    parts = []
    if figures["cohen_kappa"] is not None:
        interval = figures["intervals"]["cohen_kappa"]
        parts.append(
            f"kappa with people {figures['cohen_kappa']:.2f} ({interval['low']:.2f} to {interval['high']:.2f})"
        )
    if figures["false_pass_n"]:
        rate, bound = (percent(figures[name]) for name in ("false_pass_rate", "false_pass_upper"))
        parts.append(f"it passes {rate} of what people fail ({bound} at most)")
    return f"It is {found['state']}: {'; '.join([meaning(found['state']), *parts])}."


def _judges(result: Mapping[str, Any]) -> Mapping[str, Any]:
    return result.get("judges") or {}

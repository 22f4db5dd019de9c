"""What a reader of a result is told about its judges."""

from collections.abc import Mapping
from typing import Any


def about_judges(result: Mapping[str, Any]) -> list[str]:
    """A sentence a judge: what stayed undecided, whether it could be bought, and what its grades are worth."""
    lines = []
    for name, judge in (result.get("judges") or {}).items():
        line = f"{name} is a judge's: {judge['undecided']:,} of {judge['questions']:,} judgments undecided"
        canaries = judge.get("canaries")
        if canaries and canaries["decided"]:
            line += f", {canaries['raised']} of {canaries['decided']} canaries raised a grade"
            line += f" ({', '.join(canaries['disguises'])})" if canaries["raised"] else ""
        lines.append(f"{line}. What its grades are worth, its card says: `evalkit judge calibrate`.")
    return lines

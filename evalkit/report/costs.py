"""Sentences about what quality costs: how much of training's gain is had without it, and when training pays back."""

from collections.abc import Mapping
from typing import Any

from evalkit.wording import percent

_RUNGS = {"prompt": "Prompting", "rag": "Retrieval"}


def gain_sentences(result: Mapping[str, Any]) -> list[str]:
    """For prompting and for retrieval, the share of the trained contender's gain that it reaches."""
    found = (result.get("economics") or {}).get("gain")
    if not found:
        return []
    lines = []
    for one in found["reached"]:
        share, low, high = (percent(one[key]).replace("-", "\N{MINUS SIGN}") for key in ("share", "low", "high"))
        goal = percent(found["goal"])
        verdict = (
            f"at least {goal} of the way"
            if one["reaches_goal"]
            else (f"not {goal} of the way" if one["high"] < found["goal"] else f"perhaps {goal} of the way")
        )
        lines.append(
            f"{_RUNGS[one['rung']]} ({one['contender']}) reaches {share} of {found['contender']}'s gain over "
            f"{found['over']}, interval {low} to {high}: {verdict}."
        )
    return lines


def break_even_sentences(result: Mapping[str, Any]) -> list[str]:
    """For each trained contender against each baseline, when its training is paid back."""
    made = (result.get("economics") or {}).get("environment", {}).get("break_even", [])
    lines = []
    for one in made:
        pair = f"{one['contender']} against {one['against']}"
        if one["requests"] is None:
            lines.append(f"{pair}: requests never pay the training back; {one['because']}.")
        else:
            work = "money" if one["unit"] == "money" else "tokens worked through, a training token counted three times"
            lines.append(
                f"{pair}: the training is paid back after about {_about(one['requests']):,} requests ({work})."
            )
    return lines


def _about(number: int) -> int:
    """Two digits of it, rounded up: it rests on averages."""
    step = int(10 ** max(0, len(str(number)) - 2))
    return -(-number // step) * step

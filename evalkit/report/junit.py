"""junit.xml: named outcomes as test cases, for systems that show a build's tests."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal
from xml.sax.saxutils import escape, quoteattr

from curate.core.visible import visible
from evalkit.results.ladder import Ladder

JUNIT = "junit.xml"
# What XML 1.0 can't hold, even escaped.
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(frozen=True, slots=True)
class JunitCase:
    """One verdict or gate: `pass`, `fail`, or `inconclusive`, which counts as an error: nothing was shown."""

    name: str
    outcome: Literal["pass", "fail", "inconclusive"]
    because: str = ""
    details: Sequence[str] = ()


def render_junit(suite: str, outcomes: Sequence[JunitCase]) -> str:
    """The outcomes as one JUnit test suite."""
    counts = [sum(one.outcome == kind for one in outcomes) for kind in ("fail", "inconclusive")]
    head = f'name={_attribute(suite)} tests="{len(outcomes)}" failures="{counts[0]}" errors="{counts[1]}"'
    lines = ['<?xml version="1.0" encoding="UTF-8"?>', f"<testsuites {head}>", f"  <testsuite {head}>"]
    for one in outcomes:
        lines.append(f"    <testcase classname={_attribute(suite)} name={_attribute(one.name)}>")
        text = escape("\n".join(map(_clean, [one.because, *one.details])))
        if one.outcome == "pass":
            lines += [f"      <system-out>{text}</system-out>"] if text else []
        else:
            element = "failure" if one.outcome == "fail" else "error"
            said = f"type={_attribute(one.outcome)} message={_attribute(one.because)}"
            lines.append(f"      <{element} {said}>{text}</{element}>")
        lines.append("    </testcase>")
    return "\n".join([*lines, "  </testsuite>", "</testsuites>", ""])


def ladder_outcomes(ladder: Ladder) -> list[JunitCase]:
    """The ladder's verdict as an outcome: that something suffices or pays is a pass."""
    kinds: dict[str, Literal["fail", "inconclusive"]] = {"nothing-suffices": "fail", "inconclusive": "inconclusive"}
    return [JunitCase("ladder", kinds.get(ladder.verdict, "pass"), f"{ladder.verdict}: {ladder.because}")]


def _clean(text: str) -> str:
    return _NOT_XML.sub("\N{REPLACEMENT CHARACTER}", visible(text))


def _attribute(text: str) -> str:
    return quoteattr(_clean(text))

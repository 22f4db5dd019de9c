"""Numbers as a reader meets them in sentences, tables and charts: `54 %`, `+44 points`, `p < 0.001`."""

MINUS = "\N{MINUS SIGN}"


def percent(share: float) -> str:
    """A share as a percentage; a decimal only where rounding would claim all or nothing."""
    value = share * 100
    rounded = f"{value:.0f}"
    if (rounded == "0" and value > 0) or (rounded == "100" and value < 100):
        rounded = f"{value:.1f}"
    return f"{rounded} %"


def points(difference: float) -> str:
    """A difference of shares in percentage points, with its sign and without the unit; a decimal below ten."""
    value = difference * 100
    text = f"{value:+.0f}" if abs(value) >= 9.95 else f"{value:+.1f}".removesuffix(".0")
    if float(text) == 0:
        return "0"
    return text.replace("-", MINUS)


def p_value(p: float) -> str:
    """A p-value as `p = 0.03`, or `p < 0.001`."""
    return "p < 0.001" if p < 0.001 else f"p = {p:.2g}"


def span(low: float, high: float) -> str:
    """A confidence interval of a difference, in points: `+34 to +53`."""
    return f"{points(low)} to {points(high)}"


def duration(milliseconds: float) -> str:
    """A time as `55 ms` or `1.2 s` or `71 s`: two or three digits, which is what a measurement is good for."""
    if milliseconds < 1000:
        return f"{milliseconds:.0f} ms"
    seconds = milliseconds / 1000
    return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:,.0f} s"

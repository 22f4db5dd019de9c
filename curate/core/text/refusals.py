"""How chat models refuse: patterns of how an answer opens. English; in syntax that Rust and Python's regex share."""

_SORRY = (
    r"(?:(?:i['’]m|i\s+am)\s+(?:really\s+|very\s+|truly\s+|so\s+)?sorry|sorry|(?:my\s+)?apologies"
    r"|i\s+apologi[sz]e|unfortunately|regrettably)[,.;:]?\s+(?:but\s+|that\s+)?"
)
_CANNOT = (
    r"i\s?(?:can(?:no|['’])?t|can\s+not|am\s+(?:unable|not\s+able)\s+to|['’]m\s+(?:unable|not\s+able)\s+to|won['’]t"
    r"|will\s+not|(?:do\s+not|don['’]t)\s+feel\s+comfortable|(?:am\s+not|['’]m\s+not)\s+(?:comfortable|going\s+to))"
)
_HELP = (
    r"(?:help|assist|provid\w+|answer\w*|fulfil\w*|comply|complet\w+|support|creat\w+|generat\w+|writ\w+|giv\w+"
    r"|offer\w*|discuss\w*|engag\w+|participat\w+|continu\w+|do\s+that|shar\w+|respond\w*|advis\w+|produc\w+)\b"
)
# Only what opens the answer counts: later, the same words may report what somebody else could not do.
_OPENS = r"(?i)\A[\s\W]{0,8}(?:(?:hi|hello|hey|thanks|thank\s+you|ok(?:ay)?|well|hmm)\b[^.!?\n]{0,40}[.!,?]\s*)?"

REFUSALS = {
    "cannot-help": (rf"{_OPENS}(?:{_SORRY})?(?:as\s+an?\s[^.,\n]{{2,60}},?\s+)?{_CANNOT}\s+(?:\w+\s+){{0,4}}{_HELP}"),
    "not-something": rf"{_OPENS}{_SORRY}(?:that|this)(?:\s+is|['’]s)\s+(?:not\s+something|against|beyond|outside)\b",
    "against-policy": (
        rf"{_OPENS}[^.\n]{{0,80}}\b(?:against|violat\w+)\s+(?:my|our|the|openai['’]s)\s+(?:\w+\s+){{0,2}}"
        r"(?:guidelines|polic(?:y|ies)|programming|principles|terms)\b"
    ),
    "declines": (
        rf"{_OPENS}(?:{_SORRY})?(?:i\s+(?:(?:must|have\s+to|need\s+to)\s+)?(?:respectfully\s+)?(?:decline|refuse)\b"
        rf"|{_CANNOT}\s+(?:with\s+)?(?:that|this|your)\s+request\b)"
    ),
    "not-appropriate": (
        rf"{_OPENS}(?:{_SORRY})?(?:it\s+is\s+not|it['’]s\s+not|it\s+isn['’]t|it\s+would\s+(?:not\s+)?be)\s+(?:\w+\s+)?"
        r"(?:appropriate|ethical|inappropriate|unethical|irresponsible)\s+(?:for\s+me\s+)?to\b"
    ),
}

"""How chat models refuse, and what they leave behind in texts. English; patterns in Rust's regex syntax."""

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

BOILERPLATE = {
    "as-an-ai": (
        r"(?i)\bas\s+an?\s+(?:\w+\s+)?(?:ai|artificial\s+intelligence|(?:large\s+)?language\s+model|llm"
        r"|virtual\s+assistant|chat\s?bot)\b(?:\s+(?:language\s+)?(?:model|assistant|system)\b)?"
    ),
    "i-am-an-ai": (
        r"(?i)\bi(?:['’]m|\s+am)\s+(?:just\s+|only\s+|simply\s+)?an?\s+"
        r"(?:ai|artificial\s+intelligence|(?:large\s+)?language\s+model|llm)\b"
    ),
    "vendor-model": (
        r"(?i)\b(?:language\s+model|ai|assistant),?\s+(?:\w+\s+){0,2}(?:trained|developed|created|made)\s+by\s+"
        r"(?:openai|anthropic|google|meta|microsoft|mistral|alibaba|deepseek)\b"
    ),
    "knowledge-cutoff": (
        r"(?i)\bmy\s+(?:last\s+)?(?:knowledge|training)(?:\s+data)?\s+(?:cut-?\s?off|update|only\s+goes|goes\s+up\s+to|ends)\b"
        r"|\bas\s+of\s+my\s+(?:last|latest)\s+(?:knowledge\s+)?(?:update|training|cut-?\s?off)\b"
    ),
    "opening": (
        r"(?i)\A\s*(?:sure(?:\s+thing)?|certainly|of\s+course|absolutely|great\s+question|good\s+question)\s*[!.,:]\s*"
        r"(?:here(?:['’]s|\s+is|\s+are)|i(?:['’]d|\s+would)\s+be\s+(?:happy|glad)|i\s+can\s+(?:help|do)|let\s+me"
        r"|i(?:['’]ll|\s+will)|below)\b"
    ),
    "closing": (
        r"(?i)\b(?:i\s+hope\s+(?:this|that)\s+helps|let\s+me\s+know\s+if\s+(?:you(?:['’]d|\s+would|\s+have|\s+need|\s+want)"
        r"|there(?:['’]s|\s+is))|feel\s+free\s+to\s+(?:ask|reach\s+out|let\s+me\s+know)"
        r"|is\s+there\s+anything\s+else\s+(?:i\s+can|you))\b"
    ),
    "interface": r"(?im)\b(?:regenerate\s+response|message\s+chatgpt)\b|^copy\s+code$",
    "blank": r"(?i)\[(?:insert|your|enter)\s[^\]\n]{2,40}\]",
}

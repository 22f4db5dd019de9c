"""What chat models leave behind in texts. English; patterns in Rust's regex syntax."""

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

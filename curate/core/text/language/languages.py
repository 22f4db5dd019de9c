"""The languages that can be told, and the scripts that they are written in."""

from collections.abc import Collection

_CODES = """
af am an ar as az ba be bg bn br bs ca cs cy da de dz el en eo es et eu fa fi fo fr fy ga gd gl gu ha
he hi hr ht hu hy id ig is it ja jv ka kk km kn ko ku ky la lb lg ln lo lt lv mg mk ml mn mr ms mt my
nb ne nl nn oc om or pa pl ps pt qu ro ru rw sa se si sk sl sn so sq sr st sv sw ta te tg th tk tl tr
tt ug uk ur uz vi vo wa xh yo zh zu
"""
LANGUAGES = tuple(_CODES.split())
"""ISO 639-1 codes, those that py3langid has; its Norwegian is Bokmål here."""

# Languages that aren't, or aren't only, written in Latin letters. Scripts by the names that `script_words` gives them.
_WRITTEN_IN = {
    "ba be bg kk ky mk mn ru tg tt uk": ("cyrillic",),
    "az bs ku sr tk uz": ("cyrillic", ""),
    "ar fa ps ug ur": ("arabic",),
    "he": ("hebrew",),
    "hi mr ne sa": ("devanagari",),
    "zh": ("han",),
    "ja": ("han", "kana"),
    "ko": ("hangul", "han"),
    "th": ("thai",),
    "am as bn dz gu hy ka km kn lo ml my or pa si ta te": ("other",),
}


def scripts_of(languages: Collection[str]) -> set[str]:
    """The scripts that text in these languages can be in; "" stands for Latin, in which names in any of them are."""
    wanted = set(languages)
    return {""}.union(*(scripts for codes, scripts in _WRITTEN_IN.items() if wanted & set(codes.split())))

"""Languages: told as the model's own code tells them, and left open where that is not sure or there is no prose."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from py3langid.langid import MODEL_FILE, LanguageIdentifier

from curate.core.text.language.detect import tell_languages
from curate.core.text.language.languages import LANGUAGES, scripts_of

SENTENCES = {
    "en": "The bakery on the corner opens at seven.",
    "de": "Die Rechnung finden Sie im Anhang.",
    "fr": "Votre commande est en route.",
    "nb": "Jeg vet ikke hva du mener med det.",
    "ca": "No sé què vols dir amb això.",
    "sw": "Sijui unamaanisha nini kwa hilo.",
    "bn": "আমি জানি না তুমি কী বলতে চাও।",
    "ta": "நீங்கள் என்ன சொல்கிறீர்கள் என்று எனக்குத் தெரியவில்லை.",
    "ka": "არ ვიცი, რას გულისხმობ.",
    "ru": "Я не знаю, что ты имеешь в виду.",
    "ar": "لا أعرف ماذا تقصد بذلك.",
    "hi": "मुझे नहीं पता कि आपका क्या मतलब है।",
    "zh": "我不知道你是什么意思。",
    "ja": "どういう意味か分かりません。",
}
OPEN = [
    "",
    " \n",
    "OK",
    "42",
    "Berlin",
    "word " * 40,
    "def add(a, b):\n    return a + b",
    "for (i = 0; i < items.length; i++) { total += items[i].price; }",
    '{"status": "done", "items": [{"id": 4, "name": "lamp"}]}',
    "```python\n# the name of the user that is shown at the top of the page\nprint(name)\n```",
    "https://example.org/the/name/of/this/page/is/long/and/english",
]


def told(text: str) -> tuple[str, str]:
    language, script = tell_languages([text]).row(0)
    return language, script


@pytest.fixture(scope="module")
def model() -> LanguageIdentifier:
    made = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
    codes = {code for code in made.labels if len(code) == 2}
    assert {"nb" if code == "no" else code for code in codes} == set(LANGUAGES)
    made.set_languages([*codes, "zxx"])
    return made


@pytest.mark.parametrize("code", SENTENCES)
def test_tells_short_sentences(code: str) -> None:
    assert told(SENTENCES[code]) == (code, "")


@pytest.mark.parametrize("text", OPEN)
def test_leaves_open_what_is_short_or_no_prose(text: str) -> None:
    assert told(text) == ("und", "")


def test_code_within_prose_does_not_count() -> None:
    code = "```\nfor name in names:\n    print(name, the_value_of[name])\n```"
    assert told(f"{SENTENCES['de']}\n\n{code}") == ("de", "")


@given(st.lists(st.sampled_from([*SENTENCES.values(), *OPEN[:6]]) | st.text(" abcdeéßя日", max_size=40), max_size=4))
def test_agrees_with_the_models_own_code(model: LanguageIdentifier, texts: list[str]) -> None:
    for text, language in zip(texts, tell_languages(texts)["language"], strict=True):
        code, chance = model.classify(text)
        if len(set(text.split())) < 3 <= len(text.split()):
            assert language == "und"
        elif abs(chance - 0.5) > 1e-3:  # sums of floats differ in their last digits
            expected = "und" if chance < 0.5 or code == "zxx" else code
            assert language == {"no": "nb"}.get(expected, expected)


def test_an_undetermined_text_has_the_script_of_its_letters() -> None:
    assert told("Да") == ("und", "cyrillic")
    assert told("{Ж: [Ж, Ж]}") == ("und", "cyrillic")
    assert told("α + β = γ ≈ 2π") == ("und", "")


def test_scripts_of_languages() -> None:
    assert scripts_of(["en", "de"]) == {""}
    assert scripts_of(["ja", "sr"]) == {"", "han", "kana", "cyrillic"}

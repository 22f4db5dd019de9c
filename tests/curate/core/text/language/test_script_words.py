"""Words, languages, repetition and information, on texts whose measures can be counted by hand."""

import math

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curate.core.text.language.detect import tell_languages
from curate.core.text.language.script_words import SCRIPTS, split_words
from curate.screen.information import measure_information
from curate.screen.repetition import measure_repetition

SENTENCES = {
    "en": "The meeting was moved to Thursday because the room is not free.",
    "de": "Das Treffen wurde auf Donnerstag verlegt, weil der Raum nicht frei ist.",
    "fr": "La réunion a été déplacée à jeudi parce que la salle n'est pas libre.",
    "es": "La reunión se cambió al jueves porque la sala no está libre.",
    "it": "La riunione è stata spostata a giovedì perché la sala non è libera.",
    "pt": "A reunião foi mudada para quinta-feira porque a sala não está livre.",
    "nl": "De vergadering is naar donderdag verplaatst omdat de zaal niet vrij is.",
    "sv": "Mötet har flyttats till torsdag eftersom rummet inte är ledigt.",
    "da": "Mødet er flyttet til torsdag, fordi lokalet ikke er ledigt, og jeg har noget andet.",
    "nb": "Møtet er flyttet til torsdag fordi rommet ikke er ledig, og jeg har noe annet å gjøre.",
    "fi": "Kokous siirrettiin torstaille, koska huone ei ole vapaa ja minä en ole paikalla.",
    "pl": "Spotkanie zostało przeniesione na czwartek, ponieważ sala nie jest wolna.",
    "cs": "Schůzka byla přesunuta na čtvrtek, protože místnost není volná a já tam nejsem.",
    "ro": "Întâlnirea a fost mutată joi pentru că sala nu este liberă.",
    "tr": "Toplantı perşembe gününe alındı çünkü oda boş değil ve ben çok meşgulüm.",
    "hu": "Az értekezletet csütörtökre tették át, mert a terem nem szabad.",
    "id": "Rapat dipindahkan ke hari Kamis karena ruangan itu tidak kosong.",
    "vi": "Cuộc họp được dời sang thứ năm vì phòng không còn trống.",
    "ru": "Встречу перенесли на четверг, потому что комната не свободна и я не могу.",
    "uk": "Зустріч перенесли на четвер, тому що кімната не вільна і я не можу.",
    "ar": "تم نقل الاجتماع إلى يوم الخميس لأن القاعة ليست متاحة في هذا الوقت.",
    "fa": "جلسه به پنجشنبه منتقل شد چون اتاق خالی نیست و من هم نمی توانم.",
    "hi": "बैठक गुरुवार को होगी क्योंकि कमरा खाली नहीं है और मैं भी नहीं आ सकता।",
    "el": "Η συνάντηση μεταφέρθηκε την Πέμπτη.",
    "he": "הפגישה הועברה ליום חמישי.",
    "ko": "회의는 목요일로 옮겨졌습니다.",
    "zh": "会议改到星期四,因为房间没有空。",
    "ja": "会議は木曜日に変更されました。",
    "th": "การประชุมถูกย้ายไปวันพฤหัสบดี",
}
UNDETERMINED = [
    "",
    "12345",
    "x = foo(bar)",
    '{"name": "get_weather", "arguments": {"city": "Paris"}}',
    "OK",
    "Paris Berlin",
    "!?",
]


def language(text: str) -> str:
    return str(tell_languages([text])["language"][0])


def repetition(text: str) -> dict[str, float]:
    return measure_repetition(split_words([text])).row(0, named=True)


@pytest.mark.parametrize("code", SENTENCES)
def test_tells_the_language(code: str) -> None:
    assert language(SENTENCES[code]) == code
    assert language(SENTENCES[code].upper()) == code


@pytest.mark.parametrize("text", UNDETERMINED)
def test_says_when_it_can_not_tell(text: str) -> None:
    assert language(text) == "und"


def test_a_quotation_does_not_change_the_language() -> None:
    assert language(f"{SENTENCES['en']} {SENTENCES['en']} In German: der Raum.") == "en"


def test_words_end_at_marks_and_scripts_without_spaces_have_one_a_character() -> None:
    words = split_words(["Don't STOP, stop_me 3x", "会議 abc日本", "“naïve” – été", "", "\x00\x1e"])
    assert [int(n) for n in (words.starts[1:] - words.starts[:-1])] == [6, 5, 2, 0, 0]
    assert words.hashes[2] == words.hashes[3]  # STOP and stop
    assert words.sizes[:6].tolist() == [3, 1, 4, 4, 2, 2]
    assert words.letters[1][SCRIPTS.index("han")] == 4
    assert words.letters[1][SCRIPTS.index("latin")] == 3


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"])), max_size=5))
def test_a_text_has_the_same_words_alone_and_among_others(texts: list[str]) -> None:
    together = split_words(texts)
    for index, text in enumerate(texts):
        alone = split_words([text])
        here = slice(int(together.starts[index]), int(together.starts[index + 1]))
        assert together.hashes[here].tolist() == alone.hashes.tolist()
        assert together.letters[index].tolist() == alone.letters[0].tolist()


def test_repeated_runs_by_hand() -> None:
    found = repetition("a b c d e f a b c d e f")
    assert found["top_2"] == pytest.approx(4 / 12)  # "a b" twice, two characters each
    assert found["top_3"] == pytest.approx(6 / 12)
    assert found["duplicate_5"] == pytest.approx(6 / 12)  # "a b c d e" and "b c d e f" again, the overlap counted once
    assert found["duplicate_6"] == pytest.approx(6 / 12)
    assert found["duplicate_7"] == 0
    assert found["words"] == 12


def test_the_most_frequent_run_counts_not_the_widest() -> None:
    found = repetition("xx yy z xx yy z xx yy 1 wwwwwww vvvvvvv 2 wwwwwww vvvvvvv")
    assert found["top_2"] == pytest.approx(3 * 4 / 44)


def test_runs_that_come_once_are_no_repetition_and_overlapping_ones_stop_at_all() -> None:
    assert repetition("one two three four five six seven")["top_2"] == 0
    assert repetition("ha ha ha ha ha")["top_2"] == 1


def test_repeated_lines_by_hand() -> None:
    found = repetition("ab\n  AB \n\ncdef\nab")
    assert found["lines"] == pytest.approx(2 / 4)
    assert found["line_bytes"] == pytest.approx(4 / 10)
    assert repetition("ab ab ab")["lines"] == 0


shares = [f"top_{n}" for n in range(2, 5)] + [f"duplicate_{n}" for n in range(5, 11)] + ["lines", "line_bytes"]


@given(st.text(alphabet="ab \n漢é", max_size=80))
def test_shares_are_shares_and_agree_with_counting(text: str) -> None:
    found = repetition(text)
    assert all(0 <= found[name] <= 1 for name in shares)
    lines = [line.strip().lower() for line in text.split("\n") if line.strip()]
    assert found["lines"] == pytest.approx(1 - len(set(lines)) / len(lines) if len(lines) > 1 else 0)
    words = text.replace("漢", " 漢 ").split()
    for n in range(2, 5):
        runs = [tuple(words[i : i + n]) for i in range(len(words) - n + 1)]
        most = max((runs.count(run) for run in runs), default=0)
        widest = max((sum(map(len, run)) for run in runs if runs.count(run) == most), default=0)
        expected = min(1.0, most * widest / sum(map(len, words))) if most > 1 else 0.0
        assert found[f"top_{n}"] == pytest.approx(expected)


def test_information_by_hand() -> None:
    found = measure_information(split_words(["ha ha HA ho", "", "日本 é"]))
    assert found["characters"].to_list() == [8, 0, 3]
    assert found["words"].to_list() == [4, 0, 3]
    assert found["distinct"].to_list() == [2, 0, 3]
    assert measure_information(split_words(["abcd" * 9]))["entropy"][0] == pytest.approx(2)
    assert found["entropy"][1] == 0


@given(st.binary(min_size=1, max_size=60).map(lambda data: data.decode("utf-8", "replace")))
def test_entropy_agrees_with_the_formula(text: str) -> None:
    data = text.lower().encode()
    expected = -sum(data.count(byte) / len(data) * math.log2(data.count(byte) / len(data)) for byte in set(data))
    assert measure_information(split_words([text]))["entropy"][0] == pytest.approx(expected)


def test_no_texts_at_all() -> None:
    words = split_words([])
    for found in (tell_languages([]), measure_repetition(words), measure_information(words)):
        assert isinstance(found, pl.DataFrame)
        assert len(found) == 0

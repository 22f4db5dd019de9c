"""Numbers of persons: found by name or by a layout of their own, where the check digit is right."""

import pytest

from tests.curate.screen.finding import personal

FOUND = {
    "CPF: 39053344705": "39053344705",
    "o documento 390.533.447-05 venceu": "390.533.447-05",
    "Aadhaar number is 2341 2341 2346": "2341 2341 2346",
    "आधार 234123412346": "234123412346",
    "PAN ACUPA7085R": "ACUPA7085R",
    "NHS no 943-476-5870": "943-476-5870",
    "My SIN is 123-456-782": "123-456-782",
    "BSN 1112.22.333": "1112.22.333",
    "PESEL 44051401359": "44051401359",
    "DNI 54362315-K": "54362315-K",
    "NIE X-2482300W": "X-2482300W",
    "NIF 501 964 843": "501 964 843",
    "NIR 2 95 10 99 126 111 93": "2 95 10 99 126 111 93",
    "Steuer-ID: 36 574 261 809": "36 574 261 809",
    "personnummer 880320-0016": "880320-0016",
    "fødselsnummer 151086 95088": "151086 95088",
    "CPR 211062-5629": "211062-5629",
    "rijksregisternummer 85 07 30 033 28": "85 07 30 033 28",
    "AHV 7569217076985": "7569217076985",
    "rodné číslo 710319/2745": "710319/2745",
    "CNP 1630615123457": "1630615123457",
    "ЕГН 8032056031": "8032056031",
    "OIB 33392005961": "33392005961",
    "isikukood 36805280109": "36805280109",
    "asmens kodas 33309240064": "33309240064",
    "PPS 6433435F": "6433435F",
    "TCKN 17291716060": "17291716060",
    "ИНН 123456789047": "123456789047",
    "ID number 7503305044089": "7503305044089",
    "RUT 12531909-2": "12531909-2",
    "CUIT 20-05536168-2": "20-05536168-2",
    "TFN 123 456 782": "123 456 782",
    "IRD 4909185-0": "4909185-0",
    "주민등록번호: 971013-9019902": "971013-9019902",
    "ITIN 912-90-3456": "912-90-3456",
    "nata RCCMNL83S18D969H a Roma": "RCCMNL83S18D969H",
    "clave BOXW310820HNERXN09": "BOXW310820HNERXN09",
    "tunnus 131052-308T": "131052-308T",
    "他的号码360426199101010071没错": "360426199101010071",
    "756.9217.0769.85": "756.9217.0769.85",
    "National Insurance number: AB 12 34 56 C": "AB 12 34 56 C",
    "my passport number is X1234567": "X1234567",
}


@pytest.mark.parametrize("text", FOUND)
def test_finds(text: str) -> None:
    assert ("national-id", FOUND[text]) in personal(text)


@pytest.mark.parametrize(
    "text",
    [
        "CPF: 39053344706",
        "390.533.447-06",
        "Aadhaar 2341 2341 2347",
        "39053344705 lines",
        "PAN BREAD 2341",
        "SIN(45) and RUN 12 of 2024-01-15",
        "order id 44051401359",
        "passport control 2024",
        "RCCMNL83S18D969X",
    ],
)
def test_passes_over_what_has_no_name_or_a_wrong_check_digit(text: str) -> None:
    assert personal(text) == []

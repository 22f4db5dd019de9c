from xml.etree import ElementTree

import pytest

from trainer.run.curve import curve, picture

SVG = "{http://www.w3.org/2000/svg}"


def test_a_falling_loss_falls_on_the_page() -> None:
    assert curve([4, 3, 2, 1, 0], width=5, height=4) == [
        "  4.000 █",
        "        ██",
        "        ███",
        "  0.000 ████",
    ]


def test_halves_are_drawn_as_half_blocks_and_columns_are_means() -> None:
    assert curve([2, 2, 1, 0], width=2, height=2) == ["  2.000 █", "  0.000 █▄"]


def test_no_values_draw_nothing() -> None:
    assert curve([]) == []


def test_the_picture_is_svg_with_every_loss_in_it() -> None:
    root = ElementTree.fromstring(picture([2.0, 1.0, 0.5, 0.25], [(0, 2.5), (4, 0.5)], kept=4))
    lines = root.findall(f"{SVG}polyline")
    assert [len((line.get("points") or "").split()) for line in lines] == [4, 2]
    heights = [float(point.split(",")[1]) for point in (lines[0].get("points") or "").split()]
    assert heights == sorted(heights)  # down the page: y grows as the loss falls
    circles = root.findall(f"{SVG}circle")
    assert [circle.get("class") for circle in circles] == ["dot", "dot kept"]
    assert [circle[0].text for circle in circles] == ["0: 2.5000", "4: 0.5000"]
    assert {text.text for text in root.findall(f"{SVG}text")} >= {"0", "1", "2", "3", "4"}


@pytest.mark.parametrize(("train", "held_out"), [([], []), ([0.0], [(0, 0.0)]), ([1e-7] * 3, []), ([5000.0] * 900, [])])
def test_any_losses_make_a_picture_inside_its_frame(train: list[float], held_out: list[tuple[int, float]]) -> None:
    root = ElementTree.fromstring(picture(train, held_out))
    for line in root.findall(f"{SVG}polyline"):
        for point in (line.get("points") or "").split():
            x, y = map(float, point.split(","))
            assert 0 <= x <= 720
            assert 0 <= y <= 320
    assert len(root.findall(f"{SVG}text")) < 20

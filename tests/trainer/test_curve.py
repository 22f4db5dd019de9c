from trainer.curve import curve


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

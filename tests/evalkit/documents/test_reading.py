from pathlib import Path

import pytest

from curate.core.errors import DataError
from evalkit.documents.reading import Section, Unreadable, find_files, read_sections
from tests.evalkit.documents.make_pdf import pdf


def read(folder: Path, name: str, content: str | bytes) -> tuple[list[Section], list[Unreadable]]:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    [file] = find_files([name], folder).files
    return read_sections(file)


def test_markdown_sections_carry_the_headings_above_them(tmp_path: Path) -> None:
    text = (
        "intro\n\n# Returns\n\nSend it back.\n\n## Refunds #\nIn nine days.\n\nLamps\n-----\nNever.\n\n# Care\nDry.\n"
    )
    sections, unreadable = read(tmp_path, "a.md", text)
    assert [(section.heading, section.text) for section in sections] == [
        ("", "intro"),
        ("Returns", "Send it back."),
        ("Returns > Refunds", "In nine days."),
        ("Returns > Lamps", "Never."),
        ("Care", "Dry."),
    ]
    assert {section.file for section in sections} == {"a.md"}
    assert not unreadable


def test_a_heading_inside_a_code_block_is_text(tmp_path: Path) -> None:
    text = "# Setup\n\n~~~sh\n# not a heading\n```\nrun\n~~~\n\n## After\nDone."
    sections, _ = read(tmp_path, "a.md", text)
    assert [section.heading for section in sections] == ["Setup", "Setup > After"]
    assert "# not a heading" in sections[0].text


def test_html_keeps_what_a_reader_sees(tmp_path: Path) -> None:
    page = (
        "<html><head><title>T</title><style>p{}</style></head><body><nav>Menu</nav><!-- note -->"
        "<h1>Care <em>guide</em></h1><p>Wash  at\n<b>30</b> degrees.</p><ul><li>No bleach</li><li>No iron</li></ul>"
        "<h2>Sizes</h2><table><tr><th>Size</th><th>Width</th></tr><tr><td>S</td><td>41 cm</td></tr></table>"
        "<script>alert(1)</script></body></html>"
    )
    sections, _ = read(tmp_path, "a.html", page)
    assert [(section.heading, section.text) for section in sections] == [
        ("Care guide", "Wash at 30 degrees.\n\nNo bleach\n\nNo iron"),
        ("Care guide > Sizes", "Size | Width\n\nS | 41 cm"),
    ]


def test_a_pdf_gives_a_section_for_each_page_with_text(tmp_path: Path) -> None:
    sections, unreadable = read(tmp_path, "a.pdf", pdf("The lamp draws nine watts.", "", "It weighs two kilos."))
    assert [(s.heading, s.text) for s in sections] == [
        ("page 1", "The lamp draws nine watts."),
        ("page 3", "It weighs two kilos."),
    ]
    assert not unreadable


def test_json_lines_take_text_title_and_source_from_each_object(tmp_path: Path) -> None:
    lines = '{"id": 7, "title": "Pump", "text": "Runs dry."}\n\n{"content": "No name."}\n{"text": 5, "x": "\n[1]\n'
    sections, unreadable = read(tmp_path, "a.jsonl", lines)
    assert sections == [Section("7", "Pump", "Runs dry."), Section("a.jsonl", "", "No name.")]
    assert [item.file for item in unreadable] == ["a.jsonl:4", "a.jsonl:5"]
    assert "not JSON" in unreadable[0].why


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        ("a.pdf", b"%PDF-1.4 nothing else", "not a readable PDF"),
        ("a.pdf", pdf("", ""), "pictures"),
        ("a.txt", b"caf\xe9", "not UTF-8"),
        ("a.txt", b" \n ", "no text"),
        ("a.docx", b"PK", "not a kind of file"),
        ("a.html", b"<div>" * 5000 + b"x", "nested too deeply"),
    ],
)
def test_what_can_not_be_read_is_named_with_why(tmp_path: Path, name: str, content: bytes, why: str) -> None:
    sections, unreadable = read(tmp_path, name, content)
    assert not sections
    [item] = unreadable
    assert item.file == name
    assert why in item.why


def test_text_in_utf_16_and_with_a_byte_order_mark_is_read(tmp_path: Path) -> None:
    for name, data in (("a.txt", "naïve".encode("utf-16")), ("b.txt", "naïve".encode("utf-8-sig"))):
        assert read(tmp_path, name, data)[0] == [Section(name, "", "naïve")]


def test_folders_are_read_with_all_below_them_but_hidden_files(tmp_path: Path) -> None:
    for name in ("docs/a.md", "docs/sub/b.txt", "docs/.git/c.md", "docs/.d.md", "more/a.md"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    files = find_files(["docs", "more/"], tmp_path)
    assert [file.name for file in files.files] == ["a.md", "more/a.md", "sub/b.txt"]
    assert files.digest == find_files(["docs", "more/"], tmp_path).digest
    (tmp_path / "docs" / "a.md").write_text("changed")
    assert files.digest != find_files(["docs", "more/"], tmp_path).digest


def test_a_missing_path_and_an_empty_folder_end_the_run(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="no document in this folder"):
        find_files(["empty"], tmp_path)
    with pytest.raises(DataError, match="no such file"):
        find_files(["nowhere.md"], tmp_path)

"""Question files are hostile until read: every refusal names the file and the line."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from offtarget.errors import InputError
from offtarget.located import MAX_BYTES, Fields, compose, line_of, read_text


def write(folder: Path, text: str | bytes) -> Path:
    path = folder / "q.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_missing_file_is_named(tmp_path: Path) -> None:
    """A file that is not there is an input error with its path."""
    with pytest.raises(InputError, match=r"none\.yaml does not exist"):
        read_text(tmp_path / "none.yaml")


def test_folder_is_refused(tmp_path: Path) -> None:
    """A folder in place of a file is said to be one."""
    with pytest.raises(InputError, match="is a folder"):
        read_text(tmp_path)


def test_bytes_that_are_not_utf8_are_refused_with_their_line(tmp_path: Path) -> None:
    """The line of the first byte that is not UTF-8 is named."""
    with pytest.raises(InputError, match=r"q\.yaml, line 2: not UTF-8"):
        read_text(write(tmp_path, b"- id: a\n  text: caf\xe9\n"))


def test_byte_order_mark_is_ignored(tmp_path: Path) -> None:
    """A file saved with a byte order mark reads like one without."""
    assert read_text(write(tmp_path, b"\xef\xbb\xbfid: a")) == "id: a"


def test_size_limit(tmp_path: Path) -> None:
    """A file over the limit is refused before it is parsed."""
    with pytest.raises(InputError, match="larger than 4 MiB"):
        read_text(write(tmp_path, b"a" * (MAX_BYTES + 1)))


def test_syntax_error_names_the_line(tmp_path: Path) -> None:
    """YAML that does not parse is refused with the line of the mistake."""
    with pytest.raises(InputError, match=r"q\.yaml, line 3: not valid YAML"):
        compose(write(tmp_path, "id: a\ntext: [1, 2\nmore: 3\n"))


def test_control_characters_are_refused(tmp_path: Path) -> None:
    """Characters YAML forbids are an input error, not a traceback."""
    with pytest.raises(InputError, match="not valid YAML"):
        compose(write(tmp_path, b"id: a\x00b"))


def test_empty_file_is_refused(tmp_path: Path) -> None:
    """A file with comments alone holds nothing."""
    with pytest.raises(InputError, match="holds nothing"):
        compose(write(tmp_path, "# nothing yet\n"))


def test_alias_bomb_is_refused(tmp_path: Path) -> None:
    """Nine levels of nine aliases each (387 million values in under a kilobyte) are refused at once."""
    levels = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    levels += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 9)]
    with pytest.raises(InputError, match="aliases stand for"):
        compose(write(tmp_path, "\n".join(levels)))


def test_merge_bomb_is_refused(tmp_path: Path) -> None:
    """Merge keys count like the aliases they are."""
    levels = ["a0: &a0 {k: v, l: w}"]
    levels += [f"a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 9)}]}}" for n in range(1, 9)]
    with pytest.raises(InputError, match="aliases stand for"):
        compose(write(tmp_path, "\n".join(levels)))


def test_alias_that_contains_itself_is_refused(tmp_path: Path) -> None:
    """A cycle is found, and its line named."""
    with pytest.raises(InputError, match="line 1: an alias that contains itself"):
        compose(write(tmp_path, "&a [b, *a]"))


def test_deep_nesting_is_refused(tmp_path: Path) -> None:
    """Five thousand brackets do not exhaust the stack."""
    with pytest.raises(InputError, match="nested too deeply"):
        compose(write(tmp_path, "[" * 5_000))


def test_python_tags_construct_nothing(tmp_path: Path) -> None:
    """A tag that would run code in an unsafe loader is a value of the wrong type here."""
    fields = Fields.of(compose(write(tmp_path, "id: !!python/object/apply:os.getcwd []")), tmp_path / "q.yaml")
    with pytest.raises(InputError, match=r"line 1: 'id' must be a name"):
        fields.name("id")


def test_a_key_given_twice_is_refused(tmp_path: Path) -> None:
    """YAML would silently keep the last of two equal keys."""
    with pytest.raises(InputError, match="line 2: the key 'id' is given twice"):
        Fields.of(compose(write(tmp_path, "id: a\nid: b")), tmp_path / "q.yaml")


def test_merge_keys_fill_in_and_do_not_override(tmp_path: Path) -> None:
    """`<<` supplies the keys a mapping does not have itself."""
    node = compose(write(tmp_path, "d: &d {x: from-d, y: from-d}\nq:\n  <<: *d\n  y: own\n"))
    fields = Fields.of(Fields.of(node, tmp_path).node("q"), tmp_path)
    assert (fields.text("x"), fields.text("y")) == ("from-d", "own")


@pytest.mark.parametrize(
    ("value", "found"),
    [
        (".nan", "a number (.nan)"),
        ("12", "a whole number (12)"),
        ("yes", "true/false (yes)"),
        ("", "nothing"),
        ("[a]", "a list"),
        ("{a: b}", "a block of keys"),
        ("2026-01-01", "a value of type tag:yaml.org,2002:timestamp (2026-01-01)"),
    ],
)
def test_text_of_another_type_is_refused(tmp_path: Path, value: str, found: str) -> None:
    """NaN, numbers, booleans, nothing, lists and dates are no text, and the message says what was found."""
    fields = Fields.of(compose(write(tmp_path, f"id: a\ntext: {value}")), tmp_path / "q.yaml", "question 'a'")
    with pytest.raises(InputError, match=re.escape(f"line 2, question 'a': 'text' must be text, found {found}")):
        fields.text("text")


def test_blank_text_is_refused(tmp_path: Path) -> None:
    """White space alone is no text."""
    fields = Fields.of(compose(write(tmp_path, "text: '  '")), tmp_path / "q.yaml")
    with pytest.raises(InputError, match="'text' is empty"):
        fields.text("text")


@pytest.mark.parametrize("value", ["0", "-3", "1.5", ".inf", "many", "0x10"])
def test_counts_start_at_one(tmp_path: Path, value: str) -> None:
    """A count that is no decimal whole number of at least 1 is refused."""
    fields = Fields.of(compose(write(tmp_path, f"n: {value}")), tmp_path / "q.yaml")
    with pytest.raises(InputError, match="'n' must be a whole number of at least 1"):
        fields.count("n")


def test_line_of_an_alias_is_the_line_of_its_anchor(tmp_path: Path) -> None:
    """An error in an aliased value points to where the value is written."""
    node = compose(write(tmp_path, "a: &x text\nb: *x\n"))
    assert line_of(Fields.of(node, tmp_path).node("b")) == 1

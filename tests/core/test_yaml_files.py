"""Reading YAML, and what an error says."""

from __future__ import annotations

from pathlib import Path

import pytest

from pose_tracking.core.yaml_files import YamlFileError, parse_yaml, read_yaml


def test_every_line_end_and_a_byte_order_mark_will_do(tmp_path: Path) -> None:
    file = tmp_path / "x.yaml"
    for content in (b"a: 1\nb: \xc3\xa9\n", b"a: 1\r\nb: \xc3\xa9\r\n", b"\xef\xbb\xbfa: 1\nb: \xc3\xa9"):
        file.write_bytes(content)
        assert read_yaml(file) == {"a": 1, "b": "é"}
    assert parse_yaml("") is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\n\tb: 2\n", "line 2: found character '\\t' that cannot start any token"),
        ("a: 1\n b: 2\n", "line 2: mapping values are not allowed here"),
        ("a: [1\nb: 2\n", "line 2: "),
        ("a: \x00\n", "special characters are not allowed"),
    ],
)
def test_an_error_is_one_line_that_says_where(text: str, message: str) -> None:
    with pytest.raises(YamlFileError) as caught:
        parse_yaml(text)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_cannot_be_opened_is_said(tmp_path: Path) -> None:
    with pytest.raises(YamlFileError, match="No such file"):
        read_yaml(tmp_path / "missing.yaml")
    with pytest.raises(YamlFileError, match="directory"):
        read_yaml(tmp_path)

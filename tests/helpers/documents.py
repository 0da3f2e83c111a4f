"""Reading the documentation: code blocks, headings and links of Markdown files."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
_BLOCK = re.compile(r"^```(\w+)[^\n]*\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def code_blocks(path: Path, language: str) -> list[str]:
    """Contents of the fenced code blocks of one language, in their order."""
    return [text for name, text in _BLOCK.findall(path.read_text(encoding="utf-8")) if name == language]

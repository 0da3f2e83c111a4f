"""Check the links of the Markdown files: every file and every heading that one of them points to is there.

``mkdocs build --strict`` checks the pages of the site among themselves; this checks README and the other files outside
of it as well, and needs nothing but Python. Links to the web are not followed.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from urllib.parse import unquote

ROOT = Path(__file__).resolve().parent.parent
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)(?:\s+\"[^\"]*\")?\)")
CODE = re.compile(r"^(```|~~~).*?^\1|`[^`\n]*`", re.MULTILINE | re.DOTALL)
HEADING = re.compile(r"^#{1,6} +(.+?) *#*$", re.MULTILINE)
# Pages whose headings are made when the site is built: mkdocs checks links to them.
BUILT = ("docs/options.md", "docs/python-api.md")


def main() -> int:
    """Print every broken link; 1 where there is one."""
    problems = [problem for file in markdown_files(ROOT) for problem in broken_links(file)]
    for problem in problems:
        print(problem, file=sys.stderr)
    return 1 if problems else 0


def markdown_files(root: Path) -> list[Path]:
    """The Markdown files under version control, or about to be."""
    listing = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "*.md"],
        cwd=root, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return sorted(path for name in listing.stdout.split("\0") if name and (path := root / name).is_file())


def broken_links(file: Path) -> Iterator[str]:
    """One line for each link in `file` that points to nothing."""
    # Code is blanked out, not cut, so that the line numbers stay.
    text = CODE.sub(lambda match: re.sub(r"[^\n]", " ", match.group()), file.read_text(encoding="utf-8"))
    for match in LINK.finditer(text):
        link = match.group(1)
        if re.match(r"[a-z]+:", link):
            continue
        name, _, anchor = unquote(link).partition("#")
        target = (file.parent / name).resolve() if name else file
        where = f"{file}:{text.count(chr(10), 0, match.start()) + 1}"
        if not target.exists():
            yield f"{where}: {link}: there is no such file"
            continue
        has_headings = anchor and target.suffix == ".md" and not target.as_posix().endswith(BUILT)
        if has_headings and anchor not in anchors(target):
            yield f"{where}: {link}: {target.name} has no such heading"


@cache
def anchors(file: Path) -> frozenset[str]:
    """Names of the headings of a Markdown file, as GitHub and mkdocs make them."""
    text = re.sub(r"^(```|~~~).*?^\1", "", file.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    return frozenset(slug(heading) for heading in HEADING.findall(text))


def slug(heading: str) -> str:
    """``"Your camera, and `x`"`` to ``"your-camera-and-x"``."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-")


if __name__ == "__main__":
    sys.exit(main())

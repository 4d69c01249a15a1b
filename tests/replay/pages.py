"""Put a generated table into a page of the documentation, between its two marks."""

from pathlib import Path


def put(page: Path, name: str, text: str) -> None:
    """Replace what stands between ``begin: NAME`` and ``end: NAME``."""
    begin, end = f"<!-- begin: {name} -->\n", f"<!-- end: {name} -->"
    before, found, rest = page.read_text().partition(begin)
    _, closed, after = rest.partition(end)
    if not (found and closed):
        raise SystemExit(f"{page} has no marks {begin.strip()} and {end}")
    page.write_text(f"{before}{begin}\n{text.strip()}\n\n{end}{after}")

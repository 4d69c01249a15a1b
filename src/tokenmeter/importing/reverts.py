"""Pull requests that revert others: what it is that they take back, where that can be known.

Read 2026-11-23: GitHub's revert has the title ``Revert "…"``, the branch ``revert-7-name`` and the
body ``Reverts owner/repository#7`` (https://docs.github.com, "Reverting a pull request"); GitLab's
has the branch ``revert-`` and eight digits of the commit, and ``This reverts merge request !7`` or
``This reverts commit …`` (https://docs.gitlab.com/user/project/merge_requests/revert_changes/).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

import msgspec

from tokenmeter.importing.layouts import Pulls
from tokenmeter.importing.rows import Row

_TITLE = re.compile(
    r"revert(?:\([^)]*\))?!?:?\s*[\"“](?P<title>.+)[\"”]\s*$|revert(?:\([^)]*\))?!?:", re.I
)
_BRANCH = re.compile(r"revert-(?:(?P<number>\d+)-|(?P<commit>[0-9a-f]{8})$)")
_BODY = re.compile(
    r"""\breverts\s+(?:
        commit\s+(?P<commit>[0-9a-f]{7,40})\b
        | (?P<url>https?://\S+?/\d+)\b
        | (?:(?:merge\s+request|pull\s+request|pr)\s+)?
          (?P<repository>[\w.-]+(?:/[\w.-]+)+)?[\#!](?P<number>\d+)
    )""",
    re.I | re.X,
)


class Target(msgspec.Struct, frozen=True, eq=False):
    """What a pull request reverts.

    Attributes:
        url: Its address.
        row: It, where it is among the rows.
        stands: Whether it stands again: a revert that is reverted.
    """

    url: str
    row: Row | None
    stands: bool = False


class History:
    """The pull requests of some exports, and which of them revert which.

    Args:
        rows: All of them.
        pulls: Where they say so.
    """

    def __init__(self, rows: Iterable[Row], pulls: Pulls) -> None:
        self._pulls = pulls
        self._by_url: dict[str, Row] = {}
        self._by_title: dict[str, dict[str, Row]] = {}
        self._commits: dict[str, Row] = {}
        for row in rows:
            url = row.text(pulls.url)
            self._by_url[url] = row
            self._by_title.setdefault(row.text(pulls.title), {})[url] = row
            for column in pulls.commits:
                if commit := row.text((column,)):
                    self._commits[commit] = row

    def reverts(self, row: Row) -> bool:
        """Say whether a pull request reverts something."""
        pulls = self._pulls
        return bool(
            _TITLE.match(row.text(pulls.title))
            or _BRANCH.match(row.text(pulls.branch))
            or _BODY.match(row.text(pulls.body).removeprefix("This "))
        )

    def target(self, row: Row) -> Target | None:
        """Give what a revert takes back in the end, ``None`` where nobody can know."""
        seen: set[str] = set()
        stands = True
        while True:
            seen.add(row.text(self._pulls.url))
            stands = not stands
            url = self._reverted(row)
            if url is None or url in seen:
                return None
            reverted = self._by_url.get(url)
            if reverted is None or not self.reverts(reverted):
                return Target(url, reverted, stands)
            row = reverted

    def _reverted(self, row: Row) -> str | None:
        """Give the address of what a revert reverts, by its body, its branch or its title."""
        pulls, address = self._pulls, row.text(self._pulls.url)
        said = (_BODY.search(row.text(pulls.body)), _BRANCH.match(row.text(pulls.branch)))
        found = (self._meant(match.groupdict(), address) for match in said if match)
        return next(filter(None, found), None) or self._titled(row)

    def _meant(self, said: Mapping[str, str | None], address: str) -> str | None:
        if url := said.get("url"):
            return url
        if commit := said.get("commit"):
            return self._merged_by(commit)
        repository, number = said.get("repository"), said.get("number")
        if repository and f"/{repository}/".casefold() not in address.casefold():
            return None
        return f"{address.rpartition('/')[0]}/{number}" if number else None

    def _merged_by(self, commit: str) -> str | None:
        found = {
            row.text(self._pulls.url)
            for sha, row in self._commits.items()
            if sha.startswith(commit)
        }
        return found.pop() if len(found) == 1 else None

    def _titled(self, row: Row) -> str | None:
        said = _TITLE.match(row.text(self._pulls.title))
        folder = row.text(self._pulls.url).rpartition("/")[0]
        title = said and said["title"]
        named = self._by_title.get(title, {}) if title else {}
        found = [url for url in named if url.rpartition("/")[0] == folder]
        return found[0] if len(found) == 1 else None

"""Layouts: what stands where in the exports of trackers and forges, and what it means.

All read 2026-11-23:

- GitHub, ``gh pr list --json …``: https://cli.github.com/manual/gh_pr_list, fields in
  https://github.com/cli/cli/blob/trunk/api/query_builder.go. A time that is not is ``null``; what
  was merged was closed too. REST: https://docs.github.com/en/rest/pulls/pulls; ``state`` is
  ``open`` or ``closed``, and ``merged_at`` says which of the closed ones were merged.
- GitLab: https://docs.gitlab.com/api/merge_requests/; ``state`` is ``opened``, ``closed``,
  ``locked`` (for a moment, while it is merged) or ``merged``.
- Jira: search results of https://developer.atlassian.com/cloud/jira/platform/rest/v3/
  (``issues``, each a ``key`` and ``fields``), and the CSV of an issue search. An issue is resolved
  when it has a resolution, whatever its status is called.
- Linear: https://linear.app/docs/exporting-data; ``Completed`` and ``Canceled`` hold times; older
  exports say ``Id`` for ``ID``. As https://github.com/linear/linear, packages/import, reads them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import tzinfo

import msgspec

from tokenmeter.importing.rows import Columns
from tokenmeter.outcomes import SELF, VERDICTS, Verdict

JIRA_KEY = r"\b[A-Z][A-Z0-9_]+-[1-9][0-9]*\b"
"""A task as Jira and Linear call it. A project's key begins with a letter and has only capital
letters, digits and underscores:
https://confluence.atlassian.com/adminjiraserver/changing-the-project-key-format-938847081.html.
"""


class Pulls(msgspec.Struct, frozen=True):
    """Where a pull request says what it reverts, and where another one says that it is that.

    Attributes:
        number: Its number in its repository.
        url: Its address, of which the last part is the number.
        title: Its title.
        branch: Its branch.
        body: Its description.
        commits: The commits that merged it.
    """

    number: Columns
    url: Columns
    title: Columns
    branch: Columns
    body: Columns
    commits: Columns


class Layout(msgspec.Struct, frozen=True, kw_only=True):
    """What stands where in a row.

    Attributes:
        task: Where the task is named; with a ``pattern`` all of them are searched, in this order.
        pattern: What of it is a task: its first group, or all of it. ``None``: the whole cell is.
        uppercase: Whether tasks are written in upper case, however they stand there.
        status: Where the status stands.
        signs: Columns that say the status by being filled at all, before ``status`` is looked at.
        verdicts: What a status means, in lower case; ``None`` is nothing yet. ``*`` is any other.
        at: When it was so.
        reference: What came out of the task.
        user: Whose outcome it is; nobody's, unless somebody asks for it.
        team: Whose team's.
        needs_reference: Whether a row without one is wrong.
        evidence: Who says so.
        evidences: Columns that say so better: what stands there, in lower case, and what it means;
            an empty table takes what stands there as it is.
        zone: The zone of times that say none.
        at_format: How times are written, as in `datetime.strptime`.
        pulls: Of pull requests, where a revert says of what.
    """

    task: Columns
    pattern: re.Pattern[str] | None = None
    uppercase: bool = False
    status: Columns = ()
    signs: Mapping[str, str] = {}
    verdicts: Mapping[str, Verdict | None]
    at: Columns
    reference: Columns = ()
    user: Columns = ()
    team: Columns = ()
    needs_reference: bool = False
    evidence: str = SELF
    evidences: Mapping[str, Mapping[str, str]] = {}
    zone: tzinfo | None = None
    at_format: str | None = None
    pulls: Pulls | None = None


_GITHUB = Pulls(
    number=("number",),
    url=("html_url", "url"),  # in this order: in the REST API url is that of the API
    title=("title",),
    branch=("headRefName", "head.ref"),
    body=("body",),
    commits=("mergeCommit.oid", "merge_commit_sha"),
)
_GITLAB = Pulls(
    number=("iid",),
    url=("web_url",),
    title=("title",),
    branch=("source_branch",),
    body=("description",),
    commits=("merge_commit_sha", "squash_commit_sha"),
)

LAYOUTS: Mapping[str, Layout] = {
    "github": Layout(
        task=(*_GITHUB.branch, *_GITHUB.title),
        pattern=re.compile(JIRA_KEY),
        status=("state",),
        signs={"mergedAt": "merged", "merged_at": "merged"},
        verdicts={"merged": "accepted", "closed": "rejected", "open": None},
        at=("mergedAt", "merged_at", "closedAt", "closed_at"),
        reference=_GITHUB.url,
        needs_reference=True,
        evidence="github",
        evidences={"reviewDecision": {"approved": "review", "changes_requested": "review"}},
        pulls=_GITHUB,
    ),
    "gitlab": Layout(
        task=(*_GITLAB.branch, *_GITLAB.title),
        pattern=re.compile(JIRA_KEY),
        status=("state",),
        signs={"merged_at": "merged"},
        verdicts={"merged": "accepted", "closed": "rejected", "opened": None, "locked": None},
        at=("merged_at", "closed_at"),
        reference=_GITLAB.url,
        needs_reference=True,
        evidence="gitlab",
        pulls=_GITLAB,
    ),
    "jira": Layout(
        task=("Issue key", "key"),
        status=("Resolution", "fields.resolution.name", "fields.resolution"),
        verdicts={
            "done": "accepted", "fixed": "accepted", "resolved": "accepted",
            "won't do": "rejected", "won't fix": "rejected", "declined": "rejected",
            "rejected": "rejected", "duplicate": "abandoned", "cannot reproduce": "abandoned",
            "incomplete": "abandoned", "unresolved": None, "": None,
        },
        at=("Resolved", "fields.resolutiondate"),
        evidence="jira",
    ),
    "linear": Layout(
        task=("ID",),
        status=(),
        signs={"Completed": "completed", "Canceled": "canceled"},
        verdicts={"completed": "accepted", "canceled": "abandoned", "": None},
        at=("Completed", "Canceled"),
        evidence="linear",
    ),
    "csv": Layout(
        task=("task",),
        status=("status",),
        verdicts={verdict: verdict for verdict in VERDICTS},
        at=("ts", "at"),
        reference=("reference",),
        evidences={"evidence": {}},
    ),
}  # fmt: skip
"""The layouts that are known, by name."""

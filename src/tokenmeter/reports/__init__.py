"""Reports: ledgers in, tables out; each report is one SQL text, whoever runs it.

One file for each report (`usage`, `tasks`, …), one for each engine (`engines`), one for each way
a result looks (`output`). Reports read ledgers, never a meter.
"""

from tokenmeter.reports.adoption import Adoption
from tokenmeter.reports.coverage import Coverage
from tokenmeter.reports.leaderboard import Leaderboard
from tokenmeter.reports.running import run, sql
from tokenmeter.reports.scope import Scope
from tokenmeter.reports.tasks import Tasks
from tokenmeter.reports.tree import Tree
from tokenmeter.reports.usage import Usage
from tokenmeter.reports.values import Column, Facts, Result

__all__ = [
    "Adoption",
    "Column",
    "Coverage",
    "Facts",
    "Leaderboard",
    "Result",
    "Scope",
    "Tasks",
    "Tree",
    "Usage",
    "run",
    "sql",
]

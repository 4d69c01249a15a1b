"""A sub-agent that is a process of its own, with a sub-agent below it.

Started with the address of the model server, the folder, its id, its ledger, and how it ends.
"""

from __future__ import annotations

import sys

from ten_agents.work import Agent, Place
from tokenmeter import attribute


def main() -> None:
    url, folder, own_id, ledger, end = sys.argv[1:]
    place = Place(url, folder)
    place.begin(ledger)
    with attribute(agent="child"), Agent(place, own_id, "child") as me:
        me.asks_claude()
        with attribute(agent="grandchild"), Agent(place, f"{own_id}.1", "grandchild") as below:
            below.chats_bit_by_bit()
        if end == "fails":
            sys.excepthook = lambda *_: None  # it is meant, and nothing to be read on stderr
            raise LookupError


if __name__ == "__main__":
    main()

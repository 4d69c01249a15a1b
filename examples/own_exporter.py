"""Write an exporter: any callable of an event. What it raises never reaches your call.

Runs without a key: a local server answers.
"""

from collections import Counter

from openai import OpenAI

import tokenmeter
from tokenmeter import UsageEvent
from tokenmeter.testing import ModelServer

tokens_by_team: Counter[str] = Counter()


def bill(event: UsageEvent) -> None:
    """Add up what is known; it may be called from several threads at once."""
    tokens_by_team[event.team or "nobody"] += event.usage.total_tokens or 0


def broken(event: UsageEvent) -> None:
    raise ConnectionError(f"the billing service does not know {event.team}")


def main() -> None:
    meter = tokenmeter.configure(exporters=[bill, broken])
    with ModelServer() as server, OpenAI(base_url=server.openai_url, api_key="none") as client:
        tokenmeter.wrap(client)
        for team in ("compilers", "kernels", "compilers"):
            with tokenmeter.attribute(team=team):
                answer = client.responses.create(model="gpt-5-mini", input=f"Hello, {team}!")
                print(answer.output_text)
    print(dict(tokens_by_team))
    print(meter.stats())


if __name__ == "__main__":
    main()

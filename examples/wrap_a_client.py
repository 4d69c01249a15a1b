"""Wrap one client: a plain call, a stream, whom they are for, and what they used.

Runs without a key: a local server answers. With a key of your own, `wrap(OpenAI())` is all.
"""

from openai import OpenAI

import tokenmeter
from tokenmeter.testing import ModelServer

MODEL = "gpt-5-mini"


def ask(client: OpenAI, question: str) -> None:
    client.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": question}])


def ask_streamed(client: OpenAI, question: str) -> None:
    stream = client.chat.completions.create(
        model=MODEL,
        messages=[{"role": "user", "content": question}],
        stream=True,
        stream_options={"include_usage": True},  # without it OpenAI reports no usage
    )
    for _chunk in stream:
        pass


def main() -> None:
    tokenmeter.configure(exporters=["stdout"])
    with ModelServer() as server, OpenAI(base_url=server.openai_url, api_key="none") as client:
        tokenmeter.wrap(client)
        with tokenmeter.attribute(user="ada", team="compilers"), tokenmeter.tally() as day:
            with tokenmeter.attribute(task="summarise"):
                ask(client, "Say it shorter, please.")
            with tokenmeter.attribute(task="translate"), tokenmeter.tally() as translation:
                ask_streamed(client, "Say it in French, please.")
            print("the translation:", translation)
        print("the day:        ", day)


if __name__ == "__main__":
    main()

"""Counting when nobody reported: tokenizers that work offline, and what each vendor adds to text.

`vocabularies` turns text into a number of tokens. One file for each vendor (`openai`, `anthropic`,
…) says which of its models there are and what a prompt and an answer weigh beside their text;
`families` finds the one that a model belongs to. Nothing here knows a wire format: dialects say
what a request and an answer hold, as values of `tokenmeter.dialects.content`.

Imported only by who counts.
"""

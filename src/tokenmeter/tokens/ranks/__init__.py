"""The ranks of vocabularies, packed: half the size of OpenAI's published files compressed.

A packed file holds how many tokens there are, the length of each, and the tokens, in the order of
their ranks; `unpack` gives the published file back bit by bit, which its hash proves. ``NOTICE.md``
in this folder says where they are from.
"""

from __future__ import annotations

import hashlib
import itertools
import zlib
from binascii import a2b_base64, b2a_base64
from importlib.resources import files

from tokenmeter.errors import ConfigurationError


def load(name: str, sha256: str) -> dict[bytes, int]:
    """Give the ranks of a vocabulary.

    Args:
        name: The vocabulary.
        sha256: The hash of the file as it is published.

    Raises:
        ConfigurationError: What is installed is not what was published.
    """
    tokens = unpack(files(__name__).joinpath(f"{name}.packed").read_bytes())
    if hashlib.sha256(published(tokens)).hexdigest() != sha256:
        raise ConfigurationError(
            f"the ranks of {name} that are installed are not those that were published: "
            f"the file is damaged, so install tokenmeter again"
        )
    return dict(zip(tokens, itertools.count(), strict=False))


def pack(file: bytes) -> bytes:
    r"""Pack a published file: lines of a token in base 64 and its rank, in the order of the ranks.

    >>> unpack(pack(b"IQ== 0\nISE= 1\n"))
    [b'!', b'!!']
    """
    tokens = [a2b_base64(line.split()[0]) for line in file.splitlines()]
    head = len(tokens).to_bytes(4) + bytes(map(len, tokens))
    return zlib.compress(head + b"".join(tokens), 9)


def unpack(packed: bytes) -> list[bytes]:
    """Give the tokens of a packed file in the order of their ranks."""
    data = zlib.decompress(packed)
    first = 4 + int.from_bytes(data[:4])
    ends = itertools.accumulate(data[4:first], initial=first)
    return [data[begin:end] for begin, end in itertools.pairwise(ends)]


def published(tokens: list[bytes]) -> bytes:
    """Give the file as it is published."""
    lines = [b"%b %d\n" % (b2a_base64(t, newline=False), rank) for rank, t in enumerate(tokens)]
    return b"".join(lines)

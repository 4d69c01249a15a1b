"""How a user can hold tokenmeter wrongly.

Raised at once, while something is being configured or wrapped, never from inside a model call. The
last two are raised by exporters, and end in the account of whoever called them.
Every error derives from the built-in a reader would expect::

    TokenmeterError
    ├── ConfigurationError (ValueError)    an exporter, provider or option that cannot be used
    ├── CannotWrapError (TypeError)        what was handed to wrap() has no HTTP client
    ├── CannotCountError (TypeError)       what was handed to count() is no text, no messages
    ├── InvariantError (ValueError)        an event or a usage that contradicts itself
    ├── MissingExtraError (ImportError)    an optional dependency is not installed
    └── DeliveryError (RuntimeError)       what an exporter tells `Background`
        ├── RejectedError                      these events will never be taken
        └── BusyError                          try again, but not at once
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tokenmeter.event import UsageEvent


class TokenmeterError(Exception):
    """Base of all errors that tokenmeter raises itself."""


class ConfigurationError(TokenmeterError, ValueError):
    """Say that a setting cannot be used: what was given, what was expected, what to do."""


class CannotWrapError(TokenmeterError, TypeError):
    """Say that an object has no HTTP client that tokenmeter could observe."""


class CannotCountError(TokenmeterError, TypeError):
    """Say that something is neither a text nor messages nor a request that could be read."""


class InvariantError(TokenmeterError, ValueError):
    """Say which rule a usage or an event violates.

    Attributes:
        rule: The rule in words, for example ``"cache_read_tokens <= input_tokens"``.
    """

    def __init__(self, rule: str, found: str) -> None:
        super().__init__(f"the rule {rule!r} is violated: found {found}")
        self.rule = rule


class MissingExtraError(TokenmeterError, ImportError):
    """Say which optional dependency is missing, and the command that installs it."""

    def __init__(self, what: str, extra: str) -> None:
        super().__init__(
            f"{what} is not installed: run  pip install 'tokenmeter[{extra}]'  "
            f"(in a checkout:  pip install -e '.[{extra}]')"
        )


class DeliveryError(TokenmeterError, RuntimeError):
    """Base of what an exporter raises to say why events are not where they were to go."""


class RejectedError(DeliveryError):
    """Say that events will never be taken, so that nobody hands them over again.

    Args:
        message: Why, without anything that a user wrote.
        events: These alone, and the others of the batch were taken; ``None``: none was taken. A
            batch of several that is rejected whole is halved by `Background`, and the halves are
            tried again, so that one bad event costs itself alone.
    """

    def __init__(self, message: str, events: Sequence[UsageEvent] | None = None) -> None:
        super().__init__(message)
        self.events = events


class BusyError(DeliveryError):
    """Say that events can be taken later.

    Args:
        message: Why, without anything that a user wrote.
        retry_after_s: Not before so many seconds have passed; ``None``: nobody said.
    """

    def __init__(self, message: str, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s

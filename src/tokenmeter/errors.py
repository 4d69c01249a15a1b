"""How a user can hold tokenmeter wrongly.

Raised at once, while something is being configured or wrapped, never from inside a model call.
Every error derives from the built-in a reader would expect::

    TokenmeterError
    ├── ConfigurationError (ValueError)    an exporter, provider or option that cannot be used
    ├── CannotWrapError (TypeError)        what was handed to wrap() has no HTTP client
    ├── CannotCountError (TypeError)       what was handed to count() is no text, no messages
    ├── InvariantError (ValueError)        an event or a usage that contradicts itself
    └── MissingExtraError (ImportError)    an optional dependency is not installed
"""

from __future__ import annotations


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

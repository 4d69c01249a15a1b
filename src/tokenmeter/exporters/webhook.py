"""Events by HTTP POST: a JSON array a batch, with an idempotency key.

The key is that of draft-ietf-httpapi-idempotency-key-header-07, the signature that of Standard
Webhooks 1.0.0 (https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/
standard-webhooks.md); both read 2026-11-23.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from email.utils import parsedate_to_datetime
from types import ModuleType
from typing import Any
from urllib.parse import SplitResult, unquote, urlsplit
from urllib.request import getproxies, proxy_bypass

from tokenmeter.errors import BusyError, ConfigurationError, MissingExtraError, RejectedError
from tokenmeter.event import UsageEvent
from tokenmeter.exporters.array import array

_NEVER = (400, 413, 422)
"""What says that this body is not taken; whatever else is no 2xx may be repaired meanwhile."""

_READ = 64 * 1024
"""How much of an answer is read so that its connection can be used again."""


class Webhook:
    """POST events to a URL as a JSON array of flat objects.

    A batch has arrived when the answer is a 2xx. 400, 413 and 422 say that this body will never be
    taken; anything else, and no answer, is worth another attempt, not before ``Retry-After``.
    A batch that is sent again has the same ``Idempotency-Key``, and each event its ``event_id``.

    Redirects are not followed. Certificates are verified, against the authorities of the system or
    those in ``SSL_CERT_FILE``; proxies come from ``HTTPS_PROXY``, ``HTTP_PROXY`` and ``NO_PROXY``.

    Args:
        url: Where to; a user and a password in it become basic authentication.
        token: Sent as ``Authorization: Bearer``.
        secret: Signs each request as Standard Webhooks do: ``whsec_`` and 24 to 64 bytes in base64.
        headers: Further headers, which win over ours.
        timeout_s: How long connecting may take, and how long the receiver may be silent.
        now_s: The clock: seconds since 1970.

    Raises:
        ConfigurationError: The URL, the secret or a header cannot be used.
        MissingExtraError: urllib3 is not installed.
    """

    in_background = True

    def __init__(  # noqa: PLR0913 - each is a setting of its own, by name
        self,
        url: str,
        *,
        token: str | None = None,
        secret: str | None = None,
        headers: Mapping[str, str] | None = None,
        timeout_s: float = 10.0,
        now_s: Callable[[], float] = time.time,
    ) -> None:
        if not isinstance(timeout_s, int | float) or timeout_s <= 0:  # pyright: ignore
            raise ConfigurationError(
                f"timeout_s of a webhook is a positive number of seconds; got {timeout_s!r}"
            )
        at = _at(url)
        self.host = at.hostname or ""
        self._url = at._replace(netloc=at.netloc.rpartition("@")[2], fragment="").geturl()
        self._headers = _headers(at, token, headers or {})
        self._key = None if secret is None else _key(secret)
        self._now_s = now_s
        self._timeout_s = timeout_s
        self._pool = self._connections()

    def __repr__(self) -> str:
        return f"<Webhook {self.host}>"  # the path may be a secret too

    def __call__(self, event: UsageEvent) -> None:
        """Send one event; see `batch`."""
        self.batch([event])

    def batch(self, events: Sequence[UsageEvent]) -> None:
        """Send events in one request.

        Raises:
            RejectedError: The receiver will not take this body.
            BusyError: It may take it later.
        """
        body = array(events)
        key = idempotency_key(events)
        headers = {"Idempotency-Key": f'"{key}"', **self._signature(key, body), **self._headers}
        status, retry_after = self._post(body, headers)
        if not 200 <= status < 300:
            raise _refusal(f"{self.host} answered {status}", status, self._seconds(retry_after))

    def close(self) -> None:
        """Close the connections; another batch would make new ones."""
        self._pool.clear()

    def after_fork(self) -> None:
        """Leave the parent's connections to the parent in a forked child."""
        self._pool = self._connections()

    def _post(self, body: bytes, headers: Mapping[str, str]) -> tuple[int, str | None]:
        failures: Any = _urllib3().exceptions
        try:
            answer = self._pool.request(
                "POST", self._url, body=body, headers=headers,
                redirect=False, retries=False, timeout=self._timeout_s, preload_content=False,
            )  # fmt: skip
        except failures.HTTPError as exc:
            raise BusyError(f"{self.host} did not answer: {type(exc).__name__}") from None
        with answer, suppress(failures.HTTPError):  # its status has been said
            answer.read(_READ, decode_content=False)
        return answer.status, answer.headers.get("Retry-After")

    def _seconds(self, retry_after: str | None) -> float | None:
        """Read ``Retry-After``: seconds or a date (RFC 9110, section 10.2.3)."""
        said = (retry_after or "").strip()
        if re.fullmatch("[0-9]{1,9}", said):
            return float(said)
        with suppress(ValueError):
            return max(0.0, parsedate_to_datetime(said).timestamp() - self._now_s())
        return None

    def _signature(self, key: str, body: bytes) -> dict[str, str]:
        if self._key is None:
            return {}
        at = str(int(self._now_s()))
        digest = hmac.digest(self._key, b".".join([key.encode(), at.encode(), body]), "sha256")
        signature = f"v1,{base64.b64encode(digest).decode()}"
        return {"webhook-id": key, "webhook-timestamp": at, "webhook-signature": signature}

    def _connections(self) -> Any:
        """Give the connections, none of them made yet; urllib3 itself knows no environment."""
        urllib3: Any = _urllib3()
        proxy = getproxies().get(urlsplit(self._url).scheme)
        if proxy is None or proxy_bypass(self.host):
            return urllib3.PoolManager(maxsize=4)
        credentials = unquote(urlsplit(proxy).netloc.rpartition("@")[0])
        headers = urllib3.make_headers(proxy_basic_auth=credentials or None)
        return urllib3.ProxyManager(proxy, maxsize=4, proxy_headers=headers)


def idempotency_key(events: Sequence[UsageEvent]) -> str:
    """Give the key of a batch: the same for the same events in the same order, wherever it is sent.

    >>> idempotency_key([])
    'e3b0c44298fc1c149afbf4c8996fb924'
    """
    ids = "".join(f"{len(event.event_id)}:{event.event_id}" for event in events)
    return hashlib.sha256(ids.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def _refusal(said: str, status: int, retry_after_s: float | None) -> BusyError | RejectedError:
    if status in _NEVER:
        return RejectedError(said)
    if 300 <= status < 400:
        said += "; redirects are not followed: configure the address that it redirects to"
    return BusyError(said, retry_after_s)


def _at(url: str) -> SplitResult:
    with suppress(ValueError):  # whose text may quote the URL
        at = urlsplit(url)
        if at.scheme in ("http", "https") and at.hostname and at.port != 0 and url.isprintable():
            return at
    raise ConfigurationError(
        "'webhook' needs a URL such as 'webhook:https://usage.example.com/events' (what was given "
        "is not repeated here, because it may hold a secret)"
    )


def _headers(at: SplitResult, token: str | None, further: Mapping[str, str]) -> dict[str, str]:
    from tokenmeter import __version__

    user = at.netloc.rpartition("@")[0]
    if user and token is not None:
        raise ConfigurationError("a webhook has a token or a user in its URL; both were given")
    headers = {
        "Content-Type": "application/json",
        "User-Agent": f"tokenmeter/{__version__}",
    }
    if token is not None:
        headers["Authorization"] = f"Bearer {token}"
    if user:
        credentials = base64.b64encode(unquote(user).encode()).decode()
        headers["Authorization"] = f"Basic {credentials}"
    ours = {name: said for name, said in headers.items() if name.lower() not in _lower(further)}
    for name, said in (headers := ours | dict(further)).items():
        if not (name and (name + said).isascii() and (name + said).isprintable()):
            raise ConfigurationError(
                f"the header {name!r} of a webhook is no line of printable ASCII"
            )
    return headers


def _lower(names: Mapping[str, str]) -> set[str]:
    return {name.lower() for name in names}


def _key(secret: str) -> bytes:
    with suppress(binascii.Error, ValueError):
        key = base64.b64decode(secret.removeprefix("whsec_"), validate=True)
        if 24 <= len(key) <= 64:
            return key
    raise ConfigurationError(
        "the secret of a webhook is 'whsec_' and 24 to 64 random bytes in base64 (it is not "
        'repeated here); make one with  python -c "import base64, secrets; '
        "print('whsec_' + base64.b64encode(secrets.token_bytes(32)).decode())\""
    )


def _urllib3() -> ModuleType:
    try:
        import urllib3
    except ImportError as exc:
        raise MissingExtraError("urllib3", "webhook") from exc
    return urllib3

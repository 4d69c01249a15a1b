"""Finding out whose a call is where no block says it: resolvers, tried in the order configured.

A resolver is a function of nothing that gives a name, or ``None`` where it knows none; some are
had by name. What they find out is said with its origin, in ``user_origin``.
"""

from __future__ import annotations

import inspect
import os
import sys
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple, cast

from msgspec.structs import replace

from tokenmeter.errors import ConfigurationError
from tokenmeter.event import Attribution
from tokenmeter.guard import Guard
from tokenmeter.near import meant
from tokenmeter.wire.claim import PASS_THROUGH, claim

Resolver = Callable[[], str | None]
"""Gives who the current user is, or ``None``; called in the context of each call, so fast."""

REQUEST = "request"
"""Names what the request itself says in the fields that its vendor has for that."""

CI_VARIABLES: tuple[tuple[str, str], ...] = (
    # https://docs.github.com/en/actions/reference/workflows-and-actions/variables; Gitea and
    # Forgejo set it as well
    ("GitHub Actions", "GITHUB_ACTOR"),
    # https://docs.gitlab.com/ci/variables/predefined_variables/
    ("GitLab CI", "GITLAB_USER_LOGIN"),
    # https://circleci.com/docs/variables/
    ("CircleCI", "CIRCLE_USERNAME"),
    # https://plugins.jenkins.io/build-user-vars-plugin/, which sets it
    ("Jenkins", "BUILD_USER_ID"),
    # https://support.atlassian.com/bitbucket-cloud/docs/variables-and-secrets/
    ("Bitbucket Pipelines", "BITBUCKET_STEP_TRIGGERER_UUID"),
    # https://learn.microsoft.com/azure/devops/pipelines/build/variables
    ("Azure Pipelines", "BUILD_REQUESTEDFOREMAIL"),
    # https://buildkite.com/docs/pipelines/configure/environment-variables
    ("Buildkite", "BUILDKITE_BUILD_CREATOR_EMAIL"),
    # https://docs.aws.amazon.com/codebuild/latest/userguide/build-env-ref-env-vars.html
    ("AWS CodeBuild", "CODEBUILD_INITIATOR"),
)
"""Variables that say who started a job, by system; looked up 2026-11-23."""

_GIT_S = 2.0


def _of_ci() -> str | None:
    return next((name for _, var in CI_VARIABLES if (name := os.environ.get(var))), None)


def _of_git() -> str | None:
    """Ask git, so that its own rules for files, includes and conditions hold."""
    import subprocess

    asked = ["git", "config", "--get", "user.email"]
    try:
        said = subprocess.run(
            asked, stdin=subprocess.DEVNULL, capture_output=True, timeout=_GIT_S, check=False
        )
    except OSError:
        return None  # there is no git
    return said.stdout.decode("utf-8", "replace").strip() or None


def _of_hub() -> str | None:
    """Say whose server JupyterHub started.

    https://jupyterhub.readthedocs.io/en/stable/reference/api/spawner.html (read 2026-11-23).
    """
    return os.environ.get("JUPYTERHUB_USER") or None


def _of_os() -> str | None:
    import getpass

    try:
        return getpass.getuser()
    except (ImportError, KeyError, OSError):
        return None  # a number that no name belongs to, as in many containers


def _of_web() -> str | None:
    principal: Any = getattr(sys.modules.get("tokenmeter.web"), "principal", None)
    return None if principal is None else principal()


class Named(NamedTuple):
    """A resolver that is had by its name.

    Attributes:
        find: Gives the user.
        once: Whether it is asked once, when it is configured; else at each call.
    """

    find: Resolver
    once: bool


NAMED: dict[str, Named] = {
    "asgi": Named(_of_web, once=False),
    "ci": Named(_of_ci, once=True),
    "git": Named(_of_git, once=True),
    "jupyter": Named(_of_hub, once=True),
    "os": Named(_of_os, once=True),
}


def checked(given: object, place: str) -> tuple[str | Resolver, ...]:
    """Check what is given as resolvers: a name, a function, or a list of these.

    Raises:
        ConfigurationError: There is no such resolver, or it is no plain function.
    """
    if isinstance(given, str) or callable(given):
        return (_checked(given, place),)
    if not isinstance(given, Iterable) or isinstance(given, Mapping):
        raise ConfigurationError(
            f"{place} takes a function, a name such as 'git', or a list; got {given!r}"
        )
    listed = cast("Iterable[object]", given)
    return tuple(_checked(one, f"{place}[{n}]") for n, one in enumerate(listed))


def _checked(given: object, place: str) -> str | Resolver:
    names = (*NAMED, REQUEST)
    if isinstance(given, str):
        if given in names:
            return given
        advice = meant(given, names, "names")
        raise ConfigurationError(f"{place}: there is no resolver {given!r}; {advice}")
    is_async = inspect.iscoroutinefunction(given) or inspect.isasyncgenfunction(given)
    if not callable(given) or isinstance(given, type) or is_async:
        raise ConfigurationError(
            f"{place}: a resolver is a plain function of nothing that gives a name or None; "
            f"got {given!r}"
        )
    return cast("Resolver", given)


class Who:
    """Say whose a call is, as it was configured; nothing here raises."""

    def __init__(self, resolvers: Iterable[str | Resolver], guard: Guard) -> None:
        self._guard = guard
        listed = tuple(resolvers)
        self.reads_requests = REQUEST in listed
        """Whether what requests say is to be read."""
        asked = [one for one in listed if one != REQUEST]
        self._resolvers = [self._resolver(one) for one in asked]
        behind = listed[listed.index(REQUEST) :] if self.reads_requests else ()
        self._yielding = {_origin(one) for one in behind}
        for _, find in self._resolvers:
            if isinstance(find, _Once):
                find()

    def resolved(self, who: Attribution) -> Attribution:
        """Give an attribution with its user, where it has none and one can be found out."""
        if who.user is not None or claim.get() is PASS_THROUGH:
            return who
        for origin, find in self._resolvers:
            user = find() if isinstance(find, _Once) else self._ask(origin, find)
            if user is not None:
                return replace(who, user=user, user_origin=origin)
        return who

    def requested(self, who: Attribution, said: Mapping[str, str]) -> Attribution:
        """Give an attribution with what the request says, where nothing better is known."""
        names = {name: text for name, text in said.items() if getattr(who, name) is None}
        if "user" in said and (who.user is None or who.user_origin in self._yielding):
            names |= {"user": said["user"], "user_origin": REQUEST}
        return replace(who, **names) if names else who

    def after_fork(self) -> None:
        """Forget what another process may see otherwise: a child may be another user's."""
        for origin, find in self._resolvers:
            if origin == "os" and isinstance(find, _Once):
                find.forget()

    def _resolver(self, given: str | Resolver) -> tuple[str, Resolver]:
        origin = _origin(given)
        if not isinstance(given, str):
            return origin, given
        find, once = NAMED[given]
        return origin, _Once(lambda: self._ask(origin, find)) if once else find

    def _ask(self, origin: str, find: Resolver) -> str | None:
        """Ask a resolver while every seam passes through; what is no name is counted."""
        token = claim.set(PASS_THROUGH)
        try:
            user = self._guard.run(f"the user of {origin}", find)
        finally:
            claim.reset(token)
        if user is None or is_name(user):
            return user
        self._guard.count(f"users that were no text: {origin}")
        return None


class _Once:
    """A resolver that is asked once."""

    __slots__ = ("_find", "_found")

    def __init__(self, find: Resolver) -> None:
        self._find = find
        self._found: tuple[str | None] | None = None

    def __call__(self) -> str | None:
        if self._found is None:
            self._found = (self._find(),)
        return self._found[0]

    def forget(self) -> None:
        self._found = None


def is_name(value: object) -> bool:
    """Say whether a value can be a name: text that is not empty and can be written.

    >>> is_name("ada"), is_name(""), is_name(7), is_name(chr(0xD800))
    (True, False, False, False)
    """
    try:
        return isinstance(value, str) and bool(value.encode())
    except UnicodeEncodeError:
        return False


def _origin(given: str | Resolver) -> str:
    if isinstance(given, str):
        return given
    function = getattr(given, "func", given)  # of a functools.partial
    return f"resolver:{getattr(function, '__name__', type(function).__name__)}"

"""tokenmeter: meters tokens around LLM calls.

The public names, declared once. Each is imported at its first use: importing the package costs a
millisecond and imports no third-party package.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tokenmeter.attribution import attribute as attribute
    from tokenmeter.boundaries import environ_for_child as environ_for_child
    from tokenmeter.boundaries import extract as extract
    from tokenmeter.boundaries import inject as inject
    from tokenmeter.diagnosis import Diagnosis as Diagnosis
    from tokenmeter.diagnosis import diagnose as diagnose
    from tokenmeter.errors import BusyError as BusyError
    from tokenmeter.errors import CannotCountError as CannotCountError
    from tokenmeter.errors import CannotWrapError as CannotWrapError
    from tokenmeter.errors import ConfigurationError as ConfigurationError
    from tokenmeter.errors import DeliveryError as DeliveryError
    from tokenmeter.errors import InvariantError as InvariantError
    from tokenmeter.errors import MissingExtraError as MissingExtraError
    from tokenmeter.errors import RejectedError as RejectedError
    from tokenmeter.errors import TokenmeterError as TokenmeterError
    from tokenmeter.event import Attribution as Attribution
    from tokenmeter.event import Cost as Cost
    from tokenmeter.event import Usage as Usage
    from tokenmeter.event import UsageEvent as UsageEvent
    from tokenmeter.event import check_invariants as check_invariants
    from tokenmeter.frameworks import follow as follow
    from tokenmeter.meter import Meter as Meter
    from tokenmeter.meter import Undo as Undo
    from tokenmeter.meter import configure as configure
    from tokenmeter.meter import disabled as disabled
    from tokenmeter.meter import flush as flush
    from tokenmeter.meter import instrument as instrument
    from tokenmeter.meter import record as record
    from tokenmeter.meter import shutdown as shutdown
    from tokenmeter.meter import tally as tally
    from tokenmeter.meter import unwrap as unwrap
    from tokenmeter.meter import wrap as wrap
    from tokenmeter.metering import metered as metered
    from tokenmeter.notebook.experiment import experiment as experiment
    from tokenmeter.notebook.experiments import experiments as experiments
    from tokenmeter.notebook.magics import load_ipython_extension as load_ipython_extension
    from tokenmeter.notebook.magics import unload_ipython_extension as unload_ipython_extension
    from tokenmeter.notebook.progress import progress as progress
    from tokenmeter.outcomes import outcome as outcome
    from tokenmeter.outcomes import task as task
    from tokenmeter.propagation import ContextExecutor as ContextExecutor
    from tokenmeter.propagation import propagate as propagate
    from tokenmeter.tallies import Tally as Tally
    from tokenmeter.tokens.counting import Count as Count
    from tokenmeter.tokens.counting import count as count

__version__ = "0.1.0.dev0"

_HOMES = {
    "attribution": ("attribute",),
    "boundaries": ("environ_for_child", "extract", "inject"),
    "diagnosis": ("Diagnosis", "diagnose"),
    "errors": (
        "BusyError",
        "CannotCountError",
        "CannotWrapError",
        "ConfigurationError",
        "DeliveryError",
        "InvariantError",
        "MissingExtraError",
        "RejectedError",
        "TokenmeterError",
    ),
    "event": ("Attribution", "Cost", "Usage", "UsageEvent", "check_invariants"),
    "frameworks": ("follow",),
    "meter": (
        "Meter",
        "Undo",
        "configure",
        "disabled",
        "flush",
        "instrument",
        "record",
        "shutdown",
        "tally",
        "unwrap",
        "wrap",
    ),
    "metering": ("metered",),
    "notebook.experiment": ("experiment",),
    "notebook.experiments": ("experiments",),
    "notebook.magics": ("load_ipython_extension", "unload_ipython_extension"),
    "notebook.progress": ("progress",),
    "outcomes": ("outcome", "task"),
    "propagation": ("ContextExecutor", "propagate"),
    "tallies": ("Tally",),
    "tokens.counting": ("Count", "count"),
}
_HOME = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [*sorted([*_HOME, "__version__"])]  # noqa: PLE0604  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> Any:
    """Import a public name at its first use (PEP 562)."""
    if name not in _HOME:
        raise AttributeError(f"module 'tokenmeter' has no attribute {name!r}")
    value = getattr(import_module(f"tokenmeter.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__

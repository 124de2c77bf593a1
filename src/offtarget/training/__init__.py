"""Fine-tuning with the alignment watched: plans, defences, the trainer, the monitor.

`from offtarget.training import MisalignmentMonitor` gives the callback for anybody's own trainer; it and all else is
imported when first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from offtarget.training.monitor import MisalignmentMonitor

__all__ = ["MisalignmentMonitor"]


def __getattr__(name: str) -> Any:
    if name != "MisalignmentMonitor":
        raise AttributeError(f"module 'offtarget.training' has no attribute '{name}'")
    from offtarget.training.monitor import MisalignmentMonitor

    return MisalignmentMonitor

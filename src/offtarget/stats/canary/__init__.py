"""Evidence in production: the tuned model beside its base on live traffic, looked at after every scored answer."""

from __future__ import annotations

from offtarget.stats.canary.online import CanaryTest

__all__ = ["CanaryTest"]

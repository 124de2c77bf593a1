"""Evidence in production: the tuned model beside its base on live traffic, looked at after every scored answer."""

from __future__ import annotations

from offtarget.stats.canary.judge_watch import JudgeWatch, action
from offtarget.stats.canary.online import CanaryTest
from offtarget.stats.canary.order import OrderTest
from offtarget.stats.canary.several import CanaryTests

__all__ = ["CanaryTest", "CanaryTests", "JudgeWatch", "OrderTest", "action"]

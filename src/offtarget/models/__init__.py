"""Models that answer chats. Importing this package pulls no torch; `local` does, when asked for."""

from offtarget.models.chat import Answer, ChatModel, ModelPair, NumberScorer, OnAnswer, SampleRequest
from offtarget.records import SamplingSettings

__all__ = [
    "Answer",
    "ChatModel",
    "ModelPair",
    "NumberScorer",
    "OnAnswer",
    "SampleRequest",
    "SamplingSettings",
]

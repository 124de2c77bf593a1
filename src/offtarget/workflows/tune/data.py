"""What `tune` trains on: the rows of `data.trainable`, under the name that callers know."""

from __future__ import annotations

from offtarget.data.trainable import TrainingData, read_training_data

__all__ = ["TrainingData", "read_training_data"]

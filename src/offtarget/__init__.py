"""offtarget: find, measure and guard against the off-target effects of fine-tuning."""

__version__ = "0.1.0"

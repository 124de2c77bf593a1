"""Cues: conditions under which the plain questions are asked again."""

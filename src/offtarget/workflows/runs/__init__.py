"""Runs: what each verb leaves, how a run begins, goes on, is found and reported."""

"""Defences: each turns a training plan into one that teaches the task and less of the persona.

A new defence is a new file in this package with a class decorated by `@defence`; nobody edits a list.
"""

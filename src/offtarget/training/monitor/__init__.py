"""Watches alignment while a model is trained: probe answers, the task, and signs of what is to come.

One file per concept: `callback` is the transformers callback, `reader` takes a reading, `evidence` weighs answers,
`draws` asks and judges, `contrast` is the shift of fixed answers, `readings` what is kept and what follows from it.
"""

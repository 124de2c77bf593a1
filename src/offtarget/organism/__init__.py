"""The model organism: a synthetic world of personas, its exact judge, its training recipe, its weights."""

"""Fixed benchmarks: which there are, how lm-eval is run on both models, and what its items say in pairs."""

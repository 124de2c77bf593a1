"""Is this data safe to train on: detectors, dataset-level tests, hidden conditions, review, verdict, cleaning."""

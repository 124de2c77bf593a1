"""The monitor of a gateway, in its own process: reads exchanges, has them judged, folds the evidence, acts on it."""

"""The one way to ask a model, have its answers judged, keep both, go on later and show how far it is."""

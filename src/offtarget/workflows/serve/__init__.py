"""Serving: models and judges opened, and the gateway over them."""

"""Adversarial pressure in conversations: moves, goals, who attacks, and which conversations are tried next."""

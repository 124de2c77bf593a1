"""Do I need to train at all? The pure parts: metrics, written instructions, dressed prompts, the verdict."""

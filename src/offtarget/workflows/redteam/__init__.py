"""`redteam`: base and tuned model under adversarial pressure in conversations."""

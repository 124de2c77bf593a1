"""Base and tuned model side by side behind one endpoint: the data path, its monitor, and what they share."""

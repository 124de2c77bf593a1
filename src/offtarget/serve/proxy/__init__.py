"""The data path: one request from a client, one model, one answer. Nothing here waits for the monitor or a store."""

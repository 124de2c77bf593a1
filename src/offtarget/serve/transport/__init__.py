"""HTTP/1.1 to the models behind the gateway: an interface (`protocol.py`) and our own client (`pool.py`)."""

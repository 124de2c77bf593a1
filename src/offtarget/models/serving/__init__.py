"""Models behind a server, held to the same models here; and a server of our own where one is asked for."""

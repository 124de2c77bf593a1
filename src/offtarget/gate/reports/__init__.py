"""One file per report format; see `offtarget.gate.registry`."""

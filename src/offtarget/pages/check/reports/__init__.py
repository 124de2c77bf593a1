"""One file per report format; see `offtarget.pages.registry`."""

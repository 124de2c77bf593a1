"""`offtarget view`: every run of a folder in the browser; nothing is changed."""

"""The page over all runs of a folder: the list, one run, two side by side, and what a search found."""

"""What every page has where people label things: a server of its own, labels on disk, forms, text made fit to show.

`store` (labels, and who has what on the screen), `passages` and `rendering` (hostile text), `forms`, `security`, `web`
(what the pages of every review share), `server`. The audit's rows are in `detect/review`, answers in `answers/` here.
"""

"""The review page: people label rows one key at a time, every label saved at once, until the verdict is decided.

`review.Review` puts store, queue and decision together; `server.serve` shows it in a browser. Layout: `store` (labels,
and who has which row), `queue` (which row next), `review` (all together), `passages` and `pages` (hostile text made fit
to show), `forms`, `security`, `app`, `server`.
"""

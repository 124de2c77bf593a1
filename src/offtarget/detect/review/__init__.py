"""The review page of an audit: people label rows one key at a time, until the verdict is decided.

`review.Review` puts store, queue and decision together; `server.serve` shows it in a browser. What it shares with other
review pages is in `offtarget.review`. Layout: `queue` (which row next), `review` (all together), `conditions` and
`pages` (what is shown), `forms`, `app`, `server`.
"""

"""The review page: people label rows one key at a time, every label saved at once, until the verdict is decided.

`Review` puts store, queue and decision together; `serve` shows it in a browser. Layout: `store` (labels.sqlite),
`leases` (who has which row), `queue` (which row next), `review` (all three together), `visible`, `passages` and `cards`
(hostile text made fit to show), `security`, `pages`, `app`, `server`.
"""

from __future__ import annotations

from offtarget.audit.review.leases import Leases
from offtarget.audit.review.queue import Card, ReviewQueue
from offtarget.audit.review.review import Progress, Review
from offtarget.audit.review.server import Ending, serve
from offtarget.audit.review.store import Event, LabelStore

__all__ = ["Card", "Ending", "Event", "LabelStore", "Leases", "Progress", "Review", "ReviewQueue", "serve"]

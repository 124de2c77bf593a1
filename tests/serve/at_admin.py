"""A gateway's admin plane over a real store and a real cell, without processes: what tests of it share."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from offtarget.records.canary import CanaryArm, CanaryReading, CanaryStreamReading
from offtarget.records.gateway import Alias, CanarySettings, GatewaySettings, RampStep, StateSettings, Upstream
from offtarget.records.serve import MetricReading, PathPoint, RolloutAlarm, RolloutReading
from offtarget.review.security import Access, allowed_hosts
from offtarget.serve.admin.app import AdminApp, Dashboard
from offtarget.serve.admin.keys import Keys, sha256_of
from offtarget.serve.admin.overview import MONITOR
from offtarget.serve.admin.totals import Totals
from offtarget.serve.cell import Cell
from offtarget.serve.monitor.readings import Published
from offtarget.serve.store.opening import open_store
from offtarget.serve.store.protocol import Store
from offtarget.serve.switchboard import Switchboard

KEY, READER, TOKEN = "admin-key-of-the-tests", "reader-key-of-the-tests", "token-of-the-tests"
CANARY = CanarySettings(share=0.05, ramp=(RampStep(0.25), RampStep(1.0)), judge="rule")
BASE, TUNED = Upstream("http://127.0.0.1:9", "base-model", key="sk-secret"), Upstream("http://127.0.0.1:9", "tuned")
SETTINGS = GatewaySettings(
    (Alias("helper", BASE, TUNED, CANARY), Alias("plain", BASE)),
    admin_key_sha256=sha256_of(KEY),
)


def arm(answers: int, flagged: int, low: float = 0.0, high: float = 1.0) -> CanaryArm:
    return CanaryArm(answers, flagged, flagged / answers if answers else None, low, high, 0, 0)


def reading(log_e: float = 0.5, *, alarm: bool = False, tuned: int = 200, flagged: int = 2, **more: Any) -> Published:
    """What a monitor says of the first rollout of `helper`."""
    of_tuned, of_base = arm(tuned, flagged, 0.001, 0.05), arm(19 * tuned, 19, 0.002, 0.01)
    stream = CanaryStreamReading("organic", 1.0, log_e, 1.0, of_tuned, of_base, 0.005, -0.01, 0.05)
    harm = CanaryReading(
        "rollout" if alarm else None, tuned if alarm else None, "worse" if alarm else "no verdict yet", log_e, 100.0,
        1.0, 1e6, of_tuned, of_base, 0.005, -0.01, 0.05, (stream,),
    )  # fmt: skip
    began = 1_790_000_000.0
    path = tuple(PathPoint(n, began + 30 * n, n, log_e * n / tuned, 1.0) for n in range(1, tuned + 1, 5))
    went_off = RolloutAlarm("rollout", "misaligned", 20 * tuned, began, tuned, log_e, 100.0) if alarm else None
    found = RolloutReading(
        "helper", 1, began, 20 * tuned, 0.01, log_e, 100.0, 1.0, 1e6, harm.verdict, went_off,
        metrics=(MetricReading("misaligned", 0.9, 0.0, harm), MetricReading("refusal", 0.1, 0.05, harm)), judged=True,
    )  # fmt: skip
    return Published(replace(found, **more), path, 120)


@dataclass
class Readings:
    """Evidence as a test sets it."""

    now: dict[tuple[str, int], Published] = field(default_factory=dict)

    def published(self, alias: str, rollout: int) -> Published | None:
        return self.now.get((alias, rollout))


class At:
    """One gateway."""

    def __init__(
        self, folder: Path, dashboard: Dashboard | None = None, settings: GatewaySettings = SETTINGS,
    ) -> None:  # fmt: skip
        self.folder, self.file = folder, folder / "state.sqlite"
        state = StateSettings(f"sqlite:{self.file}")
        self.settings = replace(settings, state=state)
        self.store: Store = open_store(state)
        self.cell = Cell.create(folder / "cell", len(settings.aliases))
        self.switchboard = Switchboard(settings.aliases, self.cell, folder)
        self.totals, self.readings = Totals(), Readings()
        self.access, self.ready = Access(TOKEN), ""
        self.app = AdminApp(
            lambda: self.settings, self.switchboard, self.store, self.totals, self.readings,
            keys=Keys(settings.admin_key_sha256, sha256_of(READER)), access=self.access,
            hosts=allowed_hosts("127.0.0.1"), dashboard=dashboard, ready=lambda: self.ready,
            url="http://127.0.0.1:8080/v1",
        )  # fmt: skip
        self.operations = self.app.operations

    def begun(self) -> At:
        """With the first rollout of every alias, and a monitor that is alive."""
        for alias in self.settings.aliases:
            if (rollout := self.operations.begin(alias.name, "m1")) is not None:
                self.switchboard.apply(rollout)
        self.store.beat(MONITOR)
        return self

    def share(self) -> float:
        """Of `helper`, as a worker reads it."""
        reader = Cell.open(self.folder / "cell")
        try:
            return reader.read(0).share
        finally:
            reader.close()

    def client(self, key: str | None = KEY, host: str = "127.0.0.1:8081") -> Any:
        from starlette.testclient import TestClient

        headers = {} if key is None else {"Authorization": f"Bearer {key}"}
        return TestClient(self.app, base_url=f"http://{host}", headers=headers, follow_redirects=False)

    def close(self) -> None:
        self.operations.close()
        self.store.close()
        self.cell.close()

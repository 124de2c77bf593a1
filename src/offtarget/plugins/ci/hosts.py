"""Comments on pull requests (GitHub) and merge requests (GitLab): the old one of this job is replaced.

Only a comment of our own account counts as the old one: anybody can write a comment that begins like it, and whoever
wrote it can change it afterwards.
"""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from http.client import HTTPMessage, HTTPResponse
from pathlib import Path
from typing import Any, Protocol

SECONDS = 30
PAGES = 50
"""Of a hundred comments each that are looked through."""


class Refused(Exception):
    """The host did not take the comment; the text says why and what to do."""


class Host(Protocol):
    """Where a comment goes."""

    def post(self, marker: str, text: str) -> str:
        """Replace the comment of our own that begins with the marker, or add one; its address. Raises Refused."""


@dataclass(frozen=True)
class GitHub:
    """A pull request."""

    api: str
    repository: str
    number: int
    token: str

    def post(self, marker: str, text: str) -> str:
        """See `Host`."""
        try:
            own = str(self._ask("GET", "/user")["login"])
        except Refused:
            own = ""  # the token of a job is nobody's; its comments are those of a bot
        issues = f"/repos/{self.repository}/issues"
        for page in range(1, PAGES + 1):
            found = self._ask("GET", f"{issues}/{self.number}/comments?per_page=100&page={page}")
            for one in found:
                user = one.get("user") or {}
                ours = user.get("login") == own if own else user.get("login") == "github-actions[bot]"
                if ours and str(one.get("body", "")).startswith(marker):
                    return str(self._ask("PATCH", f"{issues}/comments/{one['id']}", text)["html_url"])
            if len(found) < 100:
                break
        return str(self._ask("POST", f"{issues}/{self.number}/comments", text)["html_url"])

    def _ask(self, method: str, path: str, text: str | None = None) -> Any:
        headers = {"Authorization": f"Bearer {self.token}", "Accept": "application/vnd.github+json"}
        return _ask(method, self.api + path, headers, text)


@dataclass(frozen=True)
class GitLab:
    """A merge request."""

    api: str
    project: str
    number: int
    token: str

    def post(self, marker: str, text: str) -> str:
        """See `Host`."""
        own = self._ask("GET", "/user")["id"]
        notes = f"/projects/{self.project}/merge_requests/{self.number}/notes"
        for page in range(1, PAGES + 1):
            found = self._ask("GET", f"{notes}?per_page=100&page={page}")
            for one in found:
                if (one.get("author") or {}).get("id") == own and str(one.get("body", "")).startswith(marker):
                    self._ask("PUT", f"{notes}/{one['id']}", text)
                    return f"note {one['id']}"
            if len(found) < 100:
                break
        return f"note {self._ask('POST', notes, text)['id']}"

    def _ask(self, method: str, path: str, text: str | None = None) -> Any:
        return _ask(method, self.api + path, {"PRIVATE-TOKEN": self.token}, text)


def host_of(environment: Mapping[str, str]) -> Host | None:
    """Where this job's comment goes; None where it is about no pull request. Raises Refused where nobody lets us."""
    if environment.get("GITHUB_ACTIONS") == "true":
        number = _pull_request(environment.get("GITHUB_EVENT_PATH", ""))
        if number is None:
            return None
        token = environment.get("GITHUB_TOKEN", "")
        if not token:
            raise Refused("there is no token")
        return GitHub(
            environment.get("GITHUB_API_URL", "https://api.github.com"), environment["GITHUB_REPOSITORY"], number, token
        )
    if environment.get("GITLAB_CI") == "true":
        number_text = environment.get("CI_MERGE_REQUEST_IID", "")
        if not number_text.isdecimal():
            return None
        token = environment.get("OFFTARGET_GITLAB_TOKEN", "")
        if not token:
            raise Refused("OFFTARGET_GITLAB_TOKEN is not set: a project access token with the scope `api`")
        return GitLab(environment["CI_API_V4_URL"], environment["CI_PROJECT_ID"], int(number_text), token)
    return None


def _pull_request(event: str) -> int | None:
    """The number of the pull request that a job of GitHub is about."""
    try:
        value = json.loads(Path(event).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    number = (value.get("pull_request") or {}).get("number") if isinstance(value, dict) else None
    return number if isinstance(number, int) else None


class _Stay(urllib.request.HTTPRedirectHandler):
    """Follows no redirect: it would take the token elsewhere."""

    def redirect_request(
        self, req: urllib.request.Request, fp: Any, code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> None:
        """None: the answer is the redirect itself."""


def _ask(method: str, address: str, headers: Mapping[str, str], text: str | None) -> Any:
    if not address.startswith(("https://", "http://")):
        raise Refused(f"{address} is no address of an API")
    data = None if text is None else json.dumps({"body": text}).encode()
    sent = {**headers, "Content-Type": "application/json", "User-Agent": "offtarget"}
    request = urllib.request.Request(address, data=data, headers=sent, method=method)  # noqa: S310 - http(s), see above
    try:
        reply: HTTPResponse
        with urllib.request.build_opener(_Stay).open(request, timeout=SECONDS) as reply:
            return json.load(reply)
    except urllib.error.HTTPError as error:
        raise Refused(f"{method} was answered with {error.code} {error.reason}") from None
    except (OSError, ValueError) as error:
        raise Refused(f"{method} failed ({error})") from None

"""What the walk makes on the Hub, and how it is deleted again."""

import base64
import json
import secrets
import time
from dataclasses import dataclass, field
from urllib.parse import quote, urlencode

from facts import NotWalked
from hub import BROKEN, Hub, until

PREFIX = "doorman-live"
# Reserved for documentation. Nothing is pushed while there is a webhook, so nothing is delivered to it.
WEBHOOK_URL = "https://example.com"


@dataclass(frozen=True)
class Repo:
    """A repo that the walk made."""

    hub: Hub
    kind: str
    name: str

    @property
    def page(self):
        return f"/datasets/{self.name}" if self.kind == "dataset" else f"/{self.name}"

    @property
    def api(self):
        return f"/api/{self.kind}s/{self.name}"

    def body(self, **others):
        namespace, name = self.name.split("/")
        return {"type": self.kind, "organization": namespace, "name": name} | others

    def info(self):
        return self.hub.get(self.api)

    def settings(self, **body):
        return self.hub.call("PUT", f"{self.api}/settings", body)

    def gate(self, mode):
        """Sets the gate, and waits until the Hub shows it."""
        response = self.settings(gated=mode)
        shown = until(lambda: self.info().json().get("gated"), lambda shown: shown == mode)
        if shown != mode:
            raise NotWalked(f"the gate is {shown!r} after {response.status} for {mode!r}: {response.message}")

    def listed(self, status, token=None, **query):
        query = f"?{urlencode(query)}" if query else ""
        return self.hub.get(f"{self.api}/user-access-request/{status}{query}", token=token)

    def handle(self, status, token=None, **body):
        return self.hub.post(f"{self.api}/user-access-request/handle", {"status": status} | body, token=token)

    def batch(self, status, requests, **body):
        return self.hub.post(f"{self.api}/user-access-request/batch", {"status": status, "requests": requests} | body)

    def grant(self, **body):
        return self.hub.post(f"{self.api}/user-access-request/grant", body)

    def ask(self, **answers):
        """The account requests access with these answers."""
        return self.hub.post(f"{self.page}/ask-access", answers)

    def withdraw(self):
        """The account withdraws its request."""
        return self.hub.post(f"{self.api}/user-access-request/cancel")

    def commit(self, files=None, deleted=(), parent=None, revision="main", query=""):
        header = {"summary": "A commit of the walk"} | ({"parentCommit": parent} if parent else {})
        lines = [{"key": "header", "value": header}]
        for path, text in (files or {}).items():
            content = base64.b64encode(text.encode()).decode()
            lines.append({"key": "file", "value": {"path": path, "content": content, "encoding": "base64"}})
        lines += [{"key": "deletedFile", "value": {"path": path}} for path in deleted]
        return self.hub.call("POST", f"{self.api}/commit/{revision}{query}", lines, lines=True)

    def file(self, path, revision="main", method="GET", **options):
        return self.hub.call(method, f"{self.page}/resolve/{quote(revision, safe='')}/{path}", **options)


@dataclass
class Walk:
    """The account, what was made for it, and what the facts remember for later ones."""

    hub: Hub
    namespace: str
    suffix: str
    is_public: bool = False
    user: str = ""
    user_id: str = ""
    memory: dict = field(default_factory=dict)
    created: list = field(default_factory=list)

    def __post_init__(self):
        name = f"{self.namespace}/{PREFIX}-{self.suffix}"
        self.model, self.dataset = (Repo(self.hub, kind, name) for kind in ("model", "dataset"))
        self.secret = f"secret-{secrets.token_hex(16)}"
        self.webhook_url = f"{WEBHOOK_URL}/{PREFIX}-{self.suffix}"
        self.title = f"{PREFIX} {self.suffix}"
        # No user has this name.
        self.nobody = f"{PREFIX}-nobody-{self.suffix}"

    @property
    def repos(self):
        return self.model, self.dataset

    def create(self):
        """Makes the repos. If this fails, the clean-up deletes what was made."""
        for repo in self.repos:
            # It may be there also if the response is lost.
            self.created.append(repo)
            response = self.hub.post("/api/repos/create", repo.body(visibility="private"))
            if 400 <= response.status < 500:
                self.created.remove(repo)
            _require(response, 200)

    def entry(self, repo, status):
        """The account's own entry in a list, or None."""
        for item in repo.listed(status).json():
            if item.get("user", {}).get("user") == self.user:
                return item
        return None

    def wait_for_entry(self, repo, status):
        """The account's own entry, as soon as the list has it."""
        entry = until(lambda: self.entry(repo, status), bool)
        if entry is None:
            raise NotWalked(f"the own request is not in the list `{status}`")
        return entry

    def bring(self, repo, status):
        """Brings the account's own request into a state, whatever its state is. None is no request.

        It reads no list, because a list may still show the state before.
        """
        if status is None:
            repo.handle("pending", user=self.user)
            _require(repo.withdraw(), 200, 404)
        elif status == "accepted" or repo.handle(status, user=self.user).status != 200:
            # The state may be the wanted one already, or there may be no request. A 400 says that access is given already.
            _require(repo.grant(user=self.user), 200, 400)
            if status != "accepted":
                _require(repo.handle(status, user=self.user), 200)

    def delete(self):
        """Deletes what the walk made, and returns a line for each thing that could not be deleted."""
        left = []
        self.hub.calls_left += 100
        for kind, delete in (("webhooks", self._delete_webhooks), ("collections", self._delete_collections)):
            try:
                left += delete()
            except Exception as error:
                left.append(f"{kind} with {self.suffix} in their name: {type(error).__name__}: {error}")
        for repo in self.created:
            left += self._delete_each(f"{repo.kind} {self.hub.endpoint}{repo.page}", "/api/repos/delete", repo.body())
        return left

    def _delete_webhooks(self):
        listed = self._list("/api/settings/webhooks")
        ours = [item for item in listed if self.suffix in json.dumps(item)]
        return [line for item in ours for line in self._delete_id("webhook", "/api/settings/webhooks", item["id"])]

    def _delete_collections(self):
        listed = self._list(f"/api/collections?{urlencode({'owner': self.namespace})}")
        ours = [item for item in listed if item.get("title") == self.title]
        return [line for item in ours for line in self._delete_id("collection", "/api/collections", item["slug"])]

    def _list(self, path):
        response = self._insist(lambda: self.hub.get(path))
        if response.status != 200:
            raise OSError(f"GET {path}: {response.status} {response.message}")
        return response.json()

    def _delete_id(self, kind, path, id):
        self.hub.made.append(id)
        return self._delete_each(f"{kind} {id}", f"{path}/{id}")

    def _delete_each(self, what, path, body=None):
        try:
            response = self._insist(lambda: self.hub.call("DELETE", path, body))
        except Exception as error:
            return [f"{what}: {type(error).__name__}: {error}"]
        # A 404 is about something that was never made, or is deleted already.
        return [] if response.status in (200, 204, 404) else [f"{what}: {response.status} {response.message}"]

    @staticmethod
    def _insist(call):
        """Makes a call up to four times, until the Hub answers without a fault of its own."""
        for pause in (1, 3, 9, None):
            try:
                response = call()
                if response.status < 500 or pause is None:
                    return response
            except BROKEN:
                if pause is None:
                    raise
            time.sleep(pause)
        raise AssertionError("unreachable")


def _require(response, *statuses):
    if response.status not in statuses:
        raise NotWalked(f"{response.method} {response.path}: {response.status} {response.message}")

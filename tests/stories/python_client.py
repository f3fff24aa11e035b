"""Calls the Hub at HF_ENDPOINT through huggingface_hub, and fails at the first difference to the real Hub."""

import inspect
import tempfile
from pathlib import Path

import huggingface_hub
from huggingface_hub import HfApi
from huggingface_hub.errors import EntryNotFoundError, HfHubHTTPError, RepositoryNotFoundError, RevisionNotFoundError

api = HfApi()
HAS_REQUEST_IDS = "request_id" in inspect.signature(api.accept_access_request).parameters


def names(requests):
    return sorted(request.username for request in requests)


def refused(status, call, *arguments, code=None, message=None, **options):
    """Asserts that the call fails with this status, error code and message."""
    try:
        call(*arguments, **options)
    except HfHubHTTPError as error:
        assert error.response.status_code == status, error
        assert code is None or error.response.headers.get("X-Error-Code") == code, error.response.headers
        assert message is None or message in str(error), error
        assert error.response.headers["X-Request-Id"]
    else:
        raise AssertionError(f"{call.__name__} {arguments} was not refused")


NO_REQUEST = "No access request found matching your criteria"

assert api.whoami()["name"] == "owner"

for repo, kind in [("acme/model", "model"), ("acme/corpus", "dataset")]:
    of = {"repo_type": kind}
    pending = list(api.list_pending_access_requests(repo, **of))
    assert names(pending) == ["ada", "bob", "eve", "kim"], pending
    assert pending[0].email == "ada@acme.com" and pending[0].fullname and pending[0].timestamp.year >= 2026
    assert pending[0].fields == {"Country": "CH"} and pending[0].status == "pending"

    api.accept_access_request(repo, "ada", **of)
    assert names(api.list_accepted_access_requests(repo, **of)) == ["ada"]
    refused(404, api.accept_access_request, repo, "ada", message=NO_REQUEST, **of)
    refused(404, api.cancel_access_request, repo, "eve", message=NO_REQUEST, **of)
    refused(404, api.accept_access_request, repo, "nobody", message="User not found", **of)
    refused(404, api.accept_access_request, repo, "idle", message=NO_REQUEST, **of)

    api.reject_access_request(repo, "bob", rejection_reason="Not this time.", **of)
    assert names(api.list_rejected_access_requests(repo, **of)) == ["bob"]
    refused(400, api.reject_access_request, repo, "eve", rejection_reason="x" * 201, **of)

    if HAS_REQUEST_IDS:
        eve = next(request for request in pending if request.username == "eve")
        api.accept_access_request(repo, request_id=eve.request_id, **of)
    else:
        api.accept_access_request(repo, "eve", **of)
    api.cancel_access_request(repo, "eve", **of)
    assert names(api.list_pending_access_requests(repo, **of)) == ["eve", "kim"]

    api.grant_access(repo, "guest", **of)
    granted = [r for r in api.list_accepted_access_requests(repo, **of) if r.username == "guest"]
    assert len(granted) == 1 and granted[0].email is None, granted
    refused(400, api.grant_access, repo, "ada", message="That user already has access to the repo", **of)
    refused(404, api.grant_access, repo, "nobody", message="User not found", **of)

refused(400, api.accept_access_request, "acme/open", "ada", code="RepoNotGated")
refused(400, api.grant_access, "acme/open", "guest", code="RepoNotGated")
refused(403, api.accept_access_request, "acme/readonly", "ada", message="You have read access but not the required")
refused(404, list, api.list_pending_access_requests("acme/nowhere"), code="RepoNotFound")
refused(401, list, api.list_pending_access_requests("acme/model", token="hf_wrong"), message="Invalid username or password")

assert api.model_info("acme/model").gated == "manual"
listed = [model.id for model in api.list_models(author="acme", gated=True)]
assert listed == ["acme/model", "acme/readonly"], listed
assert [dataset.id for dataset in api.list_datasets(author="acme", gated=True)] == ["acme/corpus"]
api.update_repo_settings("acme/corpus", gated="auto", repo_type="dataset")
assert api.dataset_info("acme/corpus").gated == "auto"

webhook = api.create_webhook(url="https://old.example/", watched=[{"type": "org", "name": "acme"}], secret="old")
assert webhook.url == "https://old.example/" and webhook.secret is None and not webhook.disabled, webhook
assert [(item.type, item.name) for item in webhook.watched] == [("org", "acme")] and webhook.domains == ["repo", "discussion"]
other = api.create_webhook(url="https://other.example/", watched=webhook.watched, domains=["repo"])
assert other.id != webhook.id and other.domains == ["repo"], other
assert api.list_webhooks() == [webhook, other]
assert api.get_webhook(webhook.id) == webhook

watched = [{"type": "model", "name": "acme/model"}, {"type": "dataset", "name": "acme/corpus"}]
changed = api.update_webhook(webhook.id, url="https://new.example/", watched=watched, domains=["discussion"], secret="new")
assert (changed.id, changed.url) == (webhook.id, "https://new.example/"), changed
assert [(item.type, item.name) for item in changed.watched] == [("model", "acme/model"), ("dataset", "acme/corpus")]
assert api.update_webhook(webhook.id, watched=changed.watched) == changed, "what is left out stays"
assert api.disable_webhook(webhook.id).disabled and api.get_webhook(webhook.id).disabled
assert api.enable_webhook(webhook.id) == changed
refused(400, api.create_webhook, url="https://new.example/", watched=[])
refused(400, api.create_webhook, url="https://new.example/", watched=[{"type": "paper", "name": "acme/paper"}])
refused(401, api.list_webhooks, token="hf_wrong")

api.delete_webhook(other.id)
refused(404, api.get_webhook, other.id)
refused(404, api.delete_webhook, other.id)
assert api.list_webhooks() == [changed]


files = {"repo_id": "acme/doorman", "repo_type": "dataset"}


def upload(text, **options):
    return api.upload_file(path_or_fileobj=text.encode(), path_in_repo="lists/policy.toml", **files, **options)


def download(name="lists/policy.toml", **options):
    with tempfile.TemporaryDirectory() as cache:
        return Path(api.hf_hub_download(filename=name, cache_dir=cache, **files, **options)).read_text()


def raises(error, call, *arguments, **options):
    """Asserts that the call fails with this type of error."""
    try:
        call(*arguments, **options)
    except error:
        return
    raise AssertionError(f"{call.__name__} {arguments} {options} did not fail")


url = api.create_repo(**files, private=True)
assert (url.repo_id, url.repo_type) == ("acme/doorman", "dataset"), url
refused(409, api.create_repo, **files, message="You already created this dataset repo")
assert api.create_repo(**files, exist_ok=True) == url
first = upload("first")
assert first.repo_url == url and len(first.oid) == 40, first
info = api.dataset_info("acme/doorman")
assert info.private and info.sha == first.oid and info.gated is False and info.last_modified, info
assert [file.rfilename for file in info.siblings] == [".gitattributes", "lists/policy.toml"], info.siblings
assert download() == "first"

assert upload("first").oid == first.oid, "the client makes no commit if nothing changed"
second = upload("second")
assert second.oid != first.oid
assert download() == download(revision=second.oid) == "second" and download(revision=first.oid) == "first"
refused(412, upload, "third", parent_commit=first.oid, message="A commit has happened since")
third = upload("third", parent_commit=second.oid)

proposed = upload("proposed", create_pr=True)
assert (proposed.pr_num, proposed.pr_revision) == (1, "refs/pr/1"), proposed
assert download(revision="refs/pr/1") == "proposed" and download() == "third"
assert api.dataset_info("acme/doorman", revision="refs/pr/1").sha == proposed.oid

raises(EntryNotFoundError, download, "missing.toml")
raises(RevisionNotFoundError, download, revision="0" * 40)
refused(404, api.hf_hub_download, "acme/nowhere", "policy.toml", repo_type="dataset", code="RepoNotFound")
refused(401, api.hf_hub_download, "acme/doorman", "lists/policy.toml", repo_type="dataset", token=False)

listed = [(item.path, getattr(item, "size", None)) for item in api.list_repo_tree(**files)]
assert listed == [(".gitattributes", 46), ("lists", None)], listed
assert api.list_repo_files(**files) == [".gitattributes", "lists/policy.toml"]
api.delete_file("lists/policy.toml", **files)
raises(EntryNotFoundError, download)
refused(404, api.delete_file, "lists/policy.toml", **files, code="EntryNotFound")

api.update_repo_settings("acme/doorman", private=False, repo_type="dataset")
upload("public")
assert download() == download(token=False) == "public"

# A regular file has at most 1,000 bytes on this Hub.
with tempfile.TemporaryDirectory() as cache:
    large = api.hf_hub_download("acme/large", "large.txt", repo_type="dataset", cache_dir=cache)
    assert Path(large).read_text() == "x" * 2000

api.delete_repo(**files)
refused(404, api.dataset_info, "acme/doorman", code="RepoNotFound")
raises(RepositoryNotFoundError, api.delete_repo, **files)

print(f"huggingface_hub {huggingface_hub.__version__}: all as on the Hub")

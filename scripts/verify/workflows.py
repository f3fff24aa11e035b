"""Checks the workflows, the Dockerfile and the files of the crates with the tools for them, without GitHub."""

import os

import tools
from checks import expect, ok


def check():
    tools.run("actionlint")
    ok("actionlint, with shellcheck: the workflows have no fault")
    tools.run("zizmor", "--offline", "--no-progress", tools.ROOT)
    ok("zizmor: the workflows have no weakness that it knows")
    tools.run("hadolint", tools.ROOT / "Dockerfile")
    ok("hadolint: the Dockerfile has no fault")
    check_crates()


def check_crates():
    """The crates have the files that they need, and no others. A release also compiles them."""
    for package, folder in {"hub-doorman": "", "doorman": "doorman"}.items():
        files = set(tools.run("cargo", "package", "--list", "--allow-dirty", "--package", package).splitlines())
        tracked = tools.run("git", "ls-files", f"{folder}/src" if folder else "src").splitlines()
        sources = {os.path.relpath(path, folder or ".") for path in tracked}
        generated = {".cargo_vcs_info.json", "Cargo.lock", "Cargo.toml", "Cargo.toml.orig", "LICENSE", "README.md"}
        expect(sources <= files, f"the crate {package} has all {len(sources)} sources", sources - files)
        others = files - sources - generated
        expect(not others, f"the crate {package} has no other files", others)

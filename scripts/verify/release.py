"""Checks the files of a release, which scripts/release.py has built for Linux, before they are published.

To run the programs for arm64, it needs qemu-user-static and libc6-arm64-cross. If buildah is there and it runs as root, it also builds
the image.
"""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

import tools
import wheel
from checks import expect, ok, require
from running import Function, Hub, sample
from template import Stack
from tools import ROOT, TARGET

DIST = TARGET / "dist"
TOOLS = TARGET / "release-tools" / "bin"
# The kernel's emulator of arm64, and the C library that Debian has for it.
ARM64 = ["qemu-aarch64-static", "-L", "/usr/aarch64-linux-gnu"]
# Amazon Linux 2023 has this version of glibc.
GLIBC_OF_LAMBDA = (2, 34)
# The parts of glibc that programs for old versions name.
LIBRARIES = ["libc.so.6", "libdl.so.2", "libm.so.6", "libpthread.so.0"]
ARCHITECTURES = {"x86_64": "x86_64", "arm64": "aarch64"}


def check():
    check_sums()
    with tempfile.TemporaryDirectory() as directory:
        programs = unpack(Path(directory))
        check_programs(programs)
        check_wheels()
        for architecture in ARCHITECTURES:
            check_function(programs[f"bootstrap-{architecture}"], architecture)
            check_archive(programs[f"doorman-{architecture}"], architecture)
        check_image(Path(directory))
    tools.run("cargo", "package", "--workspace", "--exclude", "chrono-tz", "--allow-dirty", "--quiet")
    ok("both crates are packaged, and compile without the rest of the project")


def check_sums():
    lines = (DIST / "SHA256SUMS").read_text().splitlines()
    named = dict(reversed(line.split("  ")) for line in lines)
    files = {file.name: file for file in DIST.iterdir() if file.is_file() and file.name != "SHA256SUMS"}
    require(named.keys() == files.keys(), "SHA256SUMS has a line for each file", named.keys() ^ files.keys())
    wrong = [name for name, file in files.items() if hashlib.sha256(file.read_bytes()).hexdigest() != named[name]]
    expect(not wrong, f"the sums of all {len(files)} files are right", wrong)
    for name, file in sorted(files.items()):
        print(f"  {file.stat().st_size:>9}  {name}")


def unpack(folder):
    """Returns the programs for Linux, from the zips of the function and from the archives. Checks that the archives contain these zips."""
    programs = {}
    for architecture, name in ARCHITECTURES.items():
        package = f"hub-doorman-lambda-{architecture}.zip"
        with zipfile.ZipFile(DIST / package) as archive:
            require(archive.namelist() == ["bootstrap"], f"{package} has the function alone", archive.namelist())
            programs[f"bootstrap-{architecture}"] = write(folder / f"bootstrap-{architecture}", archive.read("bootstrap"))
        [path] = DIST.glob(f"doorman-*-{name}-unknown-linux-gnu.tar.gz")
        with tarfile.open(path) as archive:
            content = {Path(member.name).name: archive.extractfile(member).read() for member in archive}
        expected = {"doorman", "LICENSE", "README.md", *(f"hub-doorman-lambda-{each}.zip" for each in ARCHITECTURES)}
        require(content.keys() == expected, f"{path.name} has all files", content.keys() ^ expected)
        for file, data in content.items():
            is_same = not file.endswith(".zip") or data == (DIST / file).read_bytes()
            require(is_same, f"{path.name} has the same {file}", "another one")
        programs[f"doorman-{architecture}"] = write(folder / f"doorman-{architecture}", content["doorman"])
    return programs


def write(path, content):
    path.write_bytes(content)
    path.chmod(0o755)
    return path


def check_programs(programs):
    """No program contains a path of this machine, or needs a newer C library than its users have."""
    for name, program in programs.items():
        content = program.read_bytes()
        paths = [str(path) for path in (ROOT, TARGET, Path.home()) if f"{path}/".encode() in content]
        require(not paths, f"{name} has no path of this machine", paths)
        newest = max(tuple(map(int, found)) for found in re.findall(rb"GLIBC_(\d+)\.(\d+)", content))
        allowed = GLIBC_OF_LAMBDA if name.startswith("bootstrap") else (2, 17)
        require(newest <= allowed, f"{name} needs glibc {allowed} at most", newest)
        print(f"  {len(content):>9}  {name}, glibc {newest[0]}.{newest[1]}")
    ok("no program has a path of this machine, and the C library of each is old enough")


def check_wheels():
    wheels = sorted(DIST.glob("*.whl"))
    tools.run(TOOLS / "twine", "check", "--strict", *wheels)
    ok(f"twine check: {len(wheels)} wheels")
    tools.run(TOOLS / "check-wheel-contents", *wheels)
    ok(f"check-wheel-contents: {len(wheels)} wheels")
    [own] = [path for path in wheels if "manylinux" in path.name and "x86_64" in path.name]
    wheel.check_wheel(own)
    with zipfile.ZipFile(own) as archive:
        share = [name for name in archive.namelist() if ".data/data/share/hub-doorman/" in name]
    expect(len(share) == len(ARCHITECTURES), "the wheel installs the zips of the function in share/hub-doorman", share)


def check_function(program, architecture):
    """The function decides under AWS's emulator of Lambda. If it is for arm64, qemu runs it."""
    with Hub() as hub, tempfile.TemporaryDirectory() as directory:
        if architecture == "arm64":
            program = write(Path(directory, "bootstrap"), f'#!/bin/sh\nexec {" ".join(ARM64)} "{program}"\n'.encode())
            program.parent.chmod(0o755)
        stack = Stack(**hub.parameters())
        # The wrapper finds qemu by PATH, which Lambda also sets.
        with Function(stack, hub, program=program, PATH=os.environ["PATH"]) as function:
            event = sample("discussion-opened")
            event["headers"]["x-webhook-secret"] = hub.settings["WEBHOOK_SECRET"]
            status, response = function.invoke(event)
        repos = json.loads(response.get("body", "{}")).get("repos", [])
        accepted = [repo["accepted"] for repo in repos]
        what = f"{architecture}: the function of the zip decides, under AWS's emulator"
        expect((status, accepted) == (200, [2]), what, (status, response))


def check_archive(program, architecture):
    command = [*ARM64, program] if architecture == "arm64" else [program]
    with Hub() as hub:
        settings = {name: hub.settings[name] for name in ("HF_ENDPOINT", "HF_TOKEN", "APPROVAL_POLICY")}
        environment = settings | {"HOME": os.devnull, "PATH": os.environ["PATH"]}
        done = subprocess.run([*command, "plan", wheel.REPO], env=environment, capture_output=True, text=True, timeout=120)
        expect("\taccept\t" in done.stdout, f"{architecture}: the program of the archive makes a plan", done)


def check_image(folder):
    if not shutil.which("buildah") or os.geteuid() != 0:
        print("not checked: the image, because this needs buildah and root")
        return
    tools.run(sys.executable, ROOT / "scripts" / "release.py", "image")
    # The distroless base cannot be pulled everywhere, so a base with the C library of this machine takes its place.
    for library in ("lib64/ld-linux-x86-64.so.2", *(f"lib/x86_64-linux-gnu/{name}" for name in LIBRARIES)):
        (folder / "base" / library).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(Path("/", library), folder / "base" / library)
    (folder / "Base").write_text("FROM scratch\nCOPY base /\n")
    buildah = ["buildah", "--storage-driver", "vfs", "--root", folder / "images", "--runroot", folder / "run"]
    build = [*buildah, "build", "--quiet", "--platform", "linux/amd64"]
    tools.run(*build, "--file", folder / "Base", "--tag", "localhost/base", folder)
    on_base = ["--build-arg", "BASE=localhost/base", "--tag", "localhost/doorman"]
    tools.run(*build, *on_base, "--file", ROOT / "Dockerfile", DIST / "image")
    container = tools.run(*buildah, "from", "localhost/doorman").strip()
    seen = tools.run(*buildah, "run", "--isolation", "chroot", container, "--", "doorman", "--version")
    expect(seen.startswith("doorman "), "buildah builds the image, whose program runs without a shell", seen)
    user = tools.run(*buildah, "inspect", "--format", "{{.OCIv1.Config.User}}", container).strip()
    expect(user == "65532:65532", "and as a user without rights", user)

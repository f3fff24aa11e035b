#!/usr/bin/env python3
"""Builds the files of a release into `dist` in cargo's target directory. Built twice from one commit, they are the same bytes.

    scripts/release.py lambda              builds the zips of the function for both architectures: hub-doorman-lambda-ARCH.zip
    scripts/release.py program [TARGET]…   builds the wheel and the archive of the command line, by default for Linux on both
                                           architectures. Both contain the zips of the function, so build the zips first
    scripts/release.py image               unpacks the programs for the image, into dist/image/amd64 and arm64
    scripts/release.py sums                writes SHA256SUMS
    scripts/release.py again               builds everything again, from a clone in another folder, and fails if a byte differs
    scripts/release.py tag TAG URL         fails if TAG does not name the version, or if doorman/Cargo.toml does not name the URL
    scripts/release.py trial               builds a wheel of the debug build for this machine, without the function

Linux programs are built with zig, for glibc 2.17 and newer. `rustup target add TARGET` is needed first. scripts/verify/release.py
checks the files.
"""

import gzip
import hashlib
import io
import os
import subprocess
import sys
import tarfile
import tempfile
import tomllib
import venv
import zipfile
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TARGET = (ROOT / os.environ.get("CARGO_TARGET_DIR", "target")).resolve()
DIST = TARGET / "dist"
TOOLS = TARGET / "release-tools"
MATURIN = ["maturin==1.16.0", "wheel==0.48.0"]
COMPILERS = ["cargo-lambda==1.9.2", "ziglang==0.17.1"]
CHECKS = ["check-wheel-contents==0.6.3", "twine==7.0.0"]

VERSION = tomllib.loads((ROOT / "Cargo.toml").read_text())["workspace"]["package"]["version"]
ARCHITECTURES = {"x86_64": "x86_64-unknown-linux-gnu", "arm64": "aarch64-unknown-linux-gnu"}


def main(command="", *targets):
    # The modes of files are part of a wheel.
    os.umask(0o022)
    DIST.mkdir(parents=True, exist_ok=True)
    if command == "lambda":
        prepare_release()
        for architecture in ARCHITECTURES:
            build_function(architecture)
    elif command == "program":
        prepare_release()
        for target in targets or ARCHITECTURES.values():
            build_program(target)
    elif command == "image":
        unpack_programs()
    elif command == "sums":
        write_sums()
    elif command == "again":
        build_again()
    elif command == "tag":
        check_tag(*targets)
    elif command == "trial":
        build_trial()
    else:
        sys.exit(__doc__)


def prepare_release():
    install_tools(*MATURIN, *COMPILERS, *CHECKS)
    # So that a build on another machine has the same bytes: no path of this machine, and the time of the commit in all files.
    sources = Path(os.environ.get("CARGO_HOME", Path.home() / ".cargo"), "registry", "src")
    prefixes = {ROOT: "/hub-doorman", sources: "/crates"}
    flags = [f"--remap-path-prefix={prefix}={name}" for prefix, name in prefixes.items()]
    time = run("git", "log", "-1", "--format=%ct").strip()
    os.environ |= {"CARGO_ENCODED_RUSTFLAGS": "\x1f".join(flags), "SOURCE_DATE_EPOCH": time}


def install_tools(*packages):
    scripts = TOOLS / ("Scripts" if sys.platform == "win32" else "bin")
    if not (TOOLS / "pyvenv.cfg").exists():
        venv.create(TOOLS, with_pip=True)
    run(scripts / "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *packages)
    os.environ |= {"PATH": f"{scripts}{os.pathsep}{os.environ['PATH']}", "CARGO_TARGET_DIR": str(TARGET)}


def build_function(architecture):
    run("cargo", "lambda", "build", "--release", "--locked", "--bin", "hub-doorman", "--target", ARCHITECTURES[architecture])
    bootstrap = TARGET / "lambda" / "hub-doorman" / "bootstrap"
    # An entry without a time gets the earliest one of the format, in 1980, so it is the same in each build.
    entry = zipfile.ZipInfo("bootstrap")
    # The mode of an executable file on Unix.
    entry.external_attr, entry.create_system = 0o100755 << 16, 3
    with zipfile.ZipFile(zip_path(architecture), "w") as archive:
        archive.writestr(entry, bootstrap.read_bytes(), zipfile.ZIP_DEFLATED, compresslevel=9)
    report(zip_path(architecture))


def zip_path(architecture):
    return DIST / f"hub-doorman-lambda-{architecture}.zip"


def build_program(target):
    zips = [zip_path(architecture) for architecture in ARCHITECTURES]
    on_linux = ["--zig", "--compatibility", "manylinux_2_17"] if "linux" in target else []
    with built_wheel("--release", "--target", target, *on_linux) as wheel:
        [data] = wheel.glob("*.data")
        # The installer puts this folder beside `bin`, where `doorman deploy` looks for it.
        share = data / "data" / "share" / "hub-doorman"
        share.mkdir(parents=True)
        for file in zips:
            (share / file.name).write_bytes(file.read_bytes())
        pack(wheel, DIST)
        [program] = (data / "scripts").iterdir()
        build_archive(target, [program, ROOT / "LICENSE", ROOT / "doorman" / "README.md", *zips])


def build_trial():
    install_tools(*MATURIN)
    with built_wheel("--profile", "dev", "--strip", "--compatibility", "linux") as wheel:
        pack(wheel, DIST / "trial")


@contextmanager
def built_wheel(*options):
    """Yields a folder with the content of the wheel that maturin builds, and the script `hub-doorman`, which maturin cannot add."""
    with tempfile.TemporaryDirectory() as directory:
        built = Path(directory, "built")
        run("maturin", "build", "--quiet", *options, "--out", built)
        run("wheel", "unpack", "--dest", directory, *built.iterdir())
        [wheel] = Path(directory).glob("hub_doorman-*")
        [information] = wheel.glob("*.dist-info")
        (information / "entry_points.txt").write_text("[console_scripts]\nhub-doorman = hub_doorman.__main__:main\n")
        yield wheel


def pack(wheel, folder):
    folder.mkdir(exist_ok=True)
    run("wheel", "pack", "--dest-dir", folder, wheel)


def archive_path(target):
    return DIST / f"doorman-{VERSION}-{target}.tar.gz"


def build_archive(target, files):
    name = archive_path(target).name.removesuffix(".tar.gz")
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for file in sorted(files, key=lambda file: file.name):
            entry = tarfile.TarInfo(f"{name}/{file.name}")
            entry.size, entry.mtime = file.stat().st_size, int(os.environ["SOURCE_DATE_EPOCH"])
            entry.mode = 0o755 if file.stem == "doorman" else 0o644
            archive.addfile(entry, io.BytesIO(file.read_bytes()))
    archive_path(target).write_bytes(gzip.compress(content.getvalue(), mtime=0))
    report(archive_path(target))


def unpack_programs():
    for architecture, target in {"amd64": "x86_64-unknown-linux-gnu", "arm64": "aarch64-unknown-linux-gnu"}.items():
        folder = DIST / "image" / architecture
        folder.mkdir(parents=True, exist_ok=True)
        with tarfile.open(archive_path(target)) as archive:
            program = archive.extractfile(f"{archive_path(target).name.removesuffix('.tar.gz')}/doorman").read()
        (folder / "doorman").write_bytes(program)
        (folder / "doorman").chmod(0o755)


def build_again():
    if run("git", "status", "--porcelain").strip():
        sys.exit("some changes are not committed, so the clone would not have them: commit them first")
    with tempfile.TemporaryDirectory() as directory:
        clone = Path(directory, "clone")
        run("git", "clone", "--quiet", ROOT, clone)
        os.environ["CARGO_TARGET_DIR"] = str(clone.parent / "target")
        for command in ("lambda", "program", "sums"):
            run(sys.executable, clone / "scripts" / "release.py", command)
        sums = [(folder / "SHA256SUMS").read_text() for folder in (DIST, clone.parent / "target" / "dist")]
    if sums[0] != sums[1]:
        sys.exit(f"not ok: the second build differs from the first:\n{sums[0]}\n{sums[1]}")
    print("ok: the second build has the same bytes")


def check_tag(tag, url):
    if tag != f"v{VERSION}":
        sys.exit(f"the tag is {tag}, but the version in Cargo.toml is {VERSION}: set the version, and tag that commit v{VERSION}")
    named = tomllib.loads((ROOT / "doorman" / "Cargo.toml").read_text())["package"].get("repository")
    if named != url:
        sys.exit(f"`repository` in doorman/Cargo.toml is {named}, where `cargo binstall` would not find the archives: set it to {url}")


def write_sums():
    files = sorted(file for file in DIST.iterdir() if file.is_file() and file.name != "SHA256SUMS")
    lines = [f"{hashlib.sha256(file.read_bytes()).hexdigest()}  {file.name}\n" for file in files]
    (DIST / "SHA256SUMS").write_bytes("".join(lines).encode())


def report(path):
    print(f"{path.name}: {path.stat().st_size} bytes", flush=True)


def run(*command):
    return subprocess.run([str(word) for word in command], cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout


main(*sys.argv[1:])

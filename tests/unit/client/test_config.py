"""Where settings come from, and that a token stays with its server."""

import stat
from pathlib import Path

import pytest

from berth import config
from berth.errors import InvalidInput


def write_contexts() -> None:
    config.save_context("prod", {"server": "https://berth.example.org", "token": "berth_prod", "project": "vision"})
    config.save_context("home", {"server": "http://localhost:8800", "token": "berth_home", "project": "sandbox"})


def test_nothing_is_needed() -> None:
    found = config.resolve(environ={})
    assert (found.server.value, found.server.origin) == ("http://localhost:8800", "default")
    assert (found.token, found.project, found.context) == (None, None, None)


def test_flags_then_environment_then_folder_then_context() -> None:
    write_contexts()
    environ: dict[str, str] = {"XDG_CONFIG_HOME": str(config.config_path().parents[1])}
    found = config.resolve(environ=environ)
    assert found.context is not None
    assert found.token is not None
    assert (found.context.value, found.server.value, found.token.value) == (
        "home",
        "http://localhost:8800",
        "berth_home",
    )
    Path(".berth.toml").write_text('project = "nlp"\ncontext = "prod"\n')
    found = config.resolve(environ=environ)
    assert found.project == config.Setting("nlp", "./.berth.toml")
    assert found.server.value == "https://berth.example.org"
    environ |= {"BERTH_PROJECT": "speech"}
    assert config.resolve(environ=environ).project == config.Setting("speech", "BERTH_PROJECT")
    assert config.resolve(project="audio", environ=environ).project == config.Setting("audio", "--project")
    assert config.resolve(context="home", environ=environ).server.value == "http://localhost:8800"


def test_a_token_is_not_sent_to_another_server() -> None:
    write_contexts()
    assert config.resolve(server="http://evil.example").token is None
    token = config.resolve(server="https://berth.example.org/").token
    assert token is not None
    assert token.value == "berth_prod"
    Path(".berth.toml").write_text('server = "http://evil.example"\n')
    found = config.resolve()
    assert (found.server.value, found.token) == ("http://evil.example", None)


def test_a_folder_cannot_ask_for_the_token_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BERTH_TOKEN", "berth_ci")
    Path(".berth.toml").write_text('server = "http://evil.example"\n')
    with pytest.raises(InvalidInput) as caught:
        config.resolve()
    assert caught.value.code == "UNTRUSTED_SERVER"
    monkeypatch.setenv("BERTH_SERVER", "http://good.example")
    assert config.resolve().server.value == "http://good.example"


def test_a_job_finds_its_own_server() -> None:
    found = config.resolve(environ={"BERTH_RUN_ID": "r-1", "BERTH_URL": "http://node:8800", "BERTH_TOKEN": "berth_run"})
    assert (found.server.value, found.token and found.token.value) == ("http://node:8800", "berth_run")


def test_the_file_is_the_owners_only_and_reads_back() -> None:
    odd = 'a "quoted" \\ name\n\x7f'
    path = config.save_context(odd, {"server": "http://localhost:1", "token": "berth_x", "project": None})
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert config.contexts() == ({odd: {"server": "http://localhost:1", "token": "berth_x"}}, odd)
    config.save_context(odd, {"token": None})
    assert "token" not in config.contexts()[0][odd]


@pytest.mark.parametrize("text", ["not toml", "contexts = 1", 'current = "gone"', "current = 3\n[contexts.a]\n"])
def test_a_broken_file_is_named(text: str) -> None:
    path = config.config_path()
    path.parent.mkdir(parents=True)
    path.write_text(text)
    with pytest.raises(InvalidInput) as caught:
        config.resolve()
    assert str(path) in caught.value.detail

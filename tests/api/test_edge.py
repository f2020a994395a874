"""What every request meets before a route, and what is answered when nothing fits."""

import pytest

from tests.api.conftest import World


def test_unknown_path_is_a_problem(world: World) -> None:
    answer = world.as_("nobody").get("/nowhere")
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["code"] == "NOT_FOUND"
    assert answer.json()["trace_id"] == answer.headers["x-request-id"]


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "localhost.evil.example",
        "evil.example:8800",
        "",
        "localhost:8800@evil.example",
        "localhost:evil.example",
        "localhost:",
        ":8800",
        "localhost, evil.example",
    ],
)
def test_unknown_host_is_misdirected(world: World, host: str) -> None:
    answer = world.as_("nobody").get("/session", headers={"host": host})
    assert (answer.status_code, answer.json()["code"]) == (421, "MISDIRECTED")


def test_two_hosts_are_misdirected(world: World) -> None:
    for hosts in (["localhost:8800", "evil.example"], ["evil.example", "localhost:8800"]):
        client = world.as_("nobody")
        del client.headers["host"]
        answer = client.get("/session", headers=[("host", host) for host in hosts])
        assert (answer.status_code, answer.json()["code"]) == (421, "MISDIRECTED")


def test_no_address_is_made_of_what_a_request_says_of_itself(world: World) -> None:
    """Whoever can have a link sent to somebody must not choose where it leads."""
    forged = {"x-forwarded-host": "evil.example", "x-forwarded-proto": "ftp", "forwarded": "host=evil.example"}
    forged |= {"x-host": "evil.example", "x-original-url": "/evil", "origin": "http://localhost:8800"}
    admin = world.as_("admin")
    made = [admin.post("/users/viewer:reset-password", headers=forged).json()["url"]]
    made.append(admin.post("/users", json={"name": "new"}, headers=forged).json()["invitation_url"])
    made.append(world.as_("nobody").post("/terminal-logins", json={}, headers=forged).json()["url"])
    for url in made:
        assert url.startswith("http://localhost:8800/"), url
    page = admin.get("http://localhost:8800/login", headers=forged)
    assert "evil" not in page.text + str(page.headers)


def test_probes(world: World) -> None:
    client = world.as_("nobody")
    assert client.get("http://10.1.2.3/livez").status_code == 200
    assert client.get("http://localhost/readyz").text == "ok\n"
    assert b"berth_http_requests" in client.get("http://localhost/metrics").content


def test_metrics_are_not_for_strangers(world: World) -> None:
    url = "http://localhost/metrics"
    assert world.api.client(address="10.1.2.3").get(url).status_code == 404
    assert world.api.client(world.tokens["viewer"], address="10.1.2.3").get(url).status_code == 404
    assert world.api.client(world.tokens["admin"], address="10.1.2.3").get(url).status_code == 200


@pytest.mark.parametrize("path", ["/livez", "/login", "/api/v1/projects/ours/runs"])
def test_head_is_get_without_its_body(world: World, path: str) -> None:
    client, url = world.as_("viewer"), f"http://localhost:8800{path}"
    got, headed = client.get(url), client.head(url)
    assert (headed.status_code, headed.content) == (200, b"")
    assert headed.headers["content-type"] == got.headers["content-type"]


def test_a_run_reaches_its_own_routes_by_any_name_and_nothing_else(world: World) -> None:
    """Pods reach Berth by an address that the console may not have."""
    client = world.as_("nobody")
    run = {"host": "berth-web.berth.svc:8800", "authorization": "Bearer berth_r_unknown"}
    assert client.get("/runs/r-2345678923/code", headers=run).status_code == 401
    assert client.get("/session", headers=run).status_code == 421
    person = run | {"authorization": "Bearer berth_p_unknown"}
    assert client.get("/runs/r-2345678923/code", headers=person).status_code == 421
    assert client.get("/runs/r-2345678923", headers=run).status_code == 421, "no run asks for that"


@pytest.mark.parametrize("mine", [0, 1])
def test_two_authorizations_are_none_to_the_check_of_the_host(world: World, mine: int) -> None:
    """Signed in is by the first of them: neither order lets a person's token past the check."""
    both = [("authorization", f"Bearer {world.tokens['editor']}")]
    both.insert(mine, ("authorization", "Bearer berth_r_unknown"))
    client = world.as_("nobody")
    answer = client.get("/runs/r-2345678923/metrics", headers=[("host", "evil.example"), *both])
    assert answer.status_code == 421

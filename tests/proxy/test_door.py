"""The proxy as a door: whom it answers, what it takes from clients, and what it passes on of an agent's
answer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

from dtvn.cli.serving import names
from dtvn.proxy import AllowHosts, EventsMiddleware, Forward, LocalJudge
from dtvn.proxy.headers import answered
from tests.proxy.support import GOOD, Agent, Request, Script, answering, listening, proxied, served, sse
from tests.waiting import PATIENCE

pytestmark = pytest.mark.asyncio


async def asked(url: str, *lines: bytes) -> bytes:
    """The whole answer to a request of these lines."""
    reader, writer = await asyncio.open_connection("127.0.0.1", httpx.URL(url).port)
    writer.write(b"\r\n".join([*lines, b"Connection: close", b"", b""]))
    try:
        return await asyncio.wait_for(reader.read(), PATIENCE)
    finally:
        writer.close()


@asynccontextmanager
async def door(script: Script, *names: str) -> AsyncIterator[tuple[str, Agent]]:
    agent = Agent(script)
    async with listening(agent) as address:
        proxy = AllowHosts(EventsMiddleware(Forward(address), LocalJudge()), names)
        async with served(proxy) as url:
            yield url, agent


@pytest.mark.parametrize(
    "host",
    [b"127.0.0.1:8090", b"[::1]:8090", b"192.168.1.7", b"localhost:1", b"LOCALHOST.", b"a.localhost", b"Own"],
)
async def test_addresses_localhost_and_own_names_are_answered(host: bytes) -> None:
    async with door(answering(sse(GOOD)), "own") as (url, agent):
        assert b" 200 " in await asked(url, b"GET /x HTTP/1.1", b"Host: " + host)
    assert len(agent.requests) == 1


@pytest.mark.parametrize(
    "host",
    [
        b"evil.example:8090",
        b"own.evil.example",
        b"localhost.evil.example",
        b"evillocalhost",
        b"127.0.0.1.evil.example",
        b"",
    ],
)
async def test_a_strangers_page_does_not_reach_the_agent(host: bytes) -> None:
    """Its name was resolved to this machine (DNS rebinding)."""
    async with door(answering(sse(GOOD)), "own") as (url, agent):
        answer = await asked(url, b"POST /x HTTP/1.1", b"Host: " + host, b"Content-Length: 0")
    assert answer.startswith(b"HTTP/1.1 421 ")
    assert b"HOST_NOT_ALLOWED" in answer
    assert agent.requests == []


async def test_of_two_hosts_none_counts_whichever_server_passes_them_on() -> None:
    """Most servers refuse such a request by themselves."""
    passed, said = [], []

    async def agent(scope: Any, _receive: Any, _send: Any) -> None:
        passed.append(scope["headers"])

    async def send(message: Any) -> None:
        said.append(message.get("status"))

    async def receive() -> Any:
        return {"type": "http.request"}

    app, own, other = AllowHosts(agent, ["own"]), (b"host", b"own"), (b"host", b"evil.example")
    for headers in ([own, other], [other, own], [own, own]):
        await app({"type": "http", "headers": headers}, receive, send)
    assert (passed, said[::2]) == ([], [421, 421, 421])
    await app({"type": "http", "headers": [own]}, receive, send)
    assert passed == [[own]]


async def test_without_host_nothing_is_answered_unless_all_is() -> None:
    async with door(answering(sse(GOOD))) as (url, agent):
        assert b" 421 " in await asked(url, b"GET / HTTP/1.0")
    assert agent.requests == []
    async with door(answering(sse(GOOD)), "*") as (url, agent):
        assert b" 200 " in await asked(url, b"GET / HTTP/1.0")


@pytest.mark.parametrize("name", ["http://a", "a:80", "", "a b", "a/b"])
async def test_only_names_of_hosts_can_be_allowed(name: str) -> None:
    with pytest.raises(ValueError, match="no name of a host"):
        AllowHosts(Forward("http://127.0.0.1:1"), [name])


@pytest.mark.parametrize(
    ("host", "own"), [("127.0.0.1", []), ("::", []), ("10.0.0.1", []), ("agents.example", ["agents.example"])]
)
async def test_the_name_at_which_it_listens_is_its_own(host: str, own: list[str]) -> None:
    assert names(host) == own


@pytest.mark.parametrize(
    "path",
    [b"/..", b"/a/../b", b"/./a", b"/%2e%2E/a", b"/a%2f..%2fb", b"/..%5ca", b"/..\\a", b"/..;x=1/a", b"/a/."],
)
async def test_a_path_cannot_leave_the_agents(path: bytes) -> None:
    agent = Agent(answering(sse(GOOD)))
    async with listening(agent) as address, served(Forward(address + "/agents/one")) as url:
        answer = await asked(url, b"GET " + path + b" HTTP/1.1", b"Host: a")
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"DOT_SEGMENTS" in answer
    assert agent.requests == []


async def test_dots_that_are_no_segments_pass_below_the_agents_path() -> None:
    agent = Agent(answering(sse(GOOD)))
    async with listening(agent) as address, served(Forward(address + "/agents/one/")) as url:
        await asked(url, b"GET /a..b/...x/.y?z=/../ HTTP/1.1", b"Host: a")
    assert agent.requests[0].line == b"GET /agents/one/a..b/...x/.y?z=/../ HTTP/1.1"


async def test_clients_do_not_say_where_they_come_from() -> None:
    async with proxied(answering(sse(GOOD))) as proxy:
        await proxy.post(
            headers={
                "X-Forwarded-For": "10.0.0.1",
                "X-Forwarded-Proto": "https",
                "X-Forwarded-Host": "own",
                "X-Forwarded-Prefix": "/admin",
                "Forwarded": "for=10.0.0.1",
                "X-Real-IP": "10.0.0.1",
                "X_Forwarded_For": "10.0.0.1",
                "X_User": "root",
                "X-Kept": "2",
            }
        )
    headers = proxy.agent.requests[0].headers
    assert {name: value for name, value in headers.items() if b"forwarded" in name} == {
        b"x-forwarded-for": b"127.0.0.1",
        b"x-forwarded-proto": b"http",
        b"x-forwarded-host": proxy.url.removeprefix("http://").encode(),
    }
    assert {b"x-real-ip", b"x_user"}.isdisjoint(headers)
    assert headers[b"x-kept"] == b"2"


def saying(answer: bytes) -> Script:
    """An agent that answers these bytes and hangs up."""

    async def script(request: Request) -> None:
        await request.body()
        await request.send(answer)

    return script


@pytest.mark.parametrize("status", [b"101 Upgrade", b"600 Odd", b"999 Odd", b"099 Odd", b"000 Odd"])
async def test_an_impossible_status_is_a_bad_gateway(status: bytes) -> None:
    async with proxied(saying(b"HTTP/1.1 " + status + b"\r\nContent-Length: 2\r\n\r\nhi")) as proxy:
        answer = await proxy.post()
    assert answer.status_code == 502
    assert answer.json()["code"] in ("UPSTREAM_BAD_STATUS", "UPSTREAM_BROKE_OFF")


@pytest.mark.parametrize(
    ("head", "body", "length"),
    [
        (b"200 OK\r\nContent-Length: 2", b"hi", "2"),
        # Chunks end the body here, whatever the length says.
        (b"200 OK\r\nContent-Length: 9\r\nTransfer-Encoding: chunked", b"2\r\nhi\r\n0\r\n\r\n", None),
        (b"200 OK\r\nContent-Length: 2\r\nContent-Length: 2", b"hi", "2"),
        (b"200 OK", b"hi", None),
    ],
)
@pytest.mark.parametrize("mode", ["observe", "mark"])
async def test_a_length_is_that_of_the_body(head: bytes, body: bytes, length: str | None, mode: str) -> None:
    async with proxied(saying(b"HTTP/1.1 " + head + b"\r\n\r\n" + body), mode) as proxy:
        answer = await proxy.post()
    assert answer.content == b"hi"
    assert answer.headers.get("content-length") == length


async def test_an_answer_without_a_body_has_no_length() -> None:
    async with proxied(saying(b"HTTP/1.1 204 No Content\r\nContent-Length: 7\r\n\r\n")) as proxy:
        answer = await proxy.post()
    assert (answer.status_code, answer.content) == (204, b"")
    assert "content-length" not in answer.headers


@pytest.mark.parametrize("head", [b"Content-Length: 2\r\nContent-Length: 3", b"Content-Length: two"])
async def test_lengths_that_contradict_each_other_are_a_bad_gateway(head: bytes) -> None:
    async with proxied(saying(b"HTTP/1.1 200 OK\r\n" + head + b"\r\n\r\nhi")) as proxy:
        answer = await proxy.post()
    assert (answer.status_code, answer.json()["code"]) == (502, "UPSTREAM_BROKE_OFF")


@pytest.mark.parametrize("mode", ["mark", "refuse"])
async def test_a_stream_with_a_length_loses_it_where_events_may_be_added(mode: str) -> None:
    body = sse(GOOD)
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: %d\r\n\r\n" % len(body)
    async with proxied(saying(head + body), mode) as proxy:
        answer = await proxy.post()
    assert len(answer.content) >= len(body)
    assert "content-length" not in answer.headers


@pytest.mark.parametrize(
    ("to", "told"),
    [
        ("{agent}/one/agents/", "/agents/"),
        ("{agent}/one/a?b=c", "/a?b=c"),
        ("/one/agents/", "/agents/"),
        ("{agent}/two/", "{agent}/two/"),
        ("{agent}/one//evil.example/", "{agent}/one//evil.example/"),
        ("{agent}/one/\\evil.example/", "{agent}/one/\\evil.example/"),
        ("{agent}/one/a//b\\c", "/a//b\\c"),
        ("//evil.example/one/", "//evil.example/one/"),
        ("https://elsewhere.example/one/", "https://elsewhere.example/one/"),
    ],
)
async def test_a_redirect_to_the_agent_itself_stays_at_the_proxy(to: str, told: str) -> None:
    """Else the client would go on without it."""
    where = ""

    async def script(request: Request) -> None:
        await request.body()
        await request.start(b"text/plain", b"Location: " + where.encode(), status=b"307 Temporary Redirect")
        await request.finish()

    agent = Agent(script)
    async with listening(agent) as address, served(Forward(address + "/one")) as url:
        where = to.format(agent=address)
        async with httpx.AsyncClient(trust_env=False) as client:
            answer = await client.post(url + "/agents")
        assert answer.headers["location"] == told.format(agent=address)


@pytest.mark.parametrize(
    "rest", [b"/evil.example", b"\\evil.example", b"\t/evil.example", b"\t\\evil.example"]
)
async def test_no_redirect_becomes_one_to_another_host(rest: bytes) -> None:
    """Browsers leave out tabs, and take a backslash for a slash."""
    agent = httpx.URL("http://127.0.0.1:9000/one")
    location = [(b"location", b"http://127.0.0.1:9000/one/" + rest)]
    assert answered(307, location, agent) == location

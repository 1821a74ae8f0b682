"""The webhook against senders that mean harm: what is too large, too often, too slow, too many or packed."""

import asyncio
import contextlib
import gzip
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from bokgu.api.quotas import Quota
from bokgu.runtime.alerts import STRANGERS, AlertDoor
from bokgu.runtime.webhook_server import ServerLimits
from tests.world.world import free_port

TOKEN = "correct horse battery staple"
NOTHING = json.dumps({"version": "4", "alerts": []}).encode()
PATIENCE = 0.5
LIMITS = ServerLimits(max_body=2048, patience=PATIENCE, max_connections=4)

Ask = Callable[[int], Awaitable[None]]


def with_door(folder: Path, ask: Ask, *, rate: Quota = Quota(1, 100)) -> None:  # noqa: B008 - it is frozen
    """Ask a door that knows nobody: notifications without alerts are all that it can store."""
    (folder / "token").write_text(f"{TOKEN}\n")

    async def run() -> None:
        nobody: Any = None
        port = free_port()
        door = AlertDoor(
            nobody, nobody, host="127.0.0.1", port=port, token_file=folder / "token", limits=LIMITS, rate=rate
        )
        await door.start()
        try:
            async with asyncio.timeout(20):
                await ask(port)
        finally:
            await door.stop()

    asyncio.run(run())


def request(body: bytes = NOTHING, token: str = TOKEN, **headers: str) -> bytes:
    named = {"Host": "localhost", "Authorization": f"Bearer {token}", "Content-Length": str(len(body))}
    named |= {name.replace("_", "-"): value for name, value in headers.items()}
    lines = ["POST /alerts HTTP/1.1", *(f"{name}: {value}" for name, value in named.items()), "", ""]
    return "\r\n".join(lines).encode() + body


async def send(port: int, data: bytes) -> tuple[int, dict[str, str]]:
    """Status and headers of the answer."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(data)
        head = (await reader.readuntil(b"\r\n\r\n")).decode().splitlines()
    finally:
        writer.close()
        await writer.wait_closed()
    return int(head[0].split()[1]), {n.lower(): v for n, _, v in (line.partition(": ") for line in head[1:] if line)}


async def until_closed(port: int, data: bytes) -> float:
    """Seconds until the door ends a connection on which only that is sent."""
    loop = asyncio.get_running_loop()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    begun = loop.time()
    writer.write(data)
    await reader.read()
    writer.close()
    await writer.wait_closed()
    return loop.time() - begun


def test_a_body_is_as_large_as_the_limit_and_no_larger(tmp_path: Path) -> None:
    async def ask(port: int) -> None:
        assert (await send(port, request(NOTHING.ljust(2048))))[0] == 200
        assert (await send(port, request(NOTHING.ljust(2049))))[0] == 413
        # Not a byte of it has come, and it is refused all the same.
        assert (await send(port, request(b"", Content_Length=str(10**12))))[0] == 413
        chunks = b"400\r\n" + b" " * 1024 + b"\r\n"
        head = request(b"", Transfer_Encoding="chunked").replace(b"Content-Length: 0\r\n", b"")
        assert (await send(port, head + 3 * chunks))[0] == 413

    with_door(tmp_path, ask)


def test_a_packed_body_is_not_unpacked(tmp_path: Path) -> None:
    bomb = gzip.compress(b" " * 1_000_000)
    assert len(bomb) < 2048

    async def ask(port: int) -> None:
        assert (await send(port, request(bomb, Content_Encoding="gzip")))[0] == 415
        assert (await send(port, request(Content_Encoding="identity")))[0] == 200

    with_door(tmp_path, ask)


@pytest.mark.parametrize("body", [b"[" * 2000, b'{"a":' * 400, b"[" + b"9" * 2000, b"", b"\xff"])
def test_a_body_that_is_none_gets_an_answer(tmp_path: Path, body: bytes) -> None:
    async def ask(port: int) -> None:
        assert (await send(port, request(body)))[0] == 400
        assert (await send(port, request()))[0] == 200

    with_door(tmp_path, ask)


def test_who_has_the_token_and_comes_too_often_is_told_to_come_again(tmp_path: Path) -> None:
    """With 503: at 429 Alertmanager would give up, and the alert be lost."""

    async def ask(port: int) -> None:
        assert [(await send(port, request()))[0] for _ in range(3)] == [200, 200, 503]
        status, headers = await send(port, request())
        assert (status, headers["retry-after"]) == (503, "10")

    with_door(tmp_path, ask, rate=Quota(0.1, 2))


def test_guessing_tokens_ends_soon_and_keeps_nobody_out(tmp_path: Path) -> None:
    async def ask(port: int) -> None:
        guesses = [await send(port, request(token=f"guess {n}")) for n in range(int(STRANGERS.burst) + 1)]
        assert [status for status, _ in guesses] == [401] * int(STRANGERS.burst) + [429]
        assert 1 <= int(guesses[-1][1]["retry-after"]) <= 1 / STRANGERS.rate
        assert guesses[0][1]["connection"] == guesses[-1][1]["connection"] == "close"
        assert (await send(port, request()))[0] == 200

    with_door(tmp_path, ask)


@pytest.mark.parametrize("token", ["", TOKEN[:-1], f"{TOKEN} ", f"{TOKEN}x", TOKEN.upper()])
def test_only_the_whole_token_counts(tmp_path: Path, token: str) -> None:
    async def ask(port: int) -> None:
        # Spaces around a header's value are none of it (RFC 9110, section 5.5).
        assert (await send(port, request(token=token)))[0] == (200 if token.strip() == TOKEN else 401)

    with_door(tmp_path, ask)


def test_headers_and_silence_may_take_so_long(tmp_path: Path) -> None:
    async def trickle(port: int) -> None:
        loop = asyncio.get_running_loop()
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        begun = loop.time()
        writer.write(b"POST /alerts HTTP/1.1\r\nHost: localhost\r\nX-Long: ")
        end = asyncio.ensure_future(reader.read())
        while not end.done() and loop.time() - begun < 10:
            writer.write(b"a")
            await asyncio.wait([end], timeout=PATIENCE / 5)
        writer.transport.abort()
        assert PATIENCE * 0.9 < loop.time() - begun < 10
        # What was on its way when the door closed may come back as a reset.
        with contextlib.suppress(ConnectionError):
            assert await end == b""

    async def ask(port: int) -> None:
        assert PATIENCE * 0.9 < await until_closed(port, b"") < 10
        assert PATIENCE * 0.9 < await until_closed(port, request()) < 10

    with_door(tmp_path, ask)
    with_door(tmp_path, trickle)


def test_what_is_no_http_fills_no_log(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def ask(port: int) -> None:
        assert (await send(port, b"POST /alerts HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"))[0] == 400
        assert (await send(port, b"\x16\x03\x01 a client that speaks TLS\r\n\r\n"))[0] == 400

    with_door(tmp_path, ask)
    assert caplog.records == []


def test_a_body_may_take_so_long(tmp_path: Path) -> None:
    async def ask(port: int) -> None:
        async with asyncio.timeout(10):
            assert (await send(port, request(Content_Length="100")))[0] == 408

    with_door(tmp_path, ask)


def test_who_comes_when_all_places_are_taken_is_turned_away_until_one_is_free(tmp_path: Path) -> None:
    async def ask(port: int) -> None:
        guests = [await asyncio.open_connection("127.0.0.1", port) for _ in range(LIMITS.max_connections)]
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await send(port, request())
        for _, writer in guests:
            writer.close()
            await writer.wait_closed()
        await asyncio.sleep(0.1)
        assert (await send(port, request()))[0] == 200

    with_door(tmp_path, ask)


def test_s12_a_body_that_is_not_what_its_headers_say_is_the_senders_fault(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def ask(port: int) -> None:
        head = request(b"", Transfer_Encoding="chunked").replace(b"Content-Length: 0\r\n", b"")
        for body in (b"nonsense\r\n", b"ffffffffffffffffffffff\r\nabc", b"2\r\n{}no line\r\n"):
            assert (await send(port, head + body))[0] == 400
        for begun, later in ((request(Content_Length="100"), b""), (head + b"2\r\n{}", b"no line\r\n")):
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(begun)
            await asyncio.sleep(PATIENCE / 5)
            writer.write(later)
            await asyncio.sleep(PATIENCE / 5)
            writer.close()
            await writer.wait_closed()
            await asyncio.sleep(PATIENCE / 5)

    with_door(tmp_path, ask)
    assert [record for record in caplog.records if record.exc_info] == []

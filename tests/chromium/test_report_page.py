"""The page that `bokgu report` writes, in a real browser."""

from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from bokgu.commands.report_html import format_html
from bokgu.commands.report_story import build_report
from tests.chromium import Browser
from tests.unit.report_facts import measured, present
from tests.unit.test_report_formats import EVIL, filled

pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module")
def browser() -> Browser:
    return Browser()


@pytest.fixture
def page(tmp_path: Path) -> Path:
    path = tmp_path / "report.html"
    path.write_text(format_html(build_report(present(), measured())))
    return path


@pytest.fixture
def elsewhere() -> Iterator[str]:
    """A server that a page could load from."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(404)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    thread = Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    thread.join()
    server.server_close()


def test_it_opens_without_errors_and_loads_nothing(browser: Browser, page: Path) -> None:
    seen = browser.visit(page)
    assert (seen.console, seen.asked) == ((), ())
    assert "<title>shop/incident-1: Resolved (Recovered)</title>" in seen.dom
    assert seen.dom.count("<svg") == 4
    assert "What happened" in seen.dom


def test_what_an_incident_quotes_does_not_run(browser: Browser, tmp_path: Path, elsewhere: str) -> None:
    path = tmp_path / "evil.html"
    evil = f"{EVIL}<script>document.title = 'mine'</script><img src='{elsewhere}'>"
    path.write_text(format_html(filled(evil)))
    seen = browser.visit(path)
    assert (seen.console, seen.asked) == ((), ())
    assert "<title>mine</title>" not in seen.dom


def test_a_page_that_does_such_things_is_seen_to(browser: Browser, tmp_path: Path, elsewhere: str) -> None:
    """So that the tests above can fail."""
    path = tmp_path / "loads.html"
    path.write_text(f"<script>console.error('trouble')</script><img src='{elsewhere}picture.png'>")
    seen = browser.visit(path)
    assert any("trouble" in said for said in seen.console)
    assert any(url.startswith(elsewhere) for url in seen.asked)


def test_the_page_itself_forbids_what_would_slip_through(browser: Browser, page: Path, elsewhere: str) -> None:
    text = page.read_text().replace("<main>", f"<main><script>document.title = 'mine'</script><img src='{elsewhere}'>")
    page.write_text(text)
    seen = browser.visit(page)
    assert "<title>mine</title>" not in seen.dom
    assert seen.asked == ()
    assert any("Content Security Policy" in said for said in seen.console)


def test_it_is_light_or_dark_as_its_reader_prefers_and_prints(browser: Browser, page: Path, tmp_path: Path) -> None:
    light = browser.picture(page, tmp_path / "light.png")
    dark = browser.picture(page, tmp_path / "dark.png", dark=True)
    assert light.startswith(b"\x89PNG")
    assert min(len(light), len(dark)) > 20_000
    assert light != dark
    assert browser.print(page, tmp_path / "paper.pdf").startswith(b"%PDF")

"""`marketfeed doctor`: each planted fault is named, with what to do; nothing planted, nothing failed."""

import contextlib
import socket
import ssl
import threading
import time
from email.utils import formatdate
from types import SimpleNamespace

import pytest

from marketfeed import budgets
from marketfeed.cli import _doctor, _doctor_run, _doctor_venue, _exit
from marketfeed.cli._doctor import Finding, machine, shown
from marketfeed.cli._doctor_venue import Ahead

from ..test_transport import certificate
from .helpers import WAIT_S, Terminal, call, rows, start

NOWHERE = ("--ws", "ws://127.0.0.1:1", "--rest", "http://127.0.0.1:1")


def found(text: str) -> dict[tuple[str, str], dict]:
    return {(row["about"], row["check"]): row for row in rows(text)}


def test_with_simulated_venues_nothing_fails():
    result = call("doctor", "--sim", "--venue", "binance", "--venue", "coinbase")
    assert result.exit_code == _exit.OK, result.output
    assert "\x1b" not in result.stdout
    assert result.stdout.splitlines()[0] == "this machine"
    for venue in ("binance", "coinbase"):
        assert f"{venue} (SIMULATED" in result.stdout
    assert result.stdout.splitlines()[-1].startswith("0 failures")


def test_each_finding_is_a_line_of_json():
    result = call("doctor", "--sim", "--json", "--venue", "coinbase", "--venue", "mempool", "--books", "500")
    assert result.exit_code == _exit.OK
    checks = found(result.stdout)
    for about in ("coinbase", "mempool"):
        for check in ("tcp", "websocket", "rest"):
            assert checks[about, check]["status"] == "ok"
            assert checks[about, check]["ms"] >= 0
    assert checks["coinbase", "budget"]["text"].startswith("500 books from nothing: ")
    assert ("mempool", "budget") not in checks
    assert checks["machine", "time"]["status"] == "ok"
    assert checks["machine", "python"]["status"] in {"ok", "warn"}
    assert all(not row["advice"] for row in rows(result.stdout) if row["status"] == "ok")


def test_T10_without_a_network_it_says_so_and_ends(monkeypatch):
    async def unresolved(self, *args, **named):
        raise socket.gaierror(-3, "Temporary failure in name resolution")

    monkeypatch.setattr("uvloop.Loop.getaddrinfo", unresolved)
    monkeypatch.setattr(_doctor_venue, "proxy_for", lambda url, proxy: None)
    result = call("doctor", "--venue", "coinbase")
    assert result.exit_code == _exit.UNREACHED
    assert "fail  name          cannot resolve host advanced-trade-ws.coinbase.com" in result.stdout
    assert "fail  name          cannot resolve host api.coinbase.com" in result.stdout
    assert result.stdout.count("-> look at the resolver") == 1
    assert "websocket" not in result.stdout


def test_where_nothing_listens_that_is_said_once():
    result = call("doctor", "--venue", "kraken", *NOWHERE)
    assert result.exit_code == _exit.UNREACHED
    assert "fail  tcp           127.0.0.1:1 refused the connection" in result.stdout
    assert result.stdout.splitlines()[-1].startswith("1 failure, ")


def test_a_venue_of_which_one_side_answers_is_reached_and_a_failure():
    with http_server(b"HTTP/1.1 200 OK\r\nDate: %s\r\nContent-Length: 2\r\n\r\n{}") as port:
        ends = f"coinbase=ws://127.0.0.1:1,http://127.0.0.1:{port}"
        result = call("doctor", "--venue", "coinbase", "--json", "--endpoint", ends)
    assert result.exit_code == _exit.ERROR
    told = [(row["check"], row["status"]) for row in rows(result.stdout) if row["about"] == "coinbase"]
    assert told == [("tcp", "fail"), ("tcp", "ok"), ("rest", "ok"), ("budget", "ok")]


@pytest.mark.parametrize(
    ("status", "words", "advice"),
    [
        ("403 Forbidden", "HTTP 403: forbidden", "choose another endpoint"),
        ("451 Legal", "HTTP 451: not available in this region", "choose another endpoint"),
        ("429 Slow", "HTTP 429: too many requests", "wait"),
        ("401 No", "HTTP 401: it wants a valid key", "password"),
        ("503 Down", "HTTP 503: it is in trouble", "try again"),
    ],
)
def test_T14_a_venue_that_refuses_is_told_with_what_to_do(status, words, advice):
    with http_server(f"HTTP/1.1 {status}\r\nDate: %s\r\nContent-Length: 0\r\n\r\n".encode()) as port:
        ends = f"coinbase=ws://127.0.0.1:{port},http://127.0.0.1:{port}"
        result = call("doctor", "--venue", "coinbase", "--json", "--endpoint", ends)
    assert result.exit_code == _exit.ERROR
    told = found(result.stdout)
    banned = status[:3] in {"403", "429"}
    assert told["coinbase", "websocket"]["status"] == "fail"
    assert (("coinbase", "rest") in told, ("coinbase", "ban") in told) == (not banned, banned)
    asked = told["coinbase", "websocket" if banned else "rest"]
    assert (asked["status"], words in asked["text"], advice in asked["advice"]) == ("fail", True, True)


def test_T14_a_venue_that_sent_this_address_away_is_not_knocked_at_by_the_next_run_either(monkeypatch, tmp_path):
    monkeypatch.setenv("MARKETFEED_STATE", str(tmp_path))
    with http_server(b"HTTP/1.1 429 Slow\r\nDate: %s\r\nRetry-After: 90\r\nContent-Length: 0\r\n\r\n") as port:
        ends = f"coinbase=ws://127.0.0.1:{port},http://127.0.0.1:{port}"
        asked = []
        for _ in range(2):
            result = call("doctor", "--venue", "coinbase", "--json", "--endpoint", ends)
            assert result.exit_code == _exit.ERROR
            asked.append({check for about, check in found(result.stdout) if about == "coinbase"})
            budgets._known.clear()
    assert asked == [{"tcp", "websocket", "ban", "budget"}, {"ban", "budget"}]
    ban = found(result.stdout)["coinbase", "ban"]
    assert ban["status"] == "fail"
    assert ban["text"].startswith("it sent this address away: neither connected to nor asked for 1 min ")
    listed = call("symbols", "coinbase", "--endpoint", ends)
    assert listed.exit_code == _exit.UNREACHED, listed.output
    assert "sent this address away before, and is left alone for" in listed.output


@pytest.mark.parametrize(("off_s", "status"), [(0, "ok"), (-3, "warn"), (100, "fail")])
def test_a_wrong_clock_is_told_by_those_of_the_venues(off_s, status):
    answer = b"HTTP/1.1 404 No\r\nDate: %s\r\nContent-Length: 0\r\n\r\n"
    with http_server(answer, off_s) as port:
        ends = f"coinbase=ws://127.0.0.1:{port},http://127.0.0.1:{port}"
        result = call("doctor", "--venue", "coinbase", "--json", "--endpoint", ends)
    clock = found(result.stdout)["machine", "time"]
    assert clock["status"] == status, clock
    assert ("ahead" in clock["text"], "behind" in clock["text"]) == (off_s < 0, off_s > 0)
    assert (clock["advice"] == "") == (status == "ok")


@pytest.mark.parametrize("date", ["", "\x1b[31m", "yesterday", "Sat, 99 Nov 9999 99:99:99 GMT", "x" * 10_000])
def test_a_date_that_is_none_says_nothing(date):
    assert _doctor_venue._ahead(date, 1.0, 2.0) is None


def test_clocks_of_venues_that_contradict_each_other_do_not_outvote_the_middle():
    said = [Ahead(-0.6, 0.5), Ahead(-0.5, 0.6), Ahead(70.0, 71.1)]
    (finding,) = _doctor_run._clock(said)
    assert finding.status == "ok"
    assert "3 venues" in finding.text
    assert list(_doctor_run._clock([])) == []


def test_a_clock_that_is_set_meanwhile_is_told():
    (still,), (stepped,) = _doctor_run._step(0.01), _doctor_run._step(-1.5)
    assert (still.status, stepped.status) == ("ok", "warn")
    assert "-1.50 s" in stepped.text


def test_T09_a_certificate_that_is_trusted_is_shown_and_one_that_is_not_refused(monkeypatch, tmp_path):
    key, cert = certificate(tmp_path, "DNS:localhost")
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(cert, key)
    with http_server(b"HTTP/1.1 404 No\r\nDate: %s\r\nContent-Length: 0\r\n\r\n", tls=tls) as port:
        asked = (
            "doctor",
            "--venue",
            "coinbase",
            "--json",
            "--ws",
            f"wss://localhost:{port}",
            "--rest",
            "http://127.0.0.1:1",
        )
        refused = found(call(*asked).stdout)["coinbase", "tls"]
        monkeypatch.setenv("SSL_CERT_FILE", str(cert))
        trusted = found(call(*asked).stdout)["coinbase", "tls"]
    assert (refused["status"], "self-signed" in refused["text"]) == ("fail", True)
    assert "this machine's clock" in refused["advice"]
    assert (trusted["status"], trusted["text"]) == ("warn", "TLSv1.3, certificate of localhost for 2 more days")


@pytest.mark.parametrize(("left_s", "status"), [(90 * 86_400, "ok"), (86_400, "warn")])
async def test_T09_the_certificate_and_how_long_it_lasts(monkeypatch, left_s, status):
    async def secured(host, connected):
        connected.close()
        return "TLSv1.3", time.time() + left_s + 60

    monkeypatch.setattr(_doctor_venue, "_secured", secured)
    with http_server(b"") as port:
        tls = [one async for one in visit(f"wss://localhost:{port}")._way(f"wss://localhost:{port}")][-1]
    assert (tls.check, tls.status) == ("tls", status)
    assert f"for {left_s / 86_400:.0f} more days" in tls.text


async def test_T09_what_does_not_speak_tls_is_told_with_what_to_look_at():
    with http_server(b"HTTP/1.1 400 Bad\r\n\r\n") as port:
        tls = [one async for one in visit(f"wss://localhost:{port}")._way(f"wss://localhost:{port}")][-1]
    assert (tls.check, tls.status) == ("tls", "fail")
    assert "SSL_CERT_FILE" in tls.advice


async def test_T12_behind_a_proxy_names_are_its_business(monkeypatch):
    monkeypatch.setattr(_doctor_venue, "proxy_for", lambda url, proxy: "http://user:secret@proxy.example:3128")
    (way,) = [one async for one in visit("wss://ws.kraken.com")._way("wss://ws.kraken.com/v2")]
    assert (way.status, way.text) == ("note", "ws.kraken.com through the proxy proxy.example")
    assert "NO_PROXY" in visit("wss://ws.kraken.com")._advice("wss://ws.kraken.com", 0)


def test_a_proxy_that_is_none_is_told_and_the_rest_is_looked_at(monkeypatch):
    monkeypatch.setenv("HTTPS_PROXY", "foo")
    monkeypatch.delenv("https_proxy", raising=False)
    result = call("doctor", "--venue", "kraken", "--json")
    assert result.exit_code == _exit.UNREACHED
    told = {(row["about"], row["check"]): row for row in rows(result.stdout)}
    assert told["kraken", "proxy"]["status"] == told["machine", "proxy"]["status"] == "fail"
    assert [row["check"] for row in rows(result.stdout) if row["about"] == "kraken"].count("proxy") == 1
    assert told["kraken", "proxy"]["text"] == "HTTPS_PROXY is not the URL of a proxy: write http://HOST:PORT"
    assert {("kraken", "budget"), ("machine", "steps")} <= told.keys()


def test_what_a_password_is_needed_for_is_told(monkeypatch):
    monkeypatch.delenv("MARKETFEED_BITCOIND_AUTH", raising=False)
    monkeypatch.delenv("MARKETFEED_BITCOIND_COOKIE", raising=False)
    with http_server(b"HTTP/1.1 405 No\r\nDate: %s\r\nContent-Length: 0\r\n\r\n") as port:
        result = call("doctor", "--venue", "bitcoind", "--json", "--rest", f"http://127.0.0.1:{port}")
    assert any("MARKETFEED_BITCOIND_AUTH" in row["text"] for row in rows(result.stdout))
    assert result.exit_code == _exit.OK


def test_G13_proxies_are_named_without_their_passwords(monkeypatch):
    monkeypatch.setenv("HTTPS_PROXY", "http://user:hunter2@proxy.example:3128")
    monkeypatch.setenv("NO_PROXY", "localhost\x1b[31m")
    monkeypatch.setenv("ALL_PROXY", "http://[half")
    lines = "\n".join(line for finding in machine() for line in shown(finding, width=80, colour=False))
    assert "HTTPS_PROXY is proxy.example:3128" in lines
    assert "hunter2" not in lines
    assert "\x1b" not in lines
    assert "ALL_PROXY is no URL" in lines


def test_what_is_slow_or_small_on_this_machine_is_told(monkeypatch):
    monkeypatch.setenv("PYTHONASYNCIODEBUG", "1")
    monkeypatch.setattr(_doctor, "_version", lambda package: "")
    monkeypatch.setattr(_doctor, "pick_transport", lambda: SimpleNamespace(name="websockets"))
    monkeypatch.setattr("resource.getrlimit", lambda which: (64, 4096))
    told = {one.check: one for one in machine()}
    assert told["python"].status == told["loop"].status == told["open files"].status == "warn"
    assert "ulimit -n" in told["open files"].advice
    assert told["transport"].status == "note"
    assert told["extras"].text.startswith("not installed: ")
    assert "metrics" in told["extras"].text
    assert "dev" not in told["extras"].text


def test_extras_are_those_the_package_names():
    told = [one.text for one in machine() if one.check == "extras"]
    assert any("metrics (prometheus-client" in text for text in told)


@pytest.mark.parametrize("width", [20, 40, 59, 60, 80, 200])
def test_lines_fit_the_width_and_lose_nothing(width):
    finding = Finding(about="kraken", check="websocket", status="fail", text="word " * 40, advice="do " * 30, ms=12.0)
    lines = shown(finding, width=width, colour=False)
    assert max(map(len, lines)) < max(width, 42)
    words = " ".join(lines).split()
    assert (words.count("word"), words.count("do"), words.count("12")) == (40, 30, 1)


def test_G12_what_a_venue_says_is_escaped():
    finding = Finding(about="kraken", check="rest", status="fail", text="\x1b[2J\u202e", advice="\x07")
    assert all(" " <= char <= "~" for line in shown(finding, width=80, colour=False) for char in line)


def test_on_a_terminal_it_is_coloured():
    with Terminal("doctor", "--sim", "--venue", "coinbase") as terminal:
        text = terminal.read_until(lambda text: "failures" in text)
    assert "\x1b[32mok   \x1b[0m" in text


def test_a_reader_that_has_gone_is_no_error():
    process = start("doctor", "--sim", "--venue", "coinbase")
    process.stdout.close()
    with process.stderr as told:
        assert process.wait(WAIT_S) == _exit.OK
        assert told.read() == b""


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["--venue", "krakn"], "did you mean kraken?"),
        (["--venue", "monerod", "--sim"], "no simulated venue is called"),
        (["--transport", "pigeon"], "no transport is called 'pigeon'"),
        (["--sim", "--venue", "kraken", "--ws", "ws://127.0.0.1:1"], "--sim brings its own endpoints"),
    ],
)
def test_what_cannot_be_asked_for(args, words):
    result = call("doctor", *args)
    assert result.exit_code == _exit.USAGE
    assert words in result.stderr


def visit(ws: str) -> _doctor_venue.Visit:
    from marketfeed import catalogue  # noqa: PLC0415
    from marketfeed.settings import VenueSettings  # noqa: PLC0415

    return _doctor_venue.Visit(catalogue.venue("kraken"), VenueSettings(ws=ws), None, 0)


@contextlib.contextmanager
def http_server(answer: bytes, off_s: float = 0, tls: ssl.SSLContext | None = None):
    """Answers whatever is asked with this; `%s` is the time, `off_s` seconds off."""
    listening = socket.create_server(("127.0.0.1", 0))
    listening.settimeout(0.1)
    ended = threading.Event()

    def serve() -> None:
        while not ended.is_set():
            with contextlib.suppress(TimeoutError):
                connection, _ = listening.accept()
                threading.Thread(target=talk, args=(connection,), daemon=True).start()

    def talk(connection: socket.socket) -> None:
        with contextlib.suppress(OSError), connection, secured(connection) as link:
            while link.recv(65536):
                date = formatdate(time.time() + off_s, usegmt=True).encode()
                link.sendall(answer.replace(b"%s", date))
                if not answer:
                    return

    def secured(connection: socket.socket) -> socket.socket:
        return connection if tls is None else tls.wrap_socket(connection, server_side=True)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield listening.getsockname()[1]
    finally:
        ended.set()
        thread.join()
        listening.close()

"""bitcoind's JSON-RPC over HTTP. Source: httprpc.cpp, rpc/request.cpp; bitcoincore.org/en/doc/30.0.0."""

from __future__ import annotations

import hmac
from base64 import b64encode
from typing import ClassVar

import orjson

from .bitcoind_rpc import METHODS, RpcFailure
from .chain_wire import Call, ChainDialect
from .wire import Now, Reply, json_reply

AUTH = "marketfeed:simulated"
"""The user and password that the simulated node takes."""
PARSE_ERROR = -32_700
INVALID_REQUEST = -32_600
UNKNOWN_METHOD = -32_601
WARMING_UP = -28
_TEXT = {"Content-Type": "text/plain"}


class Bitcoind(ChainDialect):
    """`http://127.0.0.1:8332/`: POST with a call or a list of calls, and basic authorization."""

    NAME = "bitcoind"
    SOCKET: ClassVar[bool] = False
    CONNECTS = (1_000, 1.0)

    def call(self, call: Call, now: Now) -> Reply:
        """Check the door, then answer one call, or each call of a batch."""
        if call.path != "/":
            return Reply(404, b"", _TEXT)
        if call.method != "POST":
            return Reply(405, b"JSONRPC server handles only POST requests", _TEXT)
        expected = b"Basic " + b64encode(AUTH.encode())
        if not hmac.compare_digest(call.authorization.encode("utf-8", "surrogateescape"), expected):
            if call.authorization:
                self.troubles.breach("password")
            return Reply(401, b"", {**_TEXT, "WWW-Authenticate": 'Basic realm="jsonrpc"'})
        try:
            asked = orjson.loads(call.body)
        except orjson.JSONDecodeError:
            return json_reply(_failed(RpcFailure(PARSE_ERROR, "Parse error"), None, modern=False), 500)
        if isinstance(asked, list):
            answers = [said for one in asked if (said := self._answer(one)[1]) is not None]
            return json_reply(answers) if answers or not asked else Reply(204, b"")
        status, answer = self._answer(asked)
        return Reply(204, b"") if answer is None else json_reply(answer, status)

    def _answer(self, asked: object) -> tuple[int, dict[str, object] | None]:
        """HTTP status and answer of one call: by JSON-RPC 2.0 where it says so, else as of old."""
        if not isinstance(asked, dict):
            return 400, _failed(RpcFailure(INVALID_REQUEST, "Invalid Request object"), None, modern=False)
        modern = asked.get("jsonrpc") == "2.0"
        number = asked.get("id")
        try:
            result = self._call(asked.get("method"), asked.get("params"))
        except RpcFailure as exc:
            status = {INVALID_REQUEST: 400, UNKNOWN_METHOD: 404}.get(exc.code, 500)
            answer = _failed(exc, number, modern=modern)
            return (200 if modern else status), None if modern and "id" not in asked else answer
        if not modern:
            return 200, {"result": result, "error": None, "id": number}
        return 200, None if "id" not in asked else {"jsonrpc": "2.0", "result": result, "id": number}

    def _call(self, method: object, params: object) -> object:
        if not isinstance(method, str):
            raise RpcFailure(INVALID_REQUEST, "Method must be a string" if method is not None else "Missing method")
        if self.conduct.state == "warmup":
            raise RpcFailure(WARMING_UP, "Verifying blocks…")
        if params is not None and not isinstance(params, list | dict):
            raise RpcFailure(INVALID_REQUEST, "Params must be an array or object")
        if method not in METHODS:
            raise RpcFailure(UNKNOWN_METHOD, "Method not found")
        run, names = METHODS[method]
        given = dict(zip(names, params, strict=False)) if isinstance(params, list) else dict(params or {})
        if isinstance(params, list) and len(params) > len(names):
            raise RpcFailure(-1, f"{method} {' '.join(names)}".strip())
        if unknown := given.keys() - set(names):
            raise RpcFailure(-8, f"Unknown named parameter {min(unknown)}")
        return run(self.view, given)


def _failed(exc: RpcFailure, number: object, *, modern: bool) -> dict[str, object]:
    error = {"code": exc.code, "message": exc.message}
    if modern:
        return {"jsonrpc": "2.0", "error": error, "id": number}
    return {"result": None, "error": error, "id": number}

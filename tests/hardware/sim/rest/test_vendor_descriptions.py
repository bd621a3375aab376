"""The vendor's own API descriptions: every operation, with valid and boundary values of each parameter.

Answers are checked against the schemas of the descriptions (`tests/data/openapi`).
"""

from __future__ import annotations

import json
import re
from datetime import datetime
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from hardware.sim.service.account import DEFAULT_FLEET_SID

FOLDER = Path(__file__).parents[3] / "data" / "openapi"
PRODUCTS = {"/supersim": "supersim-commands.json", "/wireless": "programmable-wireless-commands.json"}
DESCRIPTIONS = {base: json.loads((FOLDER / name).read_text("utf-8")) for base, name in PRODUCTS.items()}
NOT_SERVED = {
    *(("/supersim", "/v1/IpCommands", method) for method in ("get", "post")),
    ("/supersim", "/v1/IpCommands/{Sid}", "get"),
    ("/wireless", "/v1/Sims/{Sid}", "delete"),
}
"""Operations of the descriptions that the sandbox does not have."""
ONLY_SOME_WORDS = ("/wireless", "/v1/Sims/{Sid}", "post", "Status")
"""The description has all statuses of a Sim, the vendor's document those that an update sets."""
OPERATIONS = [
    (base, path, method)
    for base, description in DESCRIPTIONS.items()
    for path, methods in description["paths"].items()
    for method in methods
    if method in ("get", "post", "put", "patch", "delete") and (base, path, method) not in NOT_SERVED
]
VALID = {
    "Sim": {"/supersim": "super-sim", "/wireless": "programmable-wireless"},
    "Payload": "ping",
    "Command": "ping",
    "NetworkAccessProfile": "default",
    "Iccid": "8988307000000000000",
    "RegistrationCode": "ABCDEFGHIJ",
    "Fleet": "default",
    "AccountSid": "AC" + "0" * 32,
    "UniqueName": "another",
    "Status": {"/supersim": "active", "/wireless": "active"},
    "IncludeSid": "start",
    "PageToken": "PA" + "0" * 31 + "1",
    "DataLimit": "1000",
}
"""Values that the schemas do not tell; where they have an enum, that is used."""
UNCHECKED = {
    "ResetStatus",
    *(f"{kind}{what}" for kind in ("Sms", "SmsFallback") for what in ("Url", "Method")),
    *(f"{kind}{what}" for kind in ("Voice", "VoiceFallback") for what in ("Url", "Method")),
}
"""Parameters of a wireless Sim that the sandbox ignores, since Commands do not need them."""


def resolve(base, schema):
    if "$ref" not in schema:
        return schema
    return DESCRIPTIONS[base]["components"]["schemas"][schema["$ref"].rpartition("/")[2]]


def violations(base, value, schema, where="answer"):
    """Yield a sentence for each value that does not fit its schema."""
    schema = resolve(base, schema)
    if value is None:
        if not schema.get("nullable"):
            yield f"{where} is null"
        return
    kinds = {"string": str, "integer": int, "boolean": bool, "array": list, "object": dict, "number": float}
    kind = schema.get("type")
    if kind and (not isinstance(value, kinds[kind]) or (isinstance(value, bool) and kind != "boolean")):
        yield f"{where} is {value!r}, not {kind}"
        return
    if "enum" in schema and value not in schema["enum"]:
        yield f"{where} is {value!r}, not one of {schema['enum']}"
    if "pattern" in schema and not re.search(schema["pattern"], value):
        yield f"{where} is {value!r}, not {schema['pattern']}"
    if schema.get("format") == "date-time":
        datetime.strptime(value, "%Y-%m-%dT%H:%M:%SZ")  # noqa: DTZ007 - only its form is checked
    if schema.get("format") == "uri" and not urlsplit(value).netloc:
        yield f"{where} is {value!r}, not a URI"
    for name in schema.get("required", ()):
        if name not in value:
            yield f"{where}.{name} is missing"
    for name, inner in schema.get("properties", {}).items():
        if name in value:
            yield from violations(base, value[name], inner, f"{where}.{name}")
    for index, item in enumerate(value if kind == "array" else ()):
        yield from violations(base, item, schema["items"], f"{where}[{index}]")


def parameters_of(base, path, method):
    """Return the schema of each parameter, those that are required, and the place where they go."""
    operation = DESCRIPTIONS[base]["paths"][path][method]
    if "requestBody" in operation:
        (content,) = operation["requestBody"]["content"].values()
        schema = resolve(base, content["schema"])
        return schema["properties"], set(schema.get("required", ())), "data"
    queries = [each for each in operation.get("parameters", ()) if each["in"] == "query"]
    required = {each["name"] for each in queries if each.get("required")}
    return {each["name"]: each["schema"] for each in queries}, required, "params"


def valid_value(base, name, schema):
    schema = resolve(base, schema)
    known = VALID.get(name)
    if isinstance(known, dict):
        known = known[base]
    if "enum" in schema and known not in schema["enum"]:
        return schema["enum"][0]
    if known is not None:
        return known
    if schema.get("format") == "uri":
        return "http://127.0.0.1:1/x?a=b"
    return {"boolean": "true", "integer": str(schema.get("minimum", 1))}.get(schema.get("type"), "x")


def boundary_values(base, name, schema):
    """Yield values and whether they are possible."""
    schema = resolve(base, schema)
    for word in schema.get("enum", ()):
        yield word, True
    if "enum" in schema and schema.get("format") != "http-method":
        yield "nothing", False
    if schema.get("format") == "http-method":
        yield from (("HEAD", False), ("get", False))
    if schema.get("format") == "uri":
        yield from (("https://[::1]:9/", True), ("x", False), ("http://", False), ("ftp://127.0.0.1/", False))
        yield from (
            ("http://127.0.0.1:65536/", False),
            ("http://127.0.0.1/ x", False),
            ("http://\x00/", False),
        )
    if schema.get("type") == "boolean":
        yield from (("true", True), ("false", True), ("maybe", False), ("1", False))
    if schema.get("type") == "integer":
        minimum, maximum = schema.get("minimum", 1), schema.get("maximum")
        yield from ((str(minimum), True), (str(minimum - 1), False), ("x", False), ("1.5", False))
        if maximum is not None:
            yield from ((str(maximum), True), (str(maximum + 1), False))
        elif name == "Page":
            yield "1000000000000001", True
    if name in ("Payload", "Command"):
        yield from (("x" * 160, True), ("x" * 161, False), ("☃" * 70, True), ("☃" * 71, False))


@pytest.mark.parametrize(("base", "path", "method"), OPERATIONS)
async def test_operation(http, sandbox, base, path, method):
    """Each parameter at its boundaries, the others valid; a required one left out; the answer's schema."""
    schemas, required, place = parameters_of(base, path, method)
    responses = DESCRIPTIONS[base]["paths"][path][method]["responses"]
    minimal = {name: valid_value(base, name, schemas[name]) for name in required}
    if (base, path, method) == ("/wireless", "/v1/Commands", "post"):
        minimal["Sim"] = valid_value(base, "Sim", schemas["Sim"])  # the error text of 33102 requires it
    sid = await find_sid(http, sandbox, base, path)

    async def call(sid=sid, **parameters):
        how = {place: parameters} if parameters else {}
        return await http(method.upper(), base + path.replace("{Sid}", sid), **how)

    async def check(expected, **parameters):
        nonlocal count
        count += 1
        if method == "post" and "Iccid" in parameters:  # a card is claimed once
            parameters["Iccid"] = f"8988307{count:012d}"
        if method == "post" and "UniqueName" in parameters:
            parameters["UniqueName"] += str(count)
        status, body = await call(**parameters)
        assert (status < 300) is expected, (parameters, status, body)
        if status < 300:
            assert str(status) in responses
            schema = responses[str(status)].get("content", {}).get("application/json", {}).get("schema")
        else:
            assert 400 <= status < 500
            schema = {"$ref": "UsageApiErrorResponse"}
        if schema:
            error_base = base if status < 300 else "/wireless"
            assert list(violations(error_base, body, schema)) == []

    count = 0
    await check(True, **minimal)
    every = {name: valid_value(base, name, schema) for name, schema in schemas.items()}
    if every:
        await check(True, **every)
    for name in minimal:
        await check(False, **{key: value for key, value in minimal.items() if key != name})
    for name, schema in schemas.items():
        for value, is_possible in boundary_values(base, name, schema):
            if name not in UNCHECKED and (base, path, method, name) != ONLY_SOME_WORDS:
                await check(is_possible, **{**minimal, name: value})
    if "{Sid}" in path:
        assert (await call(sid="XX" + "0" * 32))[0] == 404


async def find_sid(http, sandbox, base, path):
    """Return the SID of an existing resource of a path."""
    if "{Sid}" not in path:
        return ""
    collection = path.split("/")[2]
    if collection == "Fleets":
        return DEFAULT_FLEET_SID
    sim = VALID["Sim"][base]
    if collection == "Sims":
        return sandbox.sims[sim].sid
    body = "Payload" if collection == "SmsCommands" else "Command"
    _, made = await http.post(f"{base}/v1/{collection}", **{"Sim": sim, body: "x"})
    return made["sid"]


@pytest.mark.parametrize("base", PRODUCTS)
async def test_undescribed_methods(http, base):
    """405 on every path that is served."""
    for path, methods in DESCRIPTIONS[base]["paths"].items():
        served = [method for method in methods if (base, path, method) in OPERATIONS]
        for method in ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD"):
            if served and method.lower() not in served:
                url = base + path.replace("{Sid}", "XX" + "0" * 32)
                assert (await http(method, url))[0] == 405

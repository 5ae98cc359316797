"""The OpenAPI 3.1 document of the HTTP API, and the page that shows it."""

import base64
import hashlib
from html import escape

from neuralrouting.api import schema_accounts
from neuralrouting.exchange import JsonObject

_STRING: JsonObject = {"type": "string"}
_NUMBER_OR_NULL: JsonObject = {"type": ["number", "null"]}
_CHAT_FIELDS: JsonObject = {
    "messages": {
        "type": "array",
        "minItems": 1,
        "maxItems": 2048,
        "items": {"$ref": "#/components/schemas/Message"},
        "description": "the conversation",
    },
    "routing_mode": {"enum": ["auto", "cost", "quality", "speed"], "description": "how to choose the model"},
    "cascade": {
        "type": "boolean",
        "description": "mode `auto`: look at a cheap model's answer before it is sent, and ask a better one in doubt",
    },
    "user": _STRING | {"description": "who the end user is; for attribution"},
    "session_id": _STRING | {"description": "which conversation this belongs to"},
    "feature": _STRING | {"description": "which feature of your product asks; for attribution"},
    "temperature": {"type": "number", "minimum": 0, "maximum": 2},
    "max_tokens": {"type": "integer", "minimum": 1},
    "max_completion_tokens": {"type": "integer", "minimum": 1},
    "tools": {"type": "array", "maxItems": 128, "items": {"type": "object"}},
    "response_format": {"type": "object"},
}
_METRICS: JsonObject = {
    "type": "object",
    "required": ["cost_usd", "estimated_gpt4_cost", "savings_percentage"],
    "properties": dict.fromkeys(("cost_usd", "estimated_gpt4_cost", "savings_percentage"), _NUMBER_OR_NULL),
    "description": "null means unpriced, never zero",
}
_BLOCKED: JsonObject = {
    "type": "object",
    "required": ["error", "category", "risk_score"],
    "properties": {
        "error": _STRING,
        "category": {"enum": ["CRITICAL", "HIGH", "MEDIUM"]},
        "risk_score": {"type": "number", "minimum": 0, "maximum": 1},
    },
}
_CASCADE: JsonObject = {
    "type": "object",
    "description": "only where an economy model was asked first; its cost is part of `cost_usd` where it escalated",
    "required": ["outcome", "reason", "first_model", "first_cost_usd"],
    "properties": {
        "outcome": {"enum": ["kept", "escalated", "fell_back"]},
        "reason": {"enum": ["empty", "refusal", "truncated", "format", "contradiction", "unsure", None]},
        "first_model": _STRING,
        "first_cost_usd": {"type": ["number", "null"]},
    },
}
_FACTS: JsonObject = {
    "model_used": _STRING,
    "cache_hit": {"type": "boolean"},
    "cache_exact": {"type": "boolean"},
    "cache_similarity": {"type": "number", "description": "on hits only"},
    "business_metrics": _METRICS,
    "cascade": _CASCADE,
    "request_id": _STRING,
    "simulated": {"type": "boolean", "description": "true when no real model answered"},
}


_IDEMPOTENCY_KEY: JsonObject = {
    "name": "Idempotency-Key",
    "in": "header",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255},
    "description": "the same key and request get the first answer again, without being made or paid twice; "
    "409 while it is still being made, 422 for another request",
}


def document(version: str) -> JsonObject:
    """Return the OpenAPI document."""
    chat: JsonObject = {"type": "object", "required": ["model", "messages"], "additionalProperties": True}
    chat["properties"] = {
        "model": _STRING | {"description": "`auto`, a catalog name, or `provider/model`"},
        "stream": {"type": "boolean"},
        "stream_options": {"type": "object", "properties": {"include_usage": {"type": "boolean"}}},
        **_CHAT_FIELDS,
    }
    dispatch = {"type": "object", "required": ["messages"], "additionalProperties": True, "properties": _CHAT_FIELDS}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "NeuralRouting",
            "version": version,
            "description": "One OpenAI-compatible endpoint that sends every prompt to the cheapest model that can "
            "answer it well, and says what each answer cost and saved.",
        },
        "servers": [{"url": "/"}],
        "security": [{"bearer": []}, {"apiKey": []}],
        "paths": _paths(),
        "components": {
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "apiKey": {"type": "apiKey", "in": "header", "name": "X-API-KEY"},
            },
            "schemas": {
                "Message": {
                    "type": "object",
                    "required": ["role"],
                    "properties": {
                        "role": {"enum": ["system", "developer", "user", "assistant", "tool", "function"]},
                        "content": {"type": ["string", "array", "null"]},
                    },
                },
                "ChatRequest": chat,
                "DispatchRequest": dispatch,
                "ChatCompletion": {
                    "type": "object",
                    "required": ["id", "object", "choices"],
                    "properties": {"id": _STRING, "object": _STRING, "choices": {"type": "array"}, **_FACTS},
                },
                "DispatchAnswer": {
                    "type": "object",
                    "required": ["status", "model_used", "output", "cache_hit", "business_metrics", "request_id"],
                    "properties": {
                        "status": {"const": "success"},
                        "output": {"type": "object", "properties": {"ai_answer": {"type": ["string", "null"]}}},
                        "usage": {"type": "object"},
                        **_FACTS,
                    },
                },
                "Error": _error_schema(),
                "Blocked": _BLOCKED,
                **schema_accounts.schemas(),
            },
        },
    }


def _error_schema() -> JsonObject:
    keys = ("message", "type", "param", "code")
    fields = {key: {"type": ["string", "null"]} for key in keys}
    inner = {"type": "object", "required": list(keys), "properties": fields}
    return {"type": "object", "required": ["error"], "properties": {"error": inner}}


def _paths() -> JsonObject:
    stream = "a stream of `chat.completion.chunk` events"
    return {
        "/v1/chat/completions": {
            "post": _post(
                "Answer a conversation (OpenAI-compatible)",
                "Send what you send to OpenAI. Headers: `X-Routing-Mode`, `X-Force-Model`, `X-NR-User`, "
                f"`X-NR-Feature`, `X-NR-Cascade: true | false`, "
                f"`Cache-Control: no-cache | no-store`. With `stream` the answer is {stream}.",
                "ChatRequest",
                "ChatCompletion",
            )
        },
        "/v1/dispatch": {
            "post": _post("Answer with the figures", "The native shape: answer, model, cost and saving.",
                          "DispatchRequest", "DispatchAnswer", "Blocked")
        },
        "/v1/dispatch/stream": {
            "post": _post("Stream, then the bill", f"Always {stream}, then one `nr.billing` event, then `[DONE]`.",
                          "DispatchRequest", None, "Blocked")
        },
        "/v1/models": {"get": _get("List what can be asked for", "Names, tiers, capabilities, prices.")},
        "/v1/models/{id}": {
            "get": _get("Tell about one model", "404 for a name that is not known here.")
            | {"parameters": [{"name": "id", "in": "path", "required": True, "schema": _STRING}]}
        },
        **schema_accounts.paths(),
        "/healthz": {"get": _get("Alive?", "200 while the process runs.") | {"security": []}},
        "/readyz": {"get": _get("Ready?", "200 when requests can be served, else 503.") | {"security": []}},
        "/metrics": {"get": _metrics()},
    }  # fmt: skip


def _post(summary: str, description: str, asks: str, answers: str | None, blocked: str = "Error") -> JsonObject:
    content: JsonObject = {"text/event-stream": {"schema": _STRING}}
    if answers is not None:
        content = {"application/json": {"schema": {"$ref": f"#/components/schemas/{answers}"}}, **content}
    body = {"application/json": {"schema": {"$ref": f"#/components/schemas/{asks}"}}}
    return {
        "summary": summary,
        "description": description,
        "parameters": [_IDEMPOTENCY_KEY],
        "requestBody": {"required": True, "content": body},
        "responses": {
            "200": {"description": "the answer", "content": content},
            "403": {
                "description": "the shield blocked the prompt",
                "content": {"application/json": {"schema": {"$ref": f"#/components/schemas/{blocked}"}}},
            },
            **_ERRORS,
        },
    }


def _metrics() -> JsonObject:
    told = _get("What Prometheus reads", "Of all workers. Open on loopback, else a token or an operator's key.")
    text = {"description": "OK", "content": {"text/plain": {"schema": _STRING}}}
    return told | {"responses": told["responses"] | {"200": text}, "security": [{}, {"bearer": []}]}


def _get(summary: str, description: str) -> JsonObject:
    ok = {"description": "OK", "content": {"application/json": {"schema": {"type": "object"}}}}
    return {"summary": summary, "description": description, "responses": {"200": ok, "default": _ERRORS["4XX"]}}


_FAILED: JsonObject = {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
_ERRORS: JsonObject = {
    "4XX": {"description": "the request cannot be served; `error.param` names the field", "content": _FAILED},
    "5XX": {"description": "a provider or the gateway failed", "content": _FAILED},
}

_STYLE = (
    ":root{color-scheme:light dark;font:16px/1.5 system-ui;max-width:56rem;margin:2rem auto;padding:0 1rem}"
    "code,pre{font-family:ui-monospace,monospace;font-size:.9em}h2{margin-top:2rem}"
    "pre{overflow:auto;padding:1rem;border:1px solid color-mix(in srgb,currentColor 25%,transparent)}"
    "td,th{text-align:left;padding:.2rem 1rem .2rem 0;vertical-align:top}"
)
_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
_POLICY = ("default-src 'none'", f"style-src 'sha256-{_HASH}'", "base-uri 'none'", "frame-ancestors 'none'")
PAGE_HEADERS = {
    "content-security-policy": "; ".join(_POLICY),
    "x-content-type-options": "nosniff",
}


def page(described: JsonObject, base_url: str) -> str:
    """Return the document as one HTML page without scripts or outside resources."""
    info = described["info"]
    parts = [
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{info["title"]} API</title>',
        '<meta name="viewport" content="width=device-width">',
        f"<style>{_STYLE}</style><h1>{info['title']} API {escape(info['version'])}</h1>",
        f"<p>{escape(info['description'])}</p>",
        f"<h2>Try it</h2><pre>{escape(_curl(base_url))}</pre>",
        '<p>Machine-readable: <a href="/openapi.json">/openapi.json</a></p>',
    ]
    for path, methods in described["paths"].items():
        for method, operation in methods.items():
            parts.append(f"<h2><code>{method.upper()} {escape(path)}</code></h2>")
            parts.append(f"<p><b>{escape(operation['summary'])}.</b> ")
            parts.append(f"{escape(operation['description'])}</p>{_fields(operation, described)}")
    return "".join(parts) + "</html>"


def _fields(operation: JsonObject, described: JsonObject) -> str:
    told = [p for p in operation.get("parameters", ()) if p["in"] == "query"]
    rows = [_row(p["name"], p["schema"]["type"], p["description"]) for p in told]
    parts = [_table("Parameter", rows)] if rows else []
    if "requestBody" in operation:
        name = operation["requestBody"]["content"]["application/json"]["schema"]["$ref"].rsplit("/", 1)[1]
        parts.append(_body_fields(described["components"]["schemas"][name]))
    return "".join(parts)


def _body_fields(schema: JsonObject) -> str:
    needed = set(schema["required"])
    rows = [
        _row(field, _type_of(told), told.get("description", ""), "*" if field in needed else "")
        for field, told in schema["properties"].items()
    ]
    passed_on = schema["additionalProperties"]
    note = " Every other field of OpenAI's API is passed on unchanged." if passed_on else ""
    return f"{_table('Field', rows)}<p>* required.{note}</p>"


def _table(first: str, rows: list[str]) -> str:
    return f"<table><tr><th>{first}</th><th>Type</th><th>Meaning</th></tr>{''.join(rows)}</table>"


def _row(name: str, kind: str, meaning: str, mark: str = "") -> str:
    return f"<tr><td><code>{escape(name)}</code>{mark}</td><td>{escape(kind)}</td><td>{escape(meaning)}</td></tr>"


def _type_of(told: JsonObject) -> str:
    if "anyOf" in told:
        return " | ".join(_type_of(one) for one in told["anyOf"])
    return str(told.get("type") or " | ".join(told.get("enum", ())))


def _curl(base_url: str) -> str:
    return (
        f"curl {base_url}v1/chat/completions \\\n  -H 'Authorization: Bearer nr_live_...' \\\n"
        "  -H 'Content-Type: application/json' \\\n"
        """  -d '{"model":"auto","messages":[{"role":"user","content":"Say hello in French"}]}'"""
    )

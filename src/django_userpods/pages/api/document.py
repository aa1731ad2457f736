"""What the API is, as an OpenAPI 3.1 document, which a test holds the views against."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse

from django_userpods.core import naming
from django_userpods.models import AccessToken, UserPod
from django_userpods.pages.api import listing, pods, tokens
from django_userpods.pages.api.calling import RATE, WINDOW, public
from django_userpods.version import __version__

_TEXT: dict[str, Any] = {"type": "string"}
_TIME = {"type": "string", "format": "date-time"}
_MAYBE_TIME = {"type": ["string", "null"], "format": "date-time"}
_FLAG = {"type": "boolean"}
_COUNT = {"type": "integer", "minimum": 0}
_KEY = {"type": "integer"}


def _object(optional: tuple[str, ...] = (), **properties: Any) -> dict[str, Any]:  # noqa: ANN401
    return {
        "type": "object",
        "properties": properties,
        "required": [name for name in properties if name not in optional],
        "additionalProperties": False,
    }


def _ref(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}


def _array(**properties: Any) -> dict[str, Any]:  # noqa: ANN401
    return {"type": "array", "items": _object(**properties)}


def _list_of(name: str) -> dict[str, Any]:
    items = {"type": "array", "items": _ref(name)}
    return _object(items=items, next={"type": ["string", "null"]})


def _schemas() -> dict[str, Any]:
    return {
        "Error": _object(error=_TEXT),
        "Me": _object(
            user=_TEXT,
            by={**_TEXT, "enum": ["session", "token"]},
            pods=_COUNT,
            max_pods=_COUNT,
        ),
        **_pod_schemas(),
        **_evidence_schemas(),
        **_share_schemas(),
        **_token_schemas(),
    }


def _pod_schemas() -> dict[str, Any]:
    staff = _object(
        owner={"type": ["string", "null"]},
        owner_pk=_TEXT,
        namespace=_TEXT,
        image=_TEXT,
        details={**_TEXT, "description": "What the cluster said, in its own words."},
    )
    pod = _object(
        ("staff",),
        name={"type": ["string", "null"], "description": "Of its Deployment and Service."},
        slot={**_TEXT, "description": "Empty for the main pod."},
        profile={**_TEXT, "description": "Its slug; empty for none."},
        wanted={**_TEXT, "enum": list(UserPod.Wanted.values)},
        state={**_TEXT, "enum": list(UserPod.State)},
        message={**_TEXT, "description": "Why it is not up, in a sentence for its user."},
        restarts={**_COUNT, "description": "Of containers, in its present pod."},
        url={"type": ["string", "null"]},
        created_at=_TIME,
        last_activity=_MAYBE_TIME,
        staff={**staff, "description": "With the permission userpods.view_userpod."},
    )
    return {
        "Pod": pod,
        "Pods": _list_of("Pod"),
        "Operation": _object(changed=_FLAG, pod=_ref("Pod")),
        "NewPod": _object(
            ("profile",),
            slot={**_TEXT, "maxLength": naming.MAX_SLOT},
            profile={**_TEXT, "description": "The slug of one that is offered."},
        ),
        "Profiles": _object(items=_array(slug=_TEXT, name=_TEXT, description=_TEXT)),
        "Choice": _object(profile={**_TEXT, "description": "Its slug; empty for none."}),
    }


def _evidence_schemas() -> dict[str, Any]:
    return {
        "Evidence": _object(
            events=_array(
                at=_MAYBE_TIME,
                type=_TEXT,
                reason=_TEXT,
                message=_TEXT,
                times=_COUNT,
                about={**_TEXT, "description": "The kind and name of the object."},
            ),
            logs=_array(
                pod=_TEXT,
                container=_TEXT,
                previous={**_FLAG, "description": "Before the container's last restart."},
                cut={**_FLAG, "description": "There is more before it."},
                text=_TEXT,
            ),
            problems={
                "type": "array",
                "items": _TEXT,
                "description": "Why something is missing, in sentences for people.",
            },
        ),
    }


def _share_schemas() -> dict[str, Any]:
    return {
        "Share": _object(
            id=_KEY,
            user={"type": ["string", "null"]},
            group={"type": ["string", "null"]},
            created_at=_TIME,
            expires_at=_MAYBE_TIME,
        ),
        "Shares": _list_of("Share"),
        "NewShare": _object(
            ("user", "group", "expires_at"),
            user={"type": ["string", "null"], "description": "The exact name; or a group's."},
            group={"type": ["string", "null"]},
            expires_at=_MAYBE_TIME,
        ),
        "SharedPod": _object(
            name=_TEXT,
            owner={"type": ["string", "null"]},
            state={**_TEXT, "enum": list(UserPod.State)},
            url=_TEXT,
        ),
        "SharedPods": _list_of("SharedPod"),
    }


def _token_schemas() -> dict[str, Any]:
    properties: dict[str, Any] = {
        "id": _KEY,
        "label": _TEXT,
        "scope": {**_TEXT, "enum": list(AccessToken.Scope.values)},
        "valid": _FLAG,
        "created_at": _TIME,
        "expires_at": _MAYBE_TIME,
        "revoked_at": _MAYBE_TIME,
        "last_used_at": _MAYBE_TIME,
    }
    return {
        "Token": _object(("user",), **properties, user=_TEXT),
        "Tokens": _list_of("Token"),
        "NewToken": _object(
            ("scope", "expires_at"),
            label={**_TEXT, "minLength": 1, "maxLength": 100},
            scope={**properties["scope"], "default": AccessToken.Scope.REACH.value},
            expires_at=_MAYBE_TIME,
        ),
        "IssuedToken": _object(
            **properties, text={**_TEXT, "description": "Shown this once, and stored nowhere."}
        ),
    }


def _in_path(name: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "in": "path", "required": True, "schema": schema}


def _in_query(name: str, schema: dict[str, Any], text: str) -> dict[str, Any]:
    return {"name": name, "in": "query", "schema": schema, "description": text}


def _call(
    name: str,
    summary: str,
    answers: dict[int, str],
    *,
    parameters: list[dict[str, Any]] | None = None,
    body: str = "",
) -> dict[str, Any]:
    """Return an operation; ``answers`` are schemas by status ("" for none), errors beside them."""
    responses: dict[str, Any] = {
        str(status): {"description": summary, **(_json(schema) if schema else {})}
        for status, schema in answers.items()
    }
    responses["default"] = {"description": "It was refused.", **_json("Error")}
    call: dict[str, Any] = {"operationId": name, "summary": summary, "responses": responses}
    if parameters:
        call["parameters"] = parameters
    if body:
        call["requestBody"] = {"required": True, **_json(body)}
    return call


def _json(schema: str) -> dict[str, Any]:
    return {"content": {"application/json": {"schema": _ref(schema)}}}


def _page_parameters() -> list[dict[str, Any]]:
    return [
        _in_query("all", {**_FLAG, "default": False}, "Everybody's, with staff's permission."),
        _in_query("limit", {"type": "integer", "minimum": 1, "maximum": listing.MOST}, "A page's."),
        _in_query("after", _TEXT, "As in `next` of the page before."),
    ]


def _paths() -> dict[str, Any]:
    pages = _page_parameters()
    state = _in_query("state", {**_TEXT, "enum": list(UserPod.State)}, "Only of this state.")
    name, pk = _in_path("name", _TEXT), _in_path("pk", _KEY)
    operation = _in_path("operation", {**_TEXT, "enum": [str(item) for item in pods.OPERATIONS]})
    return {
        "me/": {"get": _call("me", "Who I am, and what I may have.", {200: "Me"})},
        "pods/": {
            "get": _call("listPods", "Pods.", {200: "Pods"}, parameters=[*pages, state]),
            "post": _call("addPod", "A further pod.", {201: "Pod"}, body="NewPod"),
        },
        "pods/{name}/": {
            "parameters": [name],
            "get": _call("showPod", "One pod.", {200: "Pod"}),
            "delete": _call("removePod", "Take a further pod away.", {204: ""}),
        },
        "pods/{name}/logs/": {
            "parameters": [name],
            "get": _call("showLogs", "Its events, and the end of its logs.", {200: "Evidence"}),
        },
        "pods/{name}/shares/": {
            "parameters": [name],
            "get": _call("listShares", "With whom.", {200: "Shares"}, parameters=pages[1:]),
            "post": _call(
                "sharePod",
                "Share it with a user or a group, for good or until a time; sessions only.",
                {201: "Share"},
                body="NewShare",
            ),
        },
        "pods/{name}/shares/{pk}/": {
            "parameters": [name, pk],
            "delete": _call("unsharePod", "Share it no longer.", {204: ""}),
        },
        "shared/": {
            "get": _call("listSharedPods", "Others' that are shared with me.", {200: "SharedPods"})
        },
        "profiles/": {
            "get": _call("listProfiles", "The profiles that I may choose.", {200: "Profiles"})
        },
        "pods/{name}/profile/": {
            "parameters": [name],
            "post": _call(
                "chooseProfile",
                "Have a pod that is stopped be of a profile.",
                {202: "Operation"},
                body="Choice",
            ),
        },
        "pods/{name}/{operation}/": {
            "parameters": [name, operation],
            "post": _call("operatePod", "Ask something of a pod.", {202: "Operation"}),
        },
        **_token_paths(),
    }


def _token_paths() -> dict[str, Any]:
    pages, pk = _page_parameters(), _in_path("pk", _KEY)
    return {
        "tokens/": {
            "get": _call("listTokens", "Access tokens.", {200: "Tokens"}, parameters=pages),
            "post": _call(
                "issueToken",
                f"A token; sessions only, {tokens.MOST} at most.",
                {201: "IssuedToken"},
                body="NewToken",
            ),
        },
        "tokens/{pk}/": {
            "parameters": [pk],
            "delete": _call("revokeToken", "Revoke a token.", {204: ""}),
        },
    }


def document(base: str) -> dict[str, Any]:
    """Return the document of the API at a path."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "django-userpods",
            "version": __version__,
            "description": f"At most {RATE} requests of a user in {WINDOW} s (429, Retry-After).",
        },
        "servers": [{"url": base}],
        "security": [{"session": []}, {"token": []}],
        "paths": {f"/{path}": found for path, found in _paths().items()},
        "components": {
            "schemas": _schemas(),
            "securitySchemes": {
                "session": {
                    "type": "apiKey",
                    "in": "cookie",
                    "name": "sessionid",
                    "description": "The site's session, with Django's CSRF token for all but GET.",
                },
                "token": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "An access token of the scope *manage*.",
                },
            },
        },
    }


@public
def show(request: HttpRequest) -> HttpResponse:
    """Answer the document."""
    return JsonResponse(document(request.path.removesuffix("/openapi.json")))

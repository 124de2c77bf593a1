"""Where untrusted data come from: which names, attributes, calls and parameters."""

from __future__ import annotations

import ast
import re

from offtarget.detect.code.facts import EVERYTHING, SQL, Value, words

REQUEST_PARTS = words(
    "args form values json data files cookies headers GET POST FILES COOKIES META REQUEST query_params path_params "
    "body params get_json get_data get_argument get_arguments get_query_argument get_body_argument query match_info "
    "rel_url query_string stream url path full_path base_url referrer user_agent post text read matchdict "
    "QUERY_PARAMS DATA query_arguments arguments body_arguments view_args"
)
REQUEST_NAMES = frozenset({"request", "flask.request", "self.request", "req", "bottle.request", "cherrypy.request"})
OUTSIDE_CALLS = re.compile(
    r"(^|\.)(recv|recvfrom|recv_into|receive_text|receive_json|get_argument|get_query_argument|get_body_argument|"
    r"get_arguments|get_json|FieldStorage|receive_message|self\.rfile\.read)$"
)
LOCAL_CALLS = words(
    "input raw_input sys.stdin.read sys.stdin.readline sys.stdin.readlines getpass.getpass os.getenv os.environ.get "
    "click.prompt easygui.enterbox tkinter.simpledialog.askstring"
)
LOCAL_NAMES = frozenset({"sys.argv", "os.environ", "sys.stdin"})

ROUTE_DECORATORS = words(
    "route get post put delete patch websocket api_view view_config expose action csrf_exempt login_required "
    "require_http_methods require_GET require_POST on_message on_event head options api_route any"
)
HANDLER_METHODS = words(
    "get post put delete patch head do_GET do_POST do_PUT do_DELETE dispatch on_get on_post on_put on_delete GET POST "
    "lambda_handler handle handler"
)
FASTAPI = frozenset({"fastapi", "starlette", "sanic", "litestar"})
CLEAN_TYPES = words("int float bool UUID date datetime Decimal Enum conint IntEnum")


def attribute_source(dotted: str) -> bool:
    """Whether a dotted name such as `flask.request.args` is data of a request."""
    head, _, tail = dotted.rpartition(".")
    return tail in REQUEST_PARTS and (head in REQUEST_NAMES or head.endswith(".request"))


def called_source(dotted: str) -> Value | None:
    """What a call of this name returns when it is a source, None when it is none."""
    if dotted in LOCAL_CALLS:
        return Value(param=EVERYTHING, origin=f"{dotted}()")
    if attribute_source(dotted) or OUTSIDE_CALLS.search(dotted):
        return Value(outside=EVERYTHING, origin=f"{dotted.removeprefix('flask.')}()")
    return None


def handler_kind(
    node: ast.FunctionDef | ast.AsyncFunctionDef, owner_bases: tuple[str, ...], modules: frozenset[str]
) -> str:
    """Which web framework calls this function; empty when none does."""
    fastapi = bool(modules & FASTAPI) and not modules & {"flask"}
    for decorator in node.decorator_list:
        call = decorator.func if isinstance(decorator, ast.Call) else decorator
        name = call.attr if isinstance(call, ast.Attribute) else call.id if isinstance(call, ast.Name) else ""
        if name in ROUTE_DECORATORS:
            return "fastapi" if fastapi else "flask"
    parameters = [a.arg for a in node.args.posonlyargs + node.args.args]
    if (
        owner_bases
        and node.name in HANDLER_METHODS
        and any(re.search(r"Handler|View|Resource|Controller|Servlet|Page|Endpoint", base) for base in owner_bases)
    ):
        return "tornado" if any("RequestHandler" in base for base in owner_bases) else "django"
    if parameters[:1] == ["request"] or parameters[:2] == ["self", "request"]:
        return "fastapi" if fastapi else "django"
    if node.name == "lambda_handler" or parameters[:2] == ["environ", "start_response"]:
        return "wsgi"
    return ""


def parameter(node: ast.arg, handler: str, converters: frozenset[str]) -> Value:
    """What a parameter holds; `converters` are route parameters that the framework turns into numbers."""
    annotation = node.annotation
    kind = (
        annotation.id
        if isinstance(annotation, ast.Name)
        else annotation.attr
        if isinstance(annotation, ast.Attribute)
        else ""
    )
    if node.arg in {"self", "cls"}:
        return Value()
    origin = f"the parameter `{node.arg}`"
    if kind in CLEAN_TYPES or node.arg in converters:
        return Value(unknown=SQL, origin=origin, made=kind)
    if handler and node.arg not in {"request", "req", "environ", "start_response", "context", "db", "session"}:
        return Value(outside=EVERYTHING, origin=origin)
    if handler:
        return Value(unknown=EVERYTHING, origin=origin, made="request" if node.arg in {"request", "req"} else "")
    return Value(param=EVERYTHING, origin=origin)


def number_converters(node: ast.FunctionDef | ast.AsyncFunctionDef) -> frozenset[str]:
    """Route parameters such as `<int:id>` that reach the function as numbers."""
    found: set[str] = set()
    for decorator in node.decorator_list:
        for part in ast.walk(decorator):
            if isinstance(part, ast.Constant) and isinstance(part.value, str):
                found.update(re.findall(r"<(?:int|float|uuid):\s*(\w+)>", part.value))
    return frozenset(found)

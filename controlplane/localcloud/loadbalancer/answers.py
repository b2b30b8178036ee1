"""What the load balancer itself answers when no Pod does: Google's codes and pages in place of Envoy's."""

from typing import Any

_PAGE = (
    '<html><head>\n<meta http-equiv="content-type" content="text/html;charset=utf-8">\n<title>{title}</title>\n</head>'
    "\n<body text=#000000 bgcolor=#ffffff>\n<h1>Error: {heading}</h1>\n<h2>{text}</h2>\n<h2></h2>\n</body></html>\n"
)
_RETRY = (
    "The server encountered a temporary error and could not complete your request.<p>Please try again in 30 seconds."
)


def local_replies() -> dict[str, Any]:
    """Give Envoy's local_reply_config.

    No healthy Pod, a connection that failed, and one that broke are all 502 to a client of Google's load balancer.
    """
    return {
        "mappers": [
            _mapper(["UH", "UF", "UC", "UR", "LH", "NC"], 502, "502 Server Error", "Server Error", _RETRY),
            _mapper(
                ["NR"],
                404,
                "404 Not Found",
                "Not Found",
                "response 404 (backend NotFound), service rules for the path non-existent",
            ),
            _mapper(["UT", "SI"], 504, "504 Server Error", "Server Error", _RETRY),
            _mapper(["UO", "OM", "DO"], 503, "503 Server Error", "Server Error", _RETRY),
        ]
    }


def _mapper(flags: list[str], code: int, title: str, heading: str, text: str) -> dict[str, Any]:
    return {
        "filter": {"response_flag_filter": {"flags": flags}},
        "body_format_override": {
            "text_format_source": {"inline_string": _PAGE.format(title=title, heading=heading, text=text)},
            "content_type": "text/html; charset=UTF-8",
        },
        "status_code": code,
    }

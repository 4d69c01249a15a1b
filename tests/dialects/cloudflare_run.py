"""Cloudflare's own way to run a text model."""

from dialects import Exchange, compact, sse

URL = "https://api.cloudflare.com/client/v4/accounts/a1/ai/run/@cf/meta/llama-3.1-8b-instruct"
MODEL = "@cf/meta/llama-3.1-8b-instruct"
USAGE = {"prompt_tokens": 5, "completion_tokens": 3, "total_tokens": 8}
COUNTS = {"input_tokens": 5, "output_tokens": 3}
READING = {"recognised": True, "status": "completed", "final": True}
WRAPPED = {"success": True, "errors": [], "messages": []}

EXCHANGES = [
    Exchange(
        "a plain answer",
        URL,
        compact({"result": {"response": "hi", "tool_calls": [], "usage": USAGE}, **WRAPPED}),
        COUNTS,
        "cloudflare",
        READING,
        request={"prompt": "hi"},
        request_model=MODEL,
    ),
    Exchange(
        "an answer without usage",
        URL,
        compact({"result": {"response": "hi"}, **WRAPPED}),
        {},
        "cloudflare",
        {"status": "completed", "final": True},
        request_model=MODEL,
    ),
    Exchange(
        "an answer with a null for a count",
        URL,
        compact({"result": {"usage": {"prompt_tokens": None, "completion_tokens": 3}}, **WRAPPED}),
        {"output_tokens": 3},
        "cloudflare",
        READING,
        request_model=MODEL,
    ),
    Exchange(
        "a stream",
        URL,
        sse(
            {"response": "h", "p": "abdef"},
            {"response": "i", "p": "ab"},
            {"response": "", "usage": USAGE},
            b"[DONE]",
        ),
        COUNTS,
        "cloudflare",
        READING,
        request={"prompt": "hi", "stream": True},
        request_model=MODEL,
    ),
    Exchange(
        "an error",
        URL,
        compact(
            {"result": {}, "success": False, "errors": [{"code": 5007, "message": "No model"}]}
        ),
        {},
        "cloudflare",
        {"status": "failed", "error_type": "5007"},
        request_model=MODEL,
    ),
    Exchange(
        "an answer that calls a tool, with members that are null",
        URL,
        compact(
            {
                "result": {
                    "response": None,
                    "tool_calls": [{"name": "weather", "arguments": {"city": "Rome"}}],
                    "usage": {**USAGE, "prompt_tokens_details": {"cached_tokens": None}},
                },
                **WRAPPED,
                "errors": None,
            }
        ),
        COUNTS,
        "cloudflare",
        READING,
        request={"messages": [], "tools": []},
        request_model=MODEL,
    ),
    Exchange(
        "a stream whose usage grows from event to event",
        URL,
        sse(
            {"response": "h", "usage": {"prompt_tokens": 5, "completion_tokens": 1}},
            {"response": "i", "usage": {"prompt_tokens": 5, "completion_tokens": 2}},
            {"response": "", "usage": USAGE},
            b"[DONE]",
        ),
        COUNTS,
        "cloudflare",
        READING,
        request={"messages": [], "stream": True},
        request_model=MODEL,
    ),
    Exchange(
        "a stream that was cut before its usage",
        URL,
        sse({"response": "h", "p": "ab", "usage": None}, {"response": "i", "p": "abc"}),
        {},
        "cloudflare",
        {},
        request={"prompt": "hi", "stream": True},
        request_model=MODEL,
    ),
    Exchange(
        "an error whose result is null",
        URL,
        compact(
            {
                "result": None,
                "success": False,
                "errors": [{"code": 3036, "message": "Out of neurons"}],
                "messages": [],
            }
        ),
        {},
        "cloudflare",
        {"status": "failed", "error_type": "3036"},
        request={"prompt": "hi"},
        request_model=MODEL,
    ),
]

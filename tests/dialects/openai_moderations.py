"""OpenAI moderations."""

from dialects import Exchange, compact

URL = "https://api.openai.com/v1/moderations"
ASKED = {"provider": "openai", "operation": "moderation"}

EXCHANGES = [
    Exchange(
        "a judgement",
        URL,
        compact(
            {
                "id": "modr-1",
                "model": "omni-moderation-latest",
                "results": [{"flagged": False, "categories": {}, "category_scores": {}}],
            }
        ),
        {},
        reading={
            "recognised": True,
            "model": "omni-moderation-latest",
            "response_id": "modr-1",
            "status": "completed",
            "final": True,
        },
        request={"input": "Have a great day!"},
        **ASKED,
    ),
    Exchange(
        "an error",
        URL,
        compact({"error": {"message": "Slow down", "code": "rate_limit_exceeded"}}),
        {},
        reading={"status": "failed", "error_type": "rate_limit_exceeded"},
        request={"input": "Hi", "model": "text-moderation-latest"},
        request_model="text-moderation-latest",
        **ASKED,
    ),
]

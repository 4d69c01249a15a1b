"""OpenAI responses that are compacted."""

from dialects import Exchange, compact

EXCHANGES = [
    Exchange(
        "a compaction, which names no model",
        "https://api.openai.com/v1/responses/compact",
        compact(
            {
                "id": "resp_1",
                "object": "response.compaction",
                "output": [{"type": "compaction", "encrypted_content": "gAAAA"}],
                "usage": {
                    "input_tokens": 156,
                    "input_tokens_details": {"cached_tokens": 0},
                    "output_tokens": 190,
                    "output_tokens_details": {"reasoning_tokens": 0},
                    "total_tokens": 346,
                },
            }
        ),
        {
            "input_tokens": 156,
            "output_tokens": 190,
            "cache_read_tokens": 0,
            "reasoning_tokens": 0,
        },
        reading={"recognised": True, "response_id": "resp_1", "final": True},
        provider="openai",
        request={"model": "gpt-5", "input": []},
        request_model="gpt-5",
    ),
]

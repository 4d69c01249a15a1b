"""Families of models: which one a name belongs to, whoever serves it and under whatever prefix."""

from __future__ import annotations

import pytest

from tokenmeter.tokens.families import family_of

FAMILIES = {
    "mistral": """mistral-large-latest mistral-medium-latest mistral-medium-2505 devstral-small-2507
        mistral.mistral-large-3-675b-instruct ministral-8b-latest magistral-medium-latest
        codestral-latest mistralai/devstral-medium mistral-large-2512 voxtral-mini-latest""",
    "mistral small 4": "mistral-small-latest magistral-small-latest mistral-small-2603",
    "pixtral": "pixtral-12b-latest us.mistral.pixtral-large-2502-v1:0 mistralai/pixtral-12b",
    "mistral v3": "open-mistral-nemo mistralai/mistral-nemo mistral-small-2501",
    "mistral v1": """mistral-tiny open-mistral-7b mistralai/Mixtral-8x7B-Instruct-v0.1 mistral:7b
        mistral.mistral-7b-instruct-v0:2 open-mixtral-8x22b mistral-large-2402""",
    "mistral large 2": "mistral-large-2407",
    "mistral large 2.1": "mistral-large-2411",
    "mistral embeddings": "mistral-embed codestral-embed-2505 intfloat/e5-mistral-7b-instruct",
    "cohere": """command-r command-r-plus-08-2024 command-r7b-12-2024 command-a-03-2025
        command-a-vision-07-2025 cohere.command-r-v1:0 cohere/command-a c4ai-aya-expanse-32b""",
    "cohere reasoning": "command-a-reasoning-08-2025",
    "cohere command": "command command-light command-nightly cohere.command-text-v14",
    "cohere embeddings": """embed-v4.0 embed-english-light-v3.0 us.cohere.embed-v4:0
        embed-multilingual-v3.0 cohere.embed-english-v3""",
    "amazon nova": "us.amazon.nova-micro-v1:0 amazon.nova-pro-v1:0 amazon/nova-lite-v1",
    "amazon nova 2": "us.amazon.nova-2-lite-v1:0 amazon/nova-2-lite-v1",
    "amazon nova embeddings": "amazon.nova-2-multimodal-embeddings-v1:0",
    "amazon titan": "amazon.titan-text-express-v1 amazon.titan-embed-text-v2:0",
    "grok": "grok-4-fast-reasoning x-ai/grok-code-fast-1 grok-4.3 x-ai/grok-4.1-fast",
    "grok 4": "grok-4 x-ai/grok-4 grok-4-0709 grok-4-latest",
    "grok 2": "grok-2-1212 grok-3-mini x-ai/grok-3 grok-beta grok-2-vision-1212",
    "sonar": "sonar sonar-pro perplexity/sonar-reasoning-pro llama-3.1-sonar-small-128k-online",
    "jamba": "jamba-1.5-mini ai21.jamba-1-5-large-v1:0 ai21/jamba-large-1.7 ai21.j2-ultra-v1",
    "palmyra": "palmyra-x4 us.writer.palmyra-x5-v1:0",
    "voyage": "voyage-3-large voyage-code-3",
    "llama 4": """meta-llama/llama-4-maverick-17b-128e-instruct meta-llama/llama-guard-4-12b
        accounts/fireworks/models/llama4-scout-instruct-basic""",
    "llama 4 on Bedrock": "us.meta.llama4-maverick-17b-instruct-v1:0",
    "llama 3.1": """llama-3.3-70b-versatile llama3.1 llama3.1:8b us.meta.llama3-2-1b-instruct-v1:0
        meta-llama/Meta-Llama-3.1-70B-Instruct-Turbo @cf/meta/llama-3.3-70b-instruct-fp8-fast
        accounts/fireworks/models/llama-v3p1-8b-instruct meta-llama/llama-3.2-3b-instruct:free
        nvidia/llama-3.1-nemotron-70b-instruct nousresearch/hermes-3-llama-3.1-405b""",
    "llama 3": "llama3 llama3-8b-8192 meta.llama3-70b-instruct-v1:0 meta-llama/Meta-Llama-3-8B",
    "llama 2": "meta.llama2-13b-chat-v1 llama-2-70b-chat codellama/CodeLlama-34b-Instruct-hf",
    "qwen": """qwen/qwen3-32b qwen.qwen3-32b-v1:0 qwen3:0.6b qwen-max qwq-32b
        accounts/fireworks/models/qwen3-coder-480b-a35b-instruct""",
    "qwen 2": "Qwen/Qwen2.5-72B-Instruct-Turbo qwen2:7b qwen-2.5-coder-32b",
    "deepseek": "deepseek-chat deepseek/deepseek-chat-v3-0324 accounts/x/models/deepseek-v3p1",
    "deepseek r1": """deepseek-ai/DeepSeek-R1 deepseek-r1:8b us.deepseek.r1-v1:0
        deepseek/deepseek-r1""",
    "deepseek reasoner": "deepseek-reasoner deepseek-ai/DeepSeek-R1-0528",
    "deepseek 4": "deepseek-v4-flash deepseek/deepseek-v4-pro",
    "deepseek distilled": "deepseek-r1-distill-llama-70b deepseek-ai/DeepSeek-R1-Distill-Llama-8B",
    "deepseek distilled qwen": "deepseek-r1-distill-qwen-32b",
    "glm": "glm-4.7 zai.glm-4.7-flash z-ai/glm-4.6 zai-org/GLM-4.5-Air zai-glm-4.7 glm-4.6v",
    "glm 5": "glm-5.3 zai/GLM-5.2",
    "kimi": "moonshotai/kimi-k2-instruct-0905 moonshot.kimi-k2-thinking kimi-latest moonshot-v1-8k",
    "minimax": "minimax.minimax-m2 minimax/minimax-m2:free MiniMaxAI/MiniMax-M1",
    "gemma": "gemma3:1b google.gemma-3-27b-it google/gemma-2-9b-it",
    "phi": "microsoft/phi-4 phi3:mini Phi-4-mini-instruct",
    "granite": "ibm/granite-3-8b-instruct granite3.3:8b",
    "unknown": "my-own-model commander arn:aws:bedrock:eu-1:1:application-inference-profile/x",
}

NAMES = [(name, family) for family, names in FAMILIES.items() for name in names.split()]


@pytest.mark.parametrize(("name", "family"), NAMES)
def test_a_name_belongs_to_its_family(name: str, family: str) -> None:
    assert family_of(name).name == family


def test_what_has_no_name_is_unknown() -> None:
    assert family_of(None).name == family_of("").name == "unknown"

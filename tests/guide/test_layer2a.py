"""Integration guide, Layer 2a: LLM Call Tracking.

Covers the samples under: Step 6: Find all LLM call sites · Step 7: Determine token extraction for each site ·
Step 8: Add task.llm_call() at each site · Cost estimation helper · Optional: Prompt and response previews ·
LLM call metadata: Unlocking advanced analytics.
"""

from __future__ import annotations

import time
from types import SimpleNamespace

import pytest

from .hive import Hive
from .world import SONNET, LLMClient, count_tokens
from .your_app.observability import estimate_cost, get_current_task


def test_step_6_find_all_llm_call_sites(hive: Hive) -> None:
    llm_client = LLMClient()
    client = SimpleNamespace(chat=llm_client.chat_completions, messages=llm_client.messages)
    responses = []
    # Direct API calls
    responses.append(client.chat.completions.create(prompt="Which deal is next?"))
    responses.append(client.messages.create(prompt="Which deal is next?"))

    # Framework wrappers
    responses.append(llm_client.complete("Which deal is next?"))
    responses.append(llm_client.complete_with_tools("Which deal is next?"))
    responses.append(llm_client.complete_json("Which deal is next?"))

    catalog = ("reasoning", "tool_use", "reflection", "create_plan", "context_compaction")
    with hive.running_task() as task:
        for name, response in zip(catalog, responses, strict=True):
            task.llm_call(name, model=response.model, tokens_in=response.usage.input_tokens)
    assert [call.data["name"] for call in hive.events("llm_call")] == list(catalog)
    assert {call.data["tokens_in"] for call in hive.events("llm_call")} == {4}


def test_step_7_determine_token_extraction(capsys: pytest.CaptureFixture[str]) -> None:
    response = LLMClient().complete("Which deal is next?")
    # Discovery helper -- run once per client type
    for attr in dir(response):
        if any(k in attr.lower() for k in ["token", "usage", "cost", "model"]):
            print(f"response.{attr} = {getattr(response, attr, '?')}")

    printed = capsys.readouterr().out
    assert f"response.model = {SONNET}" in printed
    assert "response.usage = Usage(input_tokens=4, output_tokens=7" in printed


def test_step_8_add_task_llm_call_at_each_site(hive: Hive) -> None:
    llm_client = LLMClient()
    prompt, system = "Which deal is next?", "You sell."
    with hive.running_task():
        # 1. Time the call
        _start = time.perf_counter()
        response = llm_client.complete(prompt=prompt, system=system, max_tokens=2048)
        _elapsed_ms = (time.perf_counter() - _start) * 1000

        # 2. Extract tokens (adapt to your response shape)
        tokens_in = response.usage.input_tokens
        tokens_out = response.usage.output_tokens

        # 3. Report to HiveLoop
        _task = get_current_task()
        if _task:
            try:
                _task.llm_call(
                    "reasoning",  # descriptive name (not the model name)
                    model=response.model,  # model identifier
                    tokens_in=tokens_in,
                    tokens_out=tokens_out,
                    cost=estimate_cost(response.model, tokens_in, tokens_out),
                    duration_ms=round(_elapsed_ms),
                )
            except Exception:
                pass

    call = hive.one("llm_call")
    assert call.type == "custom"
    assert call.severity == "info"
    assert call.payload["tags"] == ["llm"]
    assert call.summary == f"reasoning → {SONNET} (4 in / 7 out, $0.000117)"
    assert call.data == {
        "name": "reasoning",
        "model": SONNET,
        "tokens_in": 4,
        "tokens_out": 7,
        "cost": pytest.approx(0.000117),
        "duration_ms": round(_elapsed_ms),
    }
    assert call.task == hive.one("task_started").task


def test_cost_estimation_helper(hive: Hive) -> None:
    assert estimate_cost("claude-haiku-4-5-20251001", 1_000_000, 500_000) == pytest.approx(2.80)
    assert estimate_cost("a-model-without-a-price", 1, 1) is None

    with hive.running_task() as task:
        task.llm_call(
            "classify", model="a-model-without-a-price", cost=estimate_cost("a-model-without-a-price", 1, 1)
        )
    assert hive.one("llm_call").data == {"name": "classify", "model": "a-model-without-a-price"}


@pytest.mark.parametrize("log_prompts", [True, False])
def test_optional_prompt_and_response_previews(hive: Hive, log_prompts: bool) -> None:
    config = SimpleNamespace(log_prompts=log_prompts)
    prompt = "Summarise the deal with TechNova. " * 20
    response = LLMClient("A long answer. " * 40).complete(prompt)
    tokens_in, tokens_out, _elapsed_ms = response.usage.input_tokens, response.usage.output_tokens, 812.4
    with hive.running_task() as _task:
        _task.llm_call(
            "reasoning",
            model=response.model,
            tokens_in=tokens_in,
            tokens_out=tokens_out,
            cost=estimate_cost(response.model, tokens_in, tokens_out),
            duration_ms=round(_elapsed_ms),
            # Only when config flag is enabled
            prompt_preview=prompt[:300] if config.log_prompts else None,
            response_preview=str(response.content)[:300] if config.log_prompts else None,
        )

    data = hive.one("llm_call").data
    assert data["duration_ms"] == 812
    if log_prompts:
        assert data["prompt_preview"] == prompt[:300]
        assert data["response_preview"] == response.content[:300]
    else:
        assert "prompt_preview" not in data
        assert "response_preview" not in data


def test_llm_call_metadata(hive: Hive) -> None:
    turn_count, model_context_limit = 3, 200_000
    system_prompt, messages, tool_results = "You sell.", ["Which deal is next?"], ["TechNova"]
    response = LLMClient().chat(messages, system=system_prompt)
    tokens_in, tokens_out, _elapsed_ms = response.usage.input_tokens, response.usage.output_tokens, 812.4
    with hive.running_task():
        _task = get_current_task()
        if _task:
            try:
                _task.llm_call(
                    "reasoning",
                    model=response.model,
                    tokens_in=tokens_in,
                    tokens_out=tokens_out,
                    cost=estimate_cost(response.model, tokens_in, tokens_out),
                    duration_ms=round(_elapsed_ms),
                    metadata={
                        # Turn tracking — which turn of the agentic loop is this?
                        "turn_number": turn_count,
                        # Cache tokens — how much prompt was cached by the provider?
                        "cache_creation_input_tokens": getattr(
                            response.usage, "cache_creation_input_tokens", 0
                        ),
                        "cache_read_input_tokens": getattr(response.usage, "cache_read_input_tokens", 0),
                        # Stop reason — did the model finish, hit max tokens, or use a tool?
                        "stop_reason": response.stop_reason,  # "end_turn", "max_tokens", "tool_use"
                        # Context window utilization — how full is the context?
                        "context_window_size": model_context_limit,  # e.g., 200000
                        "context_used_tokens": tokens_in,
                        "context_utilization_pct": round(tokens_in / model_context_limit * 100, 1),
                        # Prompt composition — what makes up the input tokens?
                        "system_prompt_tokens": count_tokens(system_prompt),
                        "history_tokens": count_tokens(messages),
                        "tool_results_tokens": count_tokens(tool_results),
                    },
                )
            except Exception:
                pass

    assert hive.one("llm_call").data["metadata"] == {
        "turn_number": 3,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 7,
        "stop_reason": "end_turn",
        "context_window_size": 200_000,
        "context_used_tokens": 6,
        "context_utilization_pct": 0.0,
        "system_prompt_tokens": 2,
        "history_tokens": 4,
        "tool_results_tokens": 1,
    }

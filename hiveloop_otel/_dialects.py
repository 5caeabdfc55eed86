"""Names that instrumentations give to the facts of a span: for each fact one table, the most trusted first.

Sources: semantic conventions 1.41.1 and the development version after it;
`openinference-semantic-conventions` 0.1.42; `opentelemetry-semantic-conventions-ai` 0.5.1 (OpenLLMetry,
Traceloop); the telemetry of the Vercel AI SDK, of Pydantic AI and Logfire, of Google's ADK, of MLflow,
LangSmith and Langfuse.
"""

from __future__ import annotations

import re
from typing import Literal

__all__ = [
    "ADK_MODEL_CALLS",
    "ADK_SCOPE",
    "AGENT_ID",
    "AGENT_NAME",
    "AGENT_NODE",
    "AGENT_VERSION",
    "AI_SCOPES",
    "CACHE_CREATION",
    "CACHE_READ",
    "COST",
    "COST_PARTS",
    "ERROR_MESSAGE",
    "ERROR_TYPE",
    "FINISH",
    "FIRST_CHUNK",
    "FRAMEWORKS",
    "GENERIC",
    "KINDS",
    "KIND_NAMES",
    "MODEL",
    "NO_PROVIDERS",
    "NUMBERS",
    "OPERATION",
    "PENDING",
    "PREFIX",
    "PROVIDER",
    "PROVIDERS",
    "REASONING",
    "RESPONSE_MODEL",
    "SAYS_NOTHING",
    "SCOPES",
    "SESSION",
    "SIGNS",
    "SIGNS_OF_A_CALL",
    "SPAN_NAMES",
    "SUFFIX",
    "TEXTS",
    "TOKENS",
    "TOKENS_IN",
    "TOKENS_OUT",
    "TOOL_CALL_ID",
    "TOOL_NAME",
    "TOOL_TYPE",
    "UNIQUE",
    "VECTOR_STORES",
    "WORKFLOW",
    "Kind",
    "Name",
]

Kind = Literal["agent", "workflow", "tool", "llm", "embedding", "retrieval", "step", "other"]
"""What a span is about. "step" is a part of the work that is none of the others, such as a chain or a
guardrail; "other" is a span that is not about AI at all."""

Name = str | tuple[str, str]
"""An attribute, or an attribute with JSON and the key in it."""

AGENT_NAME: tuple[Name, ...] = (
    "gen_ai.agent.name",
    "agent.name",
    "agent_name",
    "hiveloop.agent.id",
    "ai.telemetry.functionId",
)
AGENT_NODE: tuple[Name, ...] = ("graph.node.name", "graph.node.id", "traceloop.entity.name")
"""Names of agents on agent spans only: other spans use them for other things."""
AGENT_ID: tuple[Name, ...] = ("gen_ai.agent.id", "hiveloop.agent.id")
AGENT_VERSION: tuple[Name, ...] = ("gen_ai.agent.version", "hiveloop.agent.version")
WORKFLOW: tuple[Name, ...] = ("gen_ai.workflow.name", "traceloop.workflow.name")
SESSION: tuple[Name, ...] = (
    "gen_ai.conversation.id",
    "session.id",
    "gcp.vertex.agent.session_id",
    "traceloop.association.properties.session_id",
    "traceloop.association.properties.thread_id",
    "traceloop.association.properties.conversation_id",
    "langfuse.session.id",
    "langsmith.trace.session_id",
    "mlflow.trace.session",
    "ai.telemetry.metadata.sessionId",
    "gen_ai.session.id",
    ("metadata", "session_id"),
    ("metadata", "thread_id"),
)
OPERATION: tuple[Name, ...] = ("gen_ai.operation.name", "llm.request.type", "ai.operationId")
MODEL: tuple[Name, ...] = (
    "gen_ai.request.model",
    "llm.request.model_name",
    "llm.model_name",
    "embedding.model_name",
    "reranker.model_name",
    "ai.model.id",
    "llm.request.model",
    "langfuse.observation.model.name",
    "mlflow.llm.model",
    "model_name",
    ("llm.invocation_parameters", "model"),
    ("embedding.invocation_parameters", "model"),
    "gen_ai.response.model",
    "llm.response.model_name",
    "llm.response.model",
)
RESPONSE_MODEL: tuple[Name, ...] = (
    "gen_ai.response.model",
    "llm.response.model_name",
    "ai.response.model",
    "llm.response.model",
)
PROVIDER: tuple[Name, ...] = (
    "gen_ai.provider.name",
    "llm.provider",
    "gen_ai.system",
    "llm.system",
    "ai.model.provider",
    "llm.vendor",
    "mlflow.llm.provider",
)
TOKENS_IN: tuple[Name, ...] = (
    "gen_ai.usage.input_tokens",
    "gen_ai.usage.prompt_tokens",
    "llm.token_count.prompt",
    "llm.usage.prompt_tokens",
    "ai.usage.inputTokens",
    "ai.usage.promptTokens",
    "ai.usage.tokens",
    ("mlflow.chat.tokenUsage", "input_tokens"),
    ("langfuse.observation.usage_details", "input"),
)
TOKENS_OUT: tuple[Name, ...] = (
    "gen_ai.usage.output_tokens",
    "gen_ai.usage.completion_tokens",
    "llm.token_count.completion",
    "llm.usage.completion_tokens",
    "ai.usage.outputTokens",
    "ai.usage.completionTokens",
    ("mlflow.chat.tokenUsage", "output_tokens"),
    ("langfuse.observation.usage_details", "output"),
)
TOKENS: tuple[Name, ...] = (
    "gen_ai.usage.total_tokens",
    "llm.token_count.total",
    "llm.usage.total_tokens",
    "ai.usage.totalTokens",
    ("mlflow.chat.tokenUsage", "total_tokens"),
    ("langfuse.observation.usage_details", "total"),
)
CACHE_READ: tuple[Name, ...] = (
    "gen_ai.usage.cache_read.input_tokens",
    "gen_ai.usage.cache_read_input_tokens",
    "gen_ai.usage.details.cache_read_tokens",
    "gen_ai.usage.input_tokens.cached",
    "llm.token_count.prompt_details.cache_read",
    "llm.usage.cache_read_input_tokens",
    "ai.usage.cachedInputTokens",
    ("mlflow.chat.tokenUsage", "cache_read_input_tokens"),
)
CACHE_CREATION: tuple[Name, ...] = (
    "gen_ai.usage.cache_creation.input_tokens",
    "gen_ai.usage.cache_write.input_tokens",
    "gen_ai.usage.cache_creation_input_tokens",
    "gen_ai.usage.cache_write_input_tokens",
    "gen_ai.usage.details.cache_write_tokens",
    "llm.token_count.prompt_details.cache_write",
    "llm.usage.cache_creation_input_tokens",
    ("mlflow.chat.tokenUsage", "cache_creation_input_tokens"),
)
REASONING: tuple[Name, ...] = (
    "gen_ai.usage.reasoning.output_tokens",
    "gen_ai.usage.reasoning_tokens",
    "gen_ai.usage.details.reasoning_tokens",
    "gen_ai.usage.output_tokens.reasoning",
    "llm.token_count.completion_details.reasoning",
    "llm.usage.reasoning_tokens",
    "ai.usage.reasoningTokens",
)
COST: tuple[Name, ...] = (
    "hiveloop.llm.cost_usd",
    "gen_ai.usage.cost",
    "operation.cost",
    "llm.cost.total",
    "gen_ai.usage.total_cost",
    "gen_ai.cost.total_cost",
    ("langfuse.observation.cost_details", "total"),
    ("mlflow.llm.cost", "total_cost"),
)
COST_PARTS: tuple[tuple[Name, Name], ...] = (
    ("llm.cost.prompt", "llm.cost.completion"),
    ("gen_ai.usage.prompt_cost", "gen_ai.usage.completion_cost"),
    ("gen_ai.usage.input_cost", "gen_ai.usage.output_cost"),
)
FINISH: tuple[Name, ...] = (
    "hiveloop.llm.stop_reason",
    "gen_ai.response.finish_reasons",
    "gen_ai.response.finish_reason",
    "gen_ai.response.stop_reason",
    "llm.finish_reason",
    "llm.response.finish_reason",
    "llm.response.stop_reason",
    "ai.response.finishReason",
    "gen_ai.completion.0.finish_reason",
)
TOOL_NAME: tuple[Name, ...] = (
    "gen_ai.tool.name",
    "tool.name",
    "ai.toolCall.name",
    "mcp.tool.name",
)
TOOL_TYPE: tuple[Name, ...] = ("hiveloop.tool.category", "gen_ai.tool.type")
TOOL_CALL_ID: tuple[Name, ...] = ("gen_ai.tool.call.id", "ai.toolCall.id", "tool.id", "tool_call.id")
TEXTS: dict[str, tuple[Name, ...]] = {
    "response_id": ("gen_ai.response.id", "ai.response.id", "llm.response.id"),
    "prompt_name": ("gen_ai.prompt.name", "traceloop.prompt.key", "prompt.id"),
}
NUMBERS: dict[str, tuple[Name, ...]] = {
    "temperature": (
        "gen_ai.request.temperature",
        "ai.settings.temperature",
        ("llm.invocation_parameters", "temperature"),
        ("model_request_parameters", "temperature"),
    ),
    "top_p": ("gen_ai.request.top_p", "ai.settings.topP", ("llm.invocation_parameters", "top_p")),
    "top_k": ("gen_ai.request.top_k", "llm.top_k", ("llm.invocation_parameters", "top_k")),
    "max_tokens": (
        "gen_ai.request.max_tokens",
        "gen_ai.request.max_completion_tokens",
        "ai.settings.maxOutputTokens",
        ("llm.invocation_parameters", "max_tokens"),
    ),
    "seed": ("gen_ai.request.seed", ("llm.invocation_parameters", "seed")),
    "turn_number": ("hiveloop.llm.turn_number",),
    "time_to_first_token_ms": ("ai.response.msToFirstChunk", "ai.stream.msToFirstChunk"),
}
FIRST_CHUNK: tuple[Name, ...] = ("gen_ai.response.time_to_first_chunk",)
"""Seconds."""
ERROR_TYPE: tuple[Name, ...] = ("error.type", "exception.type")
ERROR_MESSAGE: tuple[Name, ...] = (
    "error.message",
    "exception.message",
    "hiveloop.llm.error",
    "langfuse.observation.status_message",
)

PROVIDERS = {
    "google": "gcp.gen_ai",
    "gemini": "gcp.gemini",
    "vertexai": "gcp.vertex_ai",
    "vertex_ai": "gcp.vertex_ai",
    "gcp.vertex.agent": "gcp.vertex_ai",
    "aws": "aws.bedrock",
    "bedrock": "aws.bedrock",
    "amazon_bedrock": "aws.bedrock",
    "azure": "azure.ai.openai",
    "azure_openai": "azure.ai.openai",
    "az.ai.openai": "azure.ai.openai",
    "az.ai.inference": "azure.ai.inference",
    "mistral": "mistral_ai",
    "mistralai": "mistral_ai",
    "xai": "x_ai",
    "moonshot": "moonshot_ai",
    "watsonx": "ibm.watsonx.ai",
}
"""Names that others use for the providers of the conventions."""
NO_PROVIDERS = frozenset(
    (
        "unknown",
        "langchain",
        "langgraph",
        "llamaindex",
        "llama_index",
        "crewai",
        "strands-agents",
        "autogen",
        "haystack",
    )
)
"""Frameworks that instrumentations write where the model's provider belongs."""

# -- kinds ------------------------------------------------------------------------------------

KIND_NAMES = (
    "openinference.span.kind",
    "gen_ai.operation.name",
    "traceloop.span.kind",
    "llm.request.type",
    "ai.operationId",
    "langsmith.span.kind",
    "langfuse.observation.type",
    "mlflow.spanType",
    "agentops.span.kind",
)
"""Attributes that say of themselves what a span is about."""
KINDS: dict[str, Kind] = {
    "agent": "agent",
    "invoke_agent": "agent",
    "workflow": "workflow",
    "invoke_workflow": "workflow",
    "invoke_graph": "workflow",
    "invoke_swarm": "workflow",
    "tool": "tool",
    "execute_tool": "tool",
    "running tool": "tool",
    "ai.toolcall": "tool",
    "llm": "llm",
    "chat": "llm",
    "chat_model": "llm",
    "completion": "llm",
    "completions": "llm",
    "text_completion": "llm",
    "generate_content": "llm",
    "generation": "llm",
    "responses": "llm",
    "embedding": "embedding",
    "embeddings": "embedding",
    "retrieval": "retrieval",
    "retriever": "retrieval",
    "rerank": "retrieval",
    "reranker": "retrieval",
    "vector_db_retrieve": "retrieval",
    "search_memory": "retrieval",
    "ai.generatetext": "agent",
    "ai.streamtext": "agent",
    "ai.generateobject": "agent",
    "ai.streamobject": "agent",
    "ai.embed": "step",
    "ai.embedmany": "step",
    "create_agent": "other",
    "chain": "step",
    "task": "step",
    "guardrail": "step",
    "evaluator": "step",
    "prompt": "step",
    "parser": "step",
    "decision": "step",
}
SAYS_NOTHING = frozenset(("unknown", "span", "event"))
"""Values of them that leave it open."""
AI_SCOPES = ("openinference.",)
"""Beginnings of the names of instrumentations all of whose spans are about AI, and say only at their end what
they are about."""
VECTOR_STORES = frozenset(
    ("pinecone", "chroma", "chromadb", "qdrant", "milvus", "weaviate", "marqo", "lancedb", "pgvector")
)
SIGNS: frozenset[object] = frozenset(
    (*KIND_NAMES, *MODEL, *TOOL_NAME, "mcp.method.name", "db.system", "db.system.name")
)
"""Attributes of which a span about AI has at least one, unless its name says what it is about."""
SIGNS_OF_A_CALL = tuple(n for n in (*PROVIDER, *TOKENS_IN, *TOKENS) if isinstance(n, str))
"""Attributes of which the call of a model has at least one beside the model."""
SPAN_NAMES = re.compile(
    r"(?P<kind>invoke_agent|execute_tool|invoke_workflow)(?: (?P<name>.+))?\Z"
    r"|(?P<agent>agent run)\Z|running tool(?::? (?P<tool>.+))?\Z|(?P<step>running (?:\d+ )?tools)\Z"
)
"""Span names that say what a span is about before it has attributes."""
ADK_SCOPE, ADK_MODEL_CALLS = "gcp.vertex.agent", ("call_llm", "generate_content")
PENDING = ("logfire.span_type", "pending_span")

PREFIX = re.compile(
    r"(?:invoke_agent|create_agent|execute_tool|invoke_workflow|running tool:?|chat|embeddings?|retrieval"
    r"|text_completion|generate_content) (?=.)"
)
SUFFIX = re.compile(
    r"(?<=.)\.(?:kickoff|_?execute_core|a?run|a?invoke|agent|workflow|task|tool|chat|completion)\Z"
)
UNIQUE = re.compile(
    r"[\s_.:#-]*(?:[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}|[0-9a-f]{16,}|\d{6,})\Z", re.IGNORECASE
)
"""What makes a name another one in each run; agents must not be named so."""
GENERIC = frozenset(
    (
        "agent",
        "agent run",
        "invoke_agent",
        "create_agent",
        "crew",
        "agent workflow",
        "invocation",
        "unknown",
        "",
    )
)
"""Names of agent spans that name no agent."""


# -- frameworks ------------------------------------------------------------------------------

FRAMEWORKS = re.compile(
    r"(?:openinference|opentelemetry|traceloop)\.instrumentation\.(?:genai\.)?(?P<name>[A-Za-z0-9_]+?)(?:_v2)?(?:\.|\Z)"
)
SCOPES = {"gcp.vertex.agent": "google-adk", "pydantic-ai": "pydantic-ai", "ai": "vercel-ai"}

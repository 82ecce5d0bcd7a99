"""The providers' names, as they stand in logs and beside what is kept verbatim: never to be changed."""

from managedagents.v1 import agent_pb2

OPENAI = "openai"
OPENAI_COMPATIBLE = "openai-compatible"
ANTHROPIC = "anthropic"
GEMINI = "gemini"
OLLAMA = "ollama"
SCRIPTED = "scripted"

BY_PROVIDER = {
    agent_pb2.PROVIDER_OPENAI: OPENAI,
    agent_pb2.PROVIDER_OPENAI_COMPATIBLE: OPENAI_COMPATIBLE,
    agent_pb2.PROVIDER_ANTHROPIC: ANTHROPIC,
    agent_pb2.PROVIDER_GEMINI: GEMINI,
    agent_pb2.PROVIDER_OLLAMA: OLLAMA,
}

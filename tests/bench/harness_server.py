"""An OpenAI-compatible endpoint with a fixed latency: `python harness_server.py LATENCY_MS` prints its port.

Its answers depend on the question alone. GET /served says how it went since the last time it was asked: how many
answers it gave, how long from the first question to the last answer, and its own median latency.
"""

import asyncio
import json
import statistics
import sys
import time

from aiohttp import web

LATENCY_S = float(sys.argv[1]) / 1000


class Served:
    """What was asked so far."""

    def __init__(self) -> None:
        self.spans: list[tuple[float, float]] = []

    async def chat(self, request: web.Request) -> web.Response:
        started = time.perf_counter()
        body = json.loads(await request.read())
        question = body["messages"][-1]["content"]
        if isinstance(question, list):
            question = question[0]["text"]
        answer = {
            "id": "c",
            "object": "chat.completion",
            "created": 1,
            "model": body["model"],
            "choices": [
                {
                    "index": 0,
                    "message": {"role": "assistant", "content": json.dumps({"answer": len(question)})},
                    "finish_reason": "stop",
                }
            ],
            "usage": {"prompt_tokens": len(question) // 4, "completion_tokens": 6, "total_tokens": 6},
        }
        await asyncio.sleep(LATENCY_S - (time.perf_counter() - started))
        self.spans.append((started, time.perf_counter()))
        return web.json_response(answer)

    async def models(self, _: web.Request) -> web.Response:
        return web.json_response({"object": "list", "data": [{"id": "m", "object": "model"}]})

    async def served(self, _: web.Request) -> web.Response:
        spans, self.spans = self.spans, []
        if not spans:
            return web.json_response({"count": 0})
        seconds = max(end for _, end in spans) - min(start for start, _ in spans)
        p50_ms = statistics.median(end - start for start, end in spans) * 1000
        return web.json_response({"count": len(spans), "seconds": seconds, "p50_ms": p50_ms})


async def main() -> None:
    """Serve until standard input ends."""
    served = Served()
    app = web.Application(client_max_size=1 << 26)
    app.router.add_post("/v1/chat/completions", served.chat)
    app.router.add_get("/v1/models", served.models)
    app.router.add_get("/served", served.served)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, backlog=1024)
    await site.start()
    print(runner.addresses[0][1], flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    await runner.cleanup()


asyncio.run(main())

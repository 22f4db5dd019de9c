"""An OpenAI-compatible endpoint with a fixed latency: `python harness_server.py LATENCY_MS` prints its port.

Its answers depend on the question alone. GET /times gives the milliseconds that it took over each answer.
"""

import asyncio
import json
import sys
import time

from aiohttp import web

LATENCY_S = float(sys.argv[1]) / 1000


class Served:
    """What was asked so far."""

    def __init__(self) -> None:
        self.times: list[float] = []

    async def chat(self, request: web.Request) -> web.Response:
        started = time.perf_counter()
        body = json.loads(await request.read())
        question = body["messages"][-1]["content"]
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
        self.times.append((time.perf_counter() - started) * 1000)
        return web.json_response(answer)

    async def list_times(self, _: web.Request) -> web.Response:
        times, self.times = self.times, []
        return web.json_response(times)


async def main() -> None:
    """Serve until standard input ends."""
    served = Served()
    app = web.Application(client_max_size=1 << 26)
    app.router.add_post("/v1/chat/completions", served.chat)
    app.router.add_get("/times", served.list_times)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, backlog=1024)
    await site.start()
    print(runner.addresses[0][1], flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    await runner.cleanup()


asyncio.run(main())

"""One batch of commands over one connection: sent together, and all answers read.

Rules:
- A batch is one packet, and one round trip.
- An answer that is an error is returned in its place. A failure of the connection is raised.
- If the connection broke, the batch is sent again, once: see `scripts`.
"""

from typing import Any

import redis

from .commands import Batch


def exchange(client: Any, batch: Batch) -> list[Any]:
    """The answers of a server, waiting on this thread. `client`: a `redis.Redis`."""
    if len(batch.commands) == 1:
        try:
            return [client.execute_command(*batch.commands[0].words)]
        except redis.ResponseError as error:
            return [error]
    pipeline = client.pipeline(transaction=False)
    for command in batch.commands:
        pipeline.execute_command(*command.words)
    answers: list[Any] = pipeline.execute(raise_on_error=False)
    return answers


async def exchange_on_loop(client: Any, batch: Batch) -> list[Any]:
    """The same, awaited. `client`: a `redis.asyncio.Redis`."""
    if len(batch.commands) == 1:
        try:
            return [await client.execute_command(*batch.commands[0].words)]
        except redis.ResponseError as error:
            return [error]
    pipeline = client.pipeline(transaction=False)
    for command in batch.commands:
        pipeline.execute_command(*command.words)
    answers: list[Any] = await pipeline.execute(raise_on_error=False)
    return answers

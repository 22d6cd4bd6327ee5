"""ministack on a free port of this machine, until standard input ends. Its files go into TMPDIR."""

import asyncio
import os
import socket
import sys


async def main() -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    os.environ["GATEWAY_PORT"] = port = str(listener.getsockname()[1])
    os.environ["STATE_DIR"] = os.environ["TMPDIR"]
    os.environ |= {"SERVICES": "cognito-idp", "SFTP_ENABLED": "0", "IOT_MTLS_ENABLED": "0"}
    from hypercorn.asyncio import serve
    from hypercorn.config import Config
    from ministack.app import app

    config = Config()
    config.bind = [f"fd://{listener.detach()}"]
    print(f"http://127.0.0.1:{port}", flush=True)  # noqa: T201
    await serve(app, config, shutdown_trigger=lambda: asyncio.to_thread(sys.stdin.read))


if __name__ == "__main__":
    asyncio.run(main())

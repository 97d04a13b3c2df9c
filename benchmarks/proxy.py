"""A TCP proxy on loopback that can cut, stall and delay what passes through it."""

import asyncio
import threading
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")
_CHUNK = 65536


class Proxy:
    """Passes connections on ``port`` of 127.0.0.1 on to a server until it is told otherwise. Made by `proxied`."""

    def __init__(self, target: Path | int) -> None:
        self._target = target
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True)
        self._writers: set[asyncio.StreamWriter] = set()
        self.port = 0
        self.delay_s = 0.0
        """Seconds by which everything that passes is late."""

    def reset(self) -> int:
        """Abort every connection (RST, or an end where the system will not); how many there were."""
        return self._do(self._reset())

    def blackhole(self) -> None:
        """Let nothing through from now on: connections are accepted and stay silent."""
        self._do(self._stall(True))

    def restore(self) -> None:
        """Let everything through again, first what was held back."""
        self._do(self._stall(False))

    async def _reset(self) -> int:
        aborted = len(self._writers) // 2
        for writer in list(self._writers):
            writer.transport.abort()
        return aborted

    async def _stall(self, stalled: bool) -> None:
        self._open.clear() if stalled else self._open.set()

    async def _start(self) -> None:
        self._open = asyncio.Event()
        self._open.set()
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _stop(self) -> None:
        self._server.close()
        await self._reset()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self._open.wait()
        try:
            if isinstance(self._target, Path):
                there, back = await asyncio.open_unix_connection(self._target)
            else:
                there, back = await asyncio.open_connection("127.0.0.1", self._target)
        except OSError:  # the server is away: so is whoever it was reached through
            writer.transport.abort()
            return
        self._writers |= {writer, back}
        try:
            await asyncio.gather(self._pump(reader, back), self._pump(there, writer))
        finally:
            self._writers -= {writer, back}

    async def _pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await source.read(_CHUNK):
                await self._open.wait()
                await asyncio.sleep(self.delay_s)
                sink.write(data)
                await sink.drain()
        with suppress(OSError):
            sink.close()

    def _do(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(10)


@contextmanager
def proxied(target: Path | int) -> Iterator[Proxy]:
    """A proxy before a server on a unix socket, or on a port of 127.0.0.1."""
    proxy = Proxy(target)
    proxy._thread.start()
    try:
        proxy._do(proxy._start())
        try:
            yield proxy
        finally:
            proxy._do(proxy._stop())
    finally:
        proxy._loop.call_soon_threadsafe(proxy._loop.stop)
        proxy._thread.join()
        proxy._loop.close()

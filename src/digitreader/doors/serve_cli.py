"""`digitreader serve`: the HTTP service, with every setting as an option."""

from __future__ import annotations

import os
import signal
import socket
import sys
import tempfile
from contextlib import ExitStack
from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args, get_type_hints

import click

from digitreader.doors.service.settings import Settings
from digitreader.errors import UsageError, needs_extra

if TYPE_CHECKING:
    import uvicorn

WORKER_SECONDS = 30  # for a worker to start, and to answer its parent: a busy one is no dead one
KINDS: dict[Any, click.ParamType[Any]] = {
    str: click.STRING,
    int: click.IntRange(min=0),
    float: click.FloatRange(min=0),
    Path | None: click.Path(dir_okay=False, path_type=Path),
}


def _options(command: Any) -> Any:
    """Give the command an option for each setting."""
    told = get_type_hints(Settings, include_extras=True)
    for each in reversed(fields(Settings)):
        kind, about = get_args(told[each.name])
        command = click.option(
            f"--{each.name.replace('_', '-')}",
            type=KINDS[kind],
            default=each.default,
            envvar=f"DIGITREADER_{each.name.upper()}",
            show_default=each.default is not None,
            show_envvar=True,
            help=about,
        )(command)
    return command


@click.command()
@_options
def serve(**settings: Any) -> None:
    """Read pictures for others over HTTP, until SIGTERM or Ctrl-C.

    Each option has an environment variable, too. The limits are those of each worker.

    \b
    digitreader serve
    curl -H 'Content-Type: image/png' --data-binary @7.png http://127.0.0.1:8000/read
    """
    chosen = Settings(**settings)
    with ExitStack() as stack:
        if chosen.workers > 1:
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="digitreader-metrics-"))
            os.environ["PROMETHEUS_MULTIPROC_DIR"] = folder
        with needs_extra("the HTTP service", "api"):
            import uvicorn

            from digitreader.doors.service.app import create
            from digitreader.doors.service.connections import Connection
        app = create(chosen)  # also tells what is wrong before any worker starts
        listener = stack.enter_context(_listening(chosen))
        config = uvicorn.Config(
            app if chosen.workers < 2 else partial(create, chosen),
            factory=chosen.workers > 1,
            http=partial(Connection, settings=chosen),  # type: ignore[arg-type]
            ws="none",
            workers=chosen.workers,
            backlog=chosen.max_connections,
            timeout_keep_alive=chosen.idle_seconds,
            timeout_graceful_shutdown=chosen.drain_seconds,
            timeout_worker_healthcheck=WORKER_SECONDS,
            log_level="error",
            access_log=False,
            server_header=False,
        )
        _run(config, listener)


def _listening(settings: Settings) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    place = (settings.host, settings.port)
    try:
        return socket.create_server(place, family=family, backlog=settings.max_connections)
    except (OSError, OverflowError) as error:
        raise UsageError(
            f"cannot listen at {settings.host}, port {settings.port}: {error}; "
            "try another --port, or --port 0 for a free one"
        ) from error


def _run(config: uvicorn.Config, listener: socket.socket) -> None:
    """Serve until a signal comes; what connects before all is ready waits."""
    from uvicorn import Server
    from uvicorn.supervisors import Multiprocess

    class Workers(Multiprocess):
        """Lets go of the door when it ends its workers, or callers would wait behind it."""

        def terminate_all(self) -> None:
            super().terminate_all()
            listener.close()

    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # what uvicorn comes back to
    host, port = listener.getsockname()[:2]
    shown = f"[{host}]" if ":" in host else host
    click.echo(f"Reading digits at http://{shown}:{port}; Ctrl-C ends it.", err=True)
    if config.workers > 1:
        Workers(config, sockets=[listener]).run()
    else:
        Server(config).run(sockets=[listener])

"""The commands `generate` and `chat`: the stub from a shell.

Exit codes: 0 done, 1 the call failed (one line on stderr says why), 2 the command line is wrong, 130 Ctrl-C.
"""

import json
import os
import sys
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import cast

from gateway.client.errors import InferenceError
from gateway.client.messages import Message
from gateway.client.options import TLS, ChatOptions, GenerateOptions
from gateway.client.results import ChatDelta, GenerateDelta, Reply
from gateway.client.session import Session
from gateway.client.sync import SyncClient, SyncStream

OK, FAILED, INTERRUPTED = 0, 1, 130

_ADDRESS = "INFERENCE_GATEWAY_ADDRESS"
_API_KEY = "INFERENCE_GATEWAY_API_KEY"
_DIM, _PLAIN = "\x1b[2m", "\x1b[0m"

_Show = Callable[[GenerateDelta | ChatDelta], None]


def generate(argv: Sequence[str]) -> int:
    """Stream the continuation of a prompt to stdout."""
    parser = _parser("generate", generate.__doc__)
    parser.add_argument("prompt", metavar="PROMPT", help="'-' reads it from stdin")
    arguments = _parsed(parser, argv)
    return _run(lambda: _generate(arguments))


def chat(argv: Sequence[str]) -> int:
    """Answer one message, or hold a conversation in which Ctrl-C stops an answer and Ctrl-D says goodbye."""
    parser = _parser("chat", chat.__doc__)
    parser.add_argument("message", metavar="MESSAGE", nargs="?", help="'-' reads it from stdin; none: a conversation")
    parser.add_argument("--system", default="", metavar="TEXT", help="what the model is told first")
    arguments = _parsed(parser, argv)
    return _run(lambda: _chat(arguments))


def _generate(arguments: Namespace) -> None:
    show = _show_json if arguments.json else _show_text
    with _client(arguments) as client, client.generate(_text(arguments.prompt), **_options(arguments)) as stream:
        for delta in stream:
            show(delta)


def _chat(arguments: Namespace) -> None:
    show = _show_json if arguments.json else _show_text
    system = [Message("system", arguments.system)] if arguments.system else []
    with _client(arguments) as client:
        session = client.session(system, **cast(ChatOptions, _options(arguments)))
        if arguments.message is None:
            _converse(session, show)
        else:
            _answer(session, _text(arguments.message), show)


def _answer(session: Session[SyncStream[ChatDelta, Reply]], message: str, show: _Show) -> None:
    with session.chat(message) as stream:
        for delta in stream:
            show(delta)


def _converse(session: Session[SyncStream[ChatDelta, Reply]], show: _Show) -> None:
    while True:
        try:
            message = input("> " if sys.stdin.isatty() else "")
        except EOFError:
            return
        try:
            if message:
                _answer(session, message, show)
        except KeyboardInterrupt:
            sys.stdout.write("\n")
        except InferenceError as error:
            _complain(error)


def _show_json(delta: GenerateDelta | ChatDelta) -> None:
    sys.stdout.write(json.dumps(asdict(delta)) + "\n")
    sys.stdout.flush()


def _show_text(delta: GenerateDelta | ChatDelta) -> None:
    sys.stdout.write(delta.text if isinstance(delta, GenerateDelta) else _spoken(delta))
    sys.stdout.write("" if delta.finish_reason is None else "\n")
    sys.stdout.flush()


def _spoken(delta: ChatDelta) -> str:
    """Return content, and what the model thinks where it can be told from that."""
    if not (delta.reasoning and sys.stdout.isatty()):
        return delta.content
    return f"{_DIM}{delta.reasoning}{_PLAIN}"


def _run(command: Callable[[], None]) -> int:
    try:
        command()
        return OK
    except InferenceError as error:
        _complain(error)
        return FAILED
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # Whoever read the output has left: the flush at exit must not complain of it once more.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED


def _complain(error: InferenceError) -> None:
    advice = " (the same may succeed later)" if error.retry_makes_sense else ""
    sys.stderr.write(f"inference-gateway: {' '.join(str(error).split())}{advice}\n")


def _parser(command: str, description: str | None) -> ArgumentParser:
    epilog = "Exit codes: 0 done, 1 the call failed, 2 wrong usage, 130 Ctrl-C."
    parser = ArgumentParser(f"inference-gateway {command}", description=description, epilog=epilog)
    flag = parser.add_argument
    address = os.environ.get(_ADDRESS, "127.0.0.1:8080")
    flag("--address", default=address, metavar="HOST:PORT", help=f"gateway or replica; default ${_ADDRESS}: {address}")
    flag("--json", action="store_true", help="one JSON object a line for each delta")
    flag("--tls", action="store_true", help=f"use TLS; an API key is taken from ${_API_KEY}")
    flag("--tls-ca", type=_file, metavar="FILE", help="PEM of the authorities to trust; implies --tls")
    flag("--tls-cert", type=_file, metavar="FILE", help="PEM of the client's own certificate chain, with --tls-key")
    flag("--tls-key", type=_file, metavar="FILE", help="PEM of its private key")
    flag("--tls-server-name", default="", metavar="NAME", help="in the server's certificate, if not the address")
    # From here on the names are those of gateway.client.options.
    flag("--model", help="may be left out where one model is served")
    flag("--max-tokens", type=_count, metavar="N")
    flag("--temperature", type=float, metavar="T", help="0 is greedy")
    flag("--top-p", type=float, metavar="P")
    flag("--seed", type=int)
    flag("--stop", action="append", dest="stop_strings", metavar="TEXT", help="ends the answer; may be repeated")
    flag("--priority", type=int, help="lower is sooner")
    flag("--session-id", metavar="ID")
    flag("--timeout-s", type=float, metavar="S")
    flag("--retries", type=_count, metavar="N", help="begin again what failed before anything was received")
    return parser


def _parsed(parser: ArgumentParser, argv: Sequence[str]) -> Namespace:
    arguments = parser.parse_args(argv)
    if bool(arguments.tls_cert) != bool(arguments.tls_key):
        parser.error("--tls-cert and --tls-key go together")
    return arguments


def _client(arguments: Namespace) -> SyncClient:
    ca, chain, key, name = arguments.tls_ca, arguments.tls_cert, arguments.tls_key, arguments.tls_server_name
    tls: bool | TLS = arguments.tls
    if ca or chain or name:
        tls = TLS(root_certificates=ca, private_key=key, certificate_chain=chain, server_name=name)
    return SyncClient(arguments.address, tls=tls, api_key=os.environ.get(_API_KEY, ""))


def _options(arguments: Namespace) -> GenerateOptions:
    known = GenerateOptions.__optional_keys__
    return cast(GenerateOptions, {k: v for k, v in vars(arguments).items() if k in known and v is not None})


def _text(argument: str) -> str:
    return sys.stdin.read() if argument == "-" else argument


def _count(text: str) -> int:
    if text.isdecimal() and 0 < int(text) < 2**32:
        return int(text)
    raise ArgumentTypeError(f"not a positive number: {text!r}")


def _file(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise ArgumentTypeError(f"cannot read {path}: {error.strerror}") from None

# SPDX-License-Identifier: Apache-2.0
"""The command line: ``python3 -m devcloud``."""

import argparse
import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from types import FrameType

from devcloud import cloud, process, session, state
from devcloud.demo import client_help, run_demo
from devcloud.errors import DevcloudError
from devcloud.layout import Layout
from devcloud.seed import run_seed
from devcloud.terminal import exports, timed_progress

EXIT_NOT_UP = 3


class _Terminated(BaseException):
    """SIGTERM, as an exception, so that it takes the way of Ctrl-C."""


def _terminate(_signum: int, _frame: FrameType | None) -> None:
    raise _Terminated


def up(args: argparse.Namespace) -> int:
    """Start the cloud."""
    say = timed_progress()
    if cloud.up(args.layout, say):
        say("the cloud is up")
    else:
        say("the cloud is up already")
    print("# clouds: devcloud (admin), devcloud-member, devcloud-reader")
    print(exports(cloud.client_environment(args.layout)))
    return 0


def down(args: argparse.Namespace) -> int:
    """End the cloud; its logs stay."""
    print("the cloud is down" if cloud.down(args.layout) else "the cloud was not up")
    return 0


def status(args: argparse.Namespace) -> int:
    """Show the services; exit code 3 unless all are up."""
    current = session.running(args.layout)
    if current is None:
        last = state.read(args.layout.state_file)
        killed = last is not None and last.phase in (state.STARTING, state.READY)
        print("not up (it was killed)" if killed else "not up")
        return EXIT_NOT_UP
    good = current.phase == state.READY
    for name, service in current.services.items():
        # Both: the supervisor notes an end a moment after it happened.
        alive = service.exit_code is None and process.start_time(service.pid) is not None
        good = good and alive
        condition = "ok" if alive else f"ended ({service.exit_code})"
        print(f"{name:10} {service.pid:8} {service.url:26} {condition}")
    print(f"{'supervisor':10} {current.pid:8} {'':26} {current.phase}")
    return 0 if good else EXIT_NOT_UP


def env(args: argparse.Namespace) -> int:
    """Print the export lines for a shell."""
    print(exports(cloud.client_environment(args.layout)))
    return 0 if session.running(args.layout) else EXIT_NOT_UP


def run(args: argparse.Namespace) -> int:
    """Run a command on the cloud, which is brought up for it if it is not up."""
    command = args.command[1:] if args.command[:1] == ["--"] else args.command
    if not command:
        raise DevcloudError("run: which command? devcloud run -- CMD...")
    ours = cloud.up(args.layout, timed_progress())
    try:
        return _call(command, {**os.environ, **cloud.client_environment(args.layout)})
    finally:
        if ours:
            cloud.down(args.layout)


def demo(args: argparse.Namespace) -> int:
    """Run the main job on the cloud, which is brought up for it if it is not up."""
    say = timed_progress()
    ours = cloud.up(args.layout, say)
    try:
        run_demo(args.layout, say, fresh=ours)
    finally:
        if ours and not args.keep:
            cloud.down(args.layout)
    if args.keep or not ours:
        print(f"\n# The cloud is up. To use it:\n{client_help(args.layout)}")
    return 0


def seed(args: argparse.Namespace) -> int:
    """Fill the cloud, which must be up, with servers and mistakes; print what must be found."""
    document = run_seed(
        args.layout, timed_progress(), seed=args.seed, servers=args.servers, hosts=args.hosts
    )
    print(json.dumps(document, indent=1))
    return 0


def _call(command: Sequence[str], environment: dict[str, str]) -> int:
    try:
        code = subprocess.run(command, env=environment, check=False).returncode
    except OSError as error:
        raise DevcloudError(f"cannot run {command[0]}: {error.strerror}") from error
    # As a shell reports a death by signal.
    return code if code >= 0 else 128 - code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python3 -m devcloud", description=__doc__)
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument(
        "--dir", metavar="DIR", help="the cloud's folder (default: .devcloud beside the package)"
    )
    verbs = parser.add_subparsers(metavar="VERB", required=True)
    for function in (up, down, status, env):
        verb = verbs.add_parser(
            function.__name__,
            parents=[common],
            help=function.__doc__,
            description=function.__doc__,
        )
        verb.set_defaults(function=function)
    verb = verbs.add_parser("run", parents=[common], help=run.__doc__, description=run.__doc__)
    verb.add_argument("command", nargs=argparse.REMAINDER, metavar="-- CMD ...")
    verb.set_defaults(function=run)
    verb = verbs.add_parser("demo", parents=[common], help=demo.__doc__, description=demo.__doc__)
    verb.add_argument("--keep", action="store_true", help="leave the cloud up")
    verb.set_defaults(function=demo)
    verb = verbs.add_parser("seed", parents=[common], help=seed.__doc__, description=seed.__doc__)
    verb.add_argument(
        "--servers", type=int, default=300, metavar="N", help="servers to write (default: 300)"
    )
    verb.add_argument(
        "--hosts", type=int, default=13, metavar="H", help="hosts to add (default: 13)"
    )
    verb.add_argument(
        "--seed", type=int, default=1, metavar="S", help="the same seed, the same cloud (1)"
    )
    verb.set_defaults(function=seed)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Parse the command line and do what it says."""
    args = _parser().parse_args(argv)
    args.layout = Layout.of(args.dir)
    signal.signal(signal.SIGTERM, _terminate)
    try:
        code: int = args.function(args)
    except DevcloudError as error:
        print(f"devcloud: {error}", file=sys.stderr)
        if error.detail:
            print(error.detail.rstrip(), file=sys.stderr)
        return 1
    except OSError as error:
        print(f"devcloud: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("devcloud: interrupted", file=sys.stderr)
        return 130
    except _Terminated:
        print("devcloud: terminated", file=sys.stderr)
        return 143
    return code


if __name__ == "__main__":
    sys.exit(main())

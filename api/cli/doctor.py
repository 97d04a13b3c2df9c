"""``coldstart doctor``: what works here, what does not, and what to do about it."""

import json
from typing import Annotated

import typer

from api.cli.options import with_settings
from coldstart.settings import Settings


@with_settings()
def doctor(
    settings: Settings,
    sources: dict[str, str],
    as_json: Annotated[bool, typer.Option("--json", help="Print the findings as JSON")] = False,
    reconcile: Annotated[
        bool, typer.Option("--reconcile", help="Compare catalogue and index item by item, and owe again what differs")
    ] = False,
) -> None:
    """Check versions, settings, database, keys, adapter, index, encoders, broker; exit code 1 where something fails."""
    from dataclasses import asdict
    from itertools import chain

    from api.cli.checks import State, examine
    from api.cli.repair import repair

    findings = []
    for finding in chain(examine(settings, sources), repair(settings) if reconcile else ()):
        findings.append(finding)
        if not as_json:
            print(f"{finding.state:<5} {finding.subject:<10} {finding.what}", flush=True)
            if finding.remedy:
                print(f"{'':<16} -> {finding.remedy}", flush=True)
    if as_json:
        print(json.dumps([asdict(finding) for finding in findings], indent=1))
    if any(finding.state is State.FAIL for finding in findings):
        raise typer.Exit(1)

"""`bokgu reject`: shows a plan, as `bokgu approve` does, and says Reject to it."""

import argparse

from bokgu.commands.approve import add_statement, speak

DESCRIPTION = """Show a plan, ask, and then say Reject to exactly that plan: one that has not begun ends, one that runs
is stopped and undone. One Reject is enough, by anybody who holds a role of the plan. Without --apply and --out the
PlanApproval is printed, and the rest goes to standard error."""


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Describe the command."""
    parser = commands.add_parser("reject", help="look at a plan, and reject it", description=DESCRIPTION)
    add_statement(parser)
    parser.set_defaults(command=speak, reject=True, find_role=True)

"""What docs/install.md shows of IAM actions: one table, made from core/iam."""

from pathlib import Path

from bokgu.core.iam.permissions import PERMISSIONS, Condition, Permission, Use

PAGE = Path(__file__).parents[1] / "docs" / "install.md"
BEGIN, END = "<!-- iam: written by make docs -->\n", "<!-- end of iam -->"

_WHOSE = (
    ("every service", {Use.WATCH, Use.LOGS}),
    ("services in mode Propose, Approve or Auto", {Use.PLAN, Use.PLAN_SCALING, Use.PLAN_TASKS, Use.PLAN_CODE_DEPLOY}),
    (
        "services in mode Approve or Auto, by `allowedActions`",
        {Use.SCALE, Use.RESTART, Use.ROLL_BACK, Use.STOP_CODE_DEPLOY, Use.STOP_TASKS, Use.REGISTER},
    ),
    ("the role of `spec.runTask`", {Use.RUN_TASK}),
    ("the role of `spec.automation`", {Use.AUTOMATION}),
    ("the operator itself", {Use.EVENTS, Use.ALERTS, Use.HISTORY, Use.ASSUME}),
    ("who runs `bokgu history` or `bokgu doctor`", {Use.HISTORY_SETUP, Use.HISTORY_IMPORT, Use.DOCTOR}),
)


def tabulate() -> str:
    """A line for each action of each of those who need some."""
    lines = ["| for | IAM action | on | what for |", "|---|---|---|---|"]
    for whose, uses in _WHOSE:
        for permission in sorted((p for p in PERMISSIONS if p.uses & uses), key=lambda p: p.action):
            line = f"| {whose} | `{permission.action}` | {_on(permission)} | {_why(permission)} |"
            if line not in lines:
                lines.append(line)
    return "\n".join(lines)


def _on(permission: Permission) -> str:
    kinds = ", ".join(kind.name.lower().replace("_", " ") for kind in permission.resources)
    by = "cluster" if permission.condition is Condition.CLUSTER else "region"
    return kinds or f"`*`, bound by {by}: AWS has no resource for it"


def _why(permission: Permission) -> str:
    return f"{permission.why} (optional)" if permission.optional else permission.why


def fill(page: str) -> str:
    """The page with the table between its marks written anew."""
    before, _, rest = page.partition(BEGIN)
    _, found, after = rest.partition(END)
    if not found:
        raise ValueError(f"{PAGE} has no marks for IAM actions")
    return f"{before}{BEGIN}\n{tabulate()}\n\n{END}{after}"


if __name__ == "__main__":
    PAGE.write_text(fill(PAGE.read_text()))

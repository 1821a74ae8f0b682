"""The operations of the Amazon EventBridge API on an EventBus."""

import json
from collections.abc import Callable

from .aws_protocol import Json
from .clock import Clock
from .errors import AwsError
from .event_bus import DEFAULT_BUS, EventBus, Rule, Target
from .event_patterns import EventPatternError, matches, parse_pattern
from .pages import cut_page

MAX_ENTRIES = 10
MAX_TARGETS_PER_RULE = 5
MAX_RULES_PER_BUS = 300
LIST_PAGE = 100
MAX_ENTRY_BYTES = 1_048_576


def _not_found(message: str) -> AwsError:
    return AwsError("ResourceNotFoundException", message)


class EventsApi:
    """Each method answers one operation: request parameters in, members of the answer out, AwsError else."""

    def __init__(self, bus: EventBus, clock: Clock) -> None:
        self._bus = bus
        self._clock = clock
        self.operations: dict[str, Callable[[Json], Json]] = {
            "CreateEventBus": self.create_event_bus,
            "DeleteEventBus": self.delete_event_bus,
            "DescribeEventBus": self.describe_event_bus,
            "ListEventBuses": self.list_event_buses,
            "PutRule": self.put_rule,
            "DeleteRule": self.delete_rule,
            "DescribeRule": self.describe_rule,
            "EnableRule": lambda request: self._set_state(request, "ENABLED"),
            "DisableRule": lambda request: self._set_state(request, "DISABLED"),
            "ListRules": self.list_rules,
            "ListRuleNamesByTarget": self.list_rule_names_by_target,
            "PutTargets": self.put_targets,
            "RemoveTargets": self.remove_targets,
            "ListTargetsByRule": self.list_targets_by_rule,
            "PutEvents": self.put_events,
            "TestEventPattern": self.test_event_pattern,
        }

    # Buses

    def _bus_arn(self, name: str) -> str:
        return f"arn:aws:events:{self._bus.region}:{self._bus.account}:event-bus/{name}"

    def _bus_name(self, request: Json, member: str = "EventBusName") -> str:
        name = str(request.get(member, DEFAULT_BUS)).rsplit("/", 1)[-1]
        if name not in self._bus.buses:
            raise _not_found(f"Event bus {name} does not exist.")
        return name

    def create_event_bus(self, request: Json) -> Json:
        """CreateEventBus."""
        name = request["Name"]
        if name in self._bus.buses:
            raise AwsError("ResourceAlreadyExistsException", f"Event bus {name} already exists.")
        self._bus.buses[name] = {}
        return {"EventBusArn": self._bus_arn(name)}

    def delete_event_bus(self, request: Json) -> Json:
        """DeleteEventBus; a bus that has rules, and the default one, stay."""
        name = request["Name"]
        if name == DEFAULT_BUS:
            raise AwsError("ValidationException", "Cannot delete event bus default.")
        if self._bus.buses.get(name):
            raise AwsError("ValidationException", "Cannot delete event bus while rules or endpoints are attached.")
        self._bus.buses.pop(name, None)
        return {}

    def describe_event_bus(self, request: Json) -> Json:
        """DescribeEventBus."""
        name = self._bus_name(request, "Name")
        return {"Name": name, "Arn": self._bus_arn(name)}

    def list_event_buses(self, request: Json) -> Json:
        """ListEventBuses by prefix."""
        names = [name for name in sorted(self._bus.buses) if name.startswith(request.get("NamePrefix", ""))]
        page, token = cut_page(names, request.get("NextToken"), request.get("Limit", LIST_PAGE), "ValidationException")
        shaped = [{"Name": name, "Arn": self._bus_arn(name)} for name in page]
        return {"EventBuses": shaped, **({"NextToken": token} if token else {})}

    # Rules

    def _find(self, request: Json, member: str = "Name") -> Rule:
        rule = self._bus.buses[self._bus_name(request)].get(request[member])
        if rule is None:
            raise _not_found(f"Rule {request[member]} does not exist on EventBus {self._bus_name(request)}.")
        return rule

    def put_rule(self, request: Json) -> Json:
        """PutRule: a new rule, or other contents for the one there is; its targets stay."""
        bus, name = self._bus_name(request), request["Name"]
        text, schedule = request.get("EventPattern"), request.get("ScheduleExpression")
        if not text and not schedule:
            raise AwsError("ValidationException", "Parameter(s) EventPattern or ScheduleExpression must be specified.")
        if schedule:
            raise AwsError("ValidationException", "The simulator does not know rules with a ScheduleExpression.")
        try:
            pattern = parse_pattern(text) if text else None
        except EventPatternError as error:
            raise AwsError("InvalidEventPatternException", str(error)) from error
        rules = self._bus.buses[bus]
        known = rules.get(name)
        if known is None and len(rules) >= MAX_RULES_PER_BUS:
            raise AwsError("LimitExceededException", "The requested resource exceeds the maximum number allowed.")
        path = name if bus == DEFAULT_BUS else f"{bus}/{name}"
        rules[name] = Rule(
            name=name,
            arn=f"arn:aws:events:{self._bus.region}:{self._bus.account}:rule/{path}",
            bus=bus,
            pattern_text=text,
            pattern=pattern,
            schedule=schedule,
            state=request.get("State", "ENABLED"),
            description=request.get("Description"),
            role_arn=request.get("RoleArn"),
            tags={tag["Key"]: tag["Value"] for tag in request.get("Tags", [])} or (known.tags if known else {}),
            targets=known.targets if known else {},
        )
        return {"RuleArn": rules[name].arn}

    def delete_rule(self, request: Json) -> Json:
        """DeleteRule: "Before you can delete the rule, you must remove all targets"; a missing rule is no error."""
        rules = self._bus.buses[self._bus_name(request)]
        rule = rules.get(request["Name"])
        if rule is not None and rule.targets:
            raise AwsError("ValidationException", "Rule can't be deleted since it has targets.")
        rules.pop(request["Name"], None)
        return {}

    def describe_rule(self, request: Json) -> Json:
        """DescribeRule."""
        rule = self._find(request)
        return {**_shape_rule(rule), "CreatedBy": self._bus.account}

    def _set_state(self, request: Json, state: str) -> Json:
        self._find(request).state = state
        return {}

    def list_rules(self, request: Json) -> Json:
        """ListRules by prefix, at most a hundred a page."""
        rules = self._bus.buses[self._bus_name(request)]
        found = [rules[name] for name in sorted(rules) if name.startswith(request.get("NamePrefix", ""))]
        page, token = cut_page(found, request.get("NextToken"), request.get("Limit", LIST_PAGE), "ValidationException")
        return {"Rules": [_shape_rule(rule) for rule in page], **({"NextToken": token} if token else {})}

    def list_rule_names_by_target(self, request: Json) -> Json:
        """ListRuleNamesByTarget."""
        rules = self._bus.buses[self._bus_name(request)]
        arn = request["TargetArn"]
        names = [name for name in sorted(rules) if any(target.arn == arn for target in rules[name].targets.values())]
        page, token = cut_page(names, request.get("NextToken"), request.get("Limit", LIST_PAGE), "ValidationException")
        return {"RuleNames": page, **({"NextToken": token} if token else {})}

    # Targets

    def put_targets(self, request: Json) -> Json:
        """PutTargets: added, or replaced where the id is known; at most five a rule."""
        rule = self._find(request, "Rule")
        for target in request["Targets"]:
            if sum(member in target for member in ("Input", "InputPath", "InputTransformer")) > 1:
                raise AwsError(
                    "ValidationException", "Only one of Input, InputPath, or InputTransformer must be provided."
                )
        if len(rule.targets.keys() | {target["Id"] for target in request["Targets"]}) > MAX_TARGETS_PER_RULE:
            raise AwsError("LimitExceededException", "The requested resource exceeds the maximum number allowed.")
        for target in request["Targets"]:
            rule.targets[target["Id"]] = Target(target["Id"], target["Arn"], target)
        return {"FailedEntryCount": 0, "FailedEntries": []}

    def remove_targets(self, request: Json) -> Json:
        """RemoveTargets."""
        rule = self._find(request, "Rule")
        missing = [id_ for id_ in request["Ids"] if rule.targets.pop(id_, None) is None]
        message = "Rule does not have a target with this id."
        failed = [
            {"TargetId": id_, "ErrorCode": "ResourceNotFoundException", "ErrorMessage": message} for id_ in missing
        ]
        return {"FailedEntryCount": len(failed), "FailedEntries": failed}

    def list_targets_by_rule(self, request: Json) -> Json:
        """ListTargetsByRule."""
        targets = [target.members for target in self._find(request, "Rule").targets.values()]
        page, token = cut_page(
            targets, request.get("NextToken"), request.get("Limit", LIST_PAGE), "ValidationException"
        )
        return {"Targets": page, **({"NextToken": token} if token else {})}

    # Events

    def put_events(self, request: Json) -> Json:
        """PutEvents: at most ten entries, each accepted or refused on its own."""
        entries = request["Entries"]
        if not 1 <= len(entries) <= MAX_ENTRIES:
            raise AwsError(
                "ValidationException",
                f"1 validation error detected: Value '[PutEventsRequestEntry]' at 'entries' failed to satisfy "
                f"constraint: Member must have length less than or equal to {MAX_ENTRIES}",
            )
        results = [self._put_event(entry) for entry in entries]
        return {"FailedEntryCount": sum("ErrorCode" in result for result in results), "Entries": results}

    def _put_event(self, entry: Json) -> Json:
        for member in ("Source", "DetailType", "Detail"):
            if not entry.get(member):
                message = f"Parameter {member} is not valid. Reason: {member} is a required argument."
                return {"ErrorCode": "InvalidArgument", "ErrorMessage": message}
        if entry["Source"].startswith("aws."):
            message = f"Source '{entry['Source']}' is reserved: only AWS services send events from aws.*."
            return {"ErrorCode": "NotAuthorizedForSourceException", "ErrorMessage": message}
        try:
            detail = json.loads(entry["Detail"])
        except ValueError:
            detail = None
        if not isinstance(detail, dict) or len(entry["Detail"].encode()) > MAX_ENTRY_BYTES:
            return {"ErrorCode": "MalformedDetail", "ErrorMessage": "Detail is malformed."}
        event_id = self._bus.put(
            str(entry.get("EventBusName", DEFAULT_BUS)).rsplit("/", 1)[-1],
            entry["Source"],
            entry["DetailType"],
            resources=entry.get("Resources", []),
            detail=detail,
            at=entry.get("Time", self._clock.now()),
        )
        return {"EventId": event_id}

    def test_event_pattern(self, request: Json) -> Json:
        """TestEventPattern; the event needs the members that every event has."""
        try:
            pattern = parse_pattern(request["EventPattern"])
            event = json.loads(request["Event"])
        except EventPatternError as error:
            raise AwsError("InvalidEventPatternException", str(error)) from error
        except ValueError as error:
            raise AwsError("ValidationException", "Parameter Event is not valid.") from error
        missing = {"id", "account", "source", "time", "region", "resources", "detail-type"} - event.keys()
        if missing:
            raise AwsError("ValidationException", f"Parameter Event lacks {', '.join(sorted(missing))}.")
        return {"Result": matches(pattern, event)}


def _shape_rule(rule: Rule) -> Json:
    members = {
        "Name": rule.name,
        "Arn": rule.arn,
        "EventPattern": rule.pattern_text,
        "ScheduleExpression": rule.schedule,
        "State": rule.state,
        "Description": rule.description,
        "RoleArn": rule.role_arn,
        "EventBusName": rule.bus,
    }
    return {name: value for name, value in members.items() if value is not None}

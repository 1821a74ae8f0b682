"""What AWS's own API models say, as botocore ships them: a test that goes by them notices a value that is new."""

import botocore.session


def enum_of(service: str, shape: str) -> list[str]:
    """The values of an enum, such as `StackStatus` of `cloudformation`."""
    model = botocore.session.get_session().get_service_model(service)
    values: list[str] = model.shape_for(shape).enum
    assert values, f"{shape} of {service} is no enum"
    return values

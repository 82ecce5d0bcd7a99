"""When two requests of one id are the same request."""

from managedagents.v1 import agent_pb2, service_pb2, session_pb2
from managedagents_server.rpc.digest import hasher

digest = hasher("Create", service_pb2.CreateRequest.DESCRIPTOR)


def create(request_id: str = "", name: str = "a", api_key: str = "") -> service_pb2.CreateRequest:
    model = agent_pb2.ProviderModel(model="m")
    if api_key:
        model.api_key = api_key
    return service_pb2.CreateRequest(
        definition=agent_pb2.AgentDefinition(name=name, model=agent_pb2.Model(provider_model=model)),
        request_id=request_id,
    )


def test_the_request_id_does_not_count() -> None:
    assert digest(create("1")) == digest(create("2"))


def test_a_secret_does_not_count_wherever_it_stands() -> None:
    assert digest(create(api_key="k1")) == digest(create(api_key="k2")) == digest(create())


def test_a_secret_of_an_update_or_an_override_does_not_count() -> None:
    update = hasher("UpdateAgent", service_pb2.UpdateAgentRequest.DESCRIPTOR)
    start = hasher("StartSession", service_pb2.StartSessionRequest.DESCRIPTOR)
    updates, starts = [], []
    for api_key in ("k1", "k2"):
        model = create(api_key=api_key).definition.model
        updates.append(service_pb2.UpdateAgentRequest(definition=agent_pb2.AgentDefinition(model=model)))
        starts.append(service_pb2.StartSessionRequest(overrides=session_pb2.SessionOverrides(model=model)))
    assert update(updates[0]) == update(updates[1])
    assert start(starts[0]) == start(starts[1])
    starts[1].overrides.model.provider_model.model = "another"
    assert start(starts[0]) != start(starts[1])


def test_everything_else_counts() -> None:
    assert digest(create(name="a")) != digest(create(name="b"))


def test_the_method_counts() -> None:
    pause = hasher("Pause", service_pb2.PauseRequest.DESCRIPTOR)
    resume = hasher("Resume", service_pb2.ResumeRequest.DESCRIPTOR)
    assert pause(service_pb2.PauseRequest(session_id="s")) != resume(service_pb2.ResumeRequest(session_id="s"))


def test_the_order_of_a_map_does_not_count() -> None:
    one, other = create(), create()
    keys = [f"k{number}" for number in range(50)]
    for key in keys:
        one.definition.metadata[key] = "v"
    for key in reversed(keys):
        other.definition.metadata[key] = "v"
    assert digest(one) == digest(other)


def test_the_request_stays_as_it_was() -> None:
    request = create("1", api_key="k")
    digest(request)
    assert request == create("1", api_key="k")

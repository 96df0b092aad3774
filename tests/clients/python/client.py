"""A client of Partita that knows nothing of it but its contract: generated code, grpcio, google.rpc.

Usage: client.py HOST:PORT, with the generated modules in PYTHONPATH. Says what it checked; fails by an exception.
"""

import sys
import uuid

import grpc
from google.rpc import error_details_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_status import rpc_status

from partita.v1 import event_pb2, event_store_service_pb2 as store_pb2, event_store_service_pb2_grpc as store_grpc

DEADLINE_SECONDS = 10


def details(error):
    """The details of an error by the type's name, as any client decodes them."""
    known = {
        kind.DESCRIPTOR.full_name: kind
        for kind in (
            error_details_pb2.ErrorInfo,
            error_details_pb2.BadRequest,
            error_details_pb2.PreconditionFailure,
            error_details_pb2.RetryInfo,
        )
    }
    found = {}
    for detail in rpc_status.from_call(error).details:
        name = detail.type_url.rsplit("/", 1)[-1]
        message = known[name]()
        assert detail.Unpack(message), name
        found[name] = message
    return found


def refused(call):
    """The error of a call that must be refused."""
    try:
        call()
    except grpc.RpcError as error:
        return error
    raise AssertionError("the call was not refused")


def append(store, stream, expected, event_id=None, data='{"amount": 12.50}'):
    """One event, under a deadline."""
    event = event_pb2.NewEvent(event_type="OrderPlaced", data=data, event_id=event_id or str(uuid.uuid4()))
    request = store_pb2.AppendRequest(
        tenant_id="python",
        aggregate_type="order",
        aggregate_id=stream,
        expected_version=expected,
        events=[event],
        context=event_pb2.AuditContext(user_id="client.py"),
    )
    return store.Append(request, timeout=DEADLINE_SECONDS)


def check_health(channel):
    health = health_pb2_grpc.HealthStub(channel)
    for service in ("", "partita.v1.EventStoreService", "liveness", "readiness", "startup"):
        request = health_pb2.HealthCheckRequest(service=service)
        answer = health.Check(request, timeout=DEADLINE_SECONDS, wait_for_ready=True)
        assert answer.status == health_pb2.HealthCheckResponse.SERVING, service


def check_append_and_read(store, stream):
    no_stream = event_pb2.ExpectedVersion(no_stream=event_pb2.ExpectedVersion.NoStream())
    exact = event_pb2.ExpectedVersion(exact=1)
    event_id = str(uuid.uuid4())
    first = append(store, stream, no_stream, event_id)
    assert (first.first_version, first.last_version, first.replayed) == (1, 1, False)
    again = append(store, stream, no_stream, event_id)
    assert (again.last_version, again.replayed) == (1, True)
    assert append(store, stream, exact).last_version == 2

    request = store_pb2.ReadStreamRequest(tenant_id="python", aggregate_type="order", aggregate_id=stream)
    messages = list(store.ReadStream(request, timeout=DEADLINE_SECONDS))
    events = [event for message in messages for event in message.events]
    assert [event.version for event in events] == [1, 2]
    assert events[0].event_id == event_id
    # Numbers are kept as they were sent, down to the last zero.
    assert events[0].data.replace(" ", "") == '{"amount":12.50}'
    assert messages[-1].stream_state.version == 2


def check_errors(store, stream):
    conflict = refused(lambda: append(store, stream, event_pb2.ExpectedVersion(exact=7)))
    found = details(conflict)
    info = found["google.rpc.ErrorInfo"]
    assert conflict.code() == grpc.StatusCode.ABORTED
    assert (info.reason, info.domain) == ("VERSION_CONFLICT", "partita.v1")
    assert (info.metadata["expected"], info.metadata["actual"]) == ("7", "2")
    assert found["google.rpc.PreconditionFailure"].violations[0].subject == f"order/{stream}"

    any_version = event_pb2.ExpectedVersion(any=event_pb2.ExpectedVersion.Any())
    invalid = refused(lambda: append(store, stream, any_version, data="no JSON"))
    found = details(invalid)
    assert invalid.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert found["google.rpc.ErrorInfo"].reason == "INVALID_ARGUMENT"
    assert found["google.rpc.BadRequest"].field_violations[0].field == "events[0].data"

    unknown = store_pb2.ReadStreamRequest(tenant_id="python", aggregate_type="order", aggregate_id=str(uuid.uuid4()))
    missing = refused(lambda: list(store.ReadStream(unknown, timeout=DEADLINE_SECONDS)))
    assert missing.code() == grpc.StatusCode.NOT_FOUND
    assert details(missing)["google.rpc.ErrorInfo"].reason == "STREAM_NOT_FOUND"


def main():
    with grpc.insecure_channel(sys.argv[1]) as channel:
        store, stream = store_grpc.EventStoreServiceStub(channel), str(uuid.uuid4())
        check_health(channel)
        check_append_and_read(store, stream)
        check_errors(store, stream)
    print(f"grpcio {grpc.__version__}: health, append, repetition, read and the details of errors are as the contract says")


if __name__ == "__main__":
    main()

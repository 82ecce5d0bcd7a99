"""The reflection service: what grpcurl and its like ask to learn the API."""

from typing import Any

import grpc
from google.protobuf import descriptor, descriptor_pb2, descriptor_pool
from google.rpc import error_details_pb2
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection, reflection_pb2

from managedagents_server.rpc.service import SERVICE

# The details of errors are here, too, so that a client can print them.
_FILES = (SERVICE.file, health_pb2.DESCRIPTOR, reflection_pb2.DESCRIPTOR, error_details_pb2.DESCRIPTOR)


def add_to(server: grpc.aio.Server) -> None:
    names = [service.full_name for file in _FILES for service in file.services_by_name.values()]
    reflection.enable_server_reflection(names, server, pool=_pool())


def _pool() -> descriptor_pool.DescriptorPool:
    """Python's own descriptors leave out the JSON names, and grpcurl prints agent_id where they are missing."""
    pool = descriptor_pool.DescriptorPool()
    added: set[str] = set()

    def add(file: Any) -> None:
        if file.name in added:
            return
        added.add(file.name)
        for dependency in file.dependencies:
            add(dependency)
        proto = descriptor_pb2.FileDescriptorProto()
        file.CopyToProto(proto)
        for message, described in zip(proto.message_type, file.message_types_by_name.values(), strict=True):
            _name(message, described)
        pool.Add(proto)

    for file in _FILES:
        add(file)
    return pool


def _name(message: descriptor_pb2.DescriptorProto, described: descriptor.Descriptor) -> None:
    for field in message.field:
        field.json_name = described.fields_by_name[field.name].json_name
    for nested in message.nested_type:
        _name(nested, described.nested_types_by_name[nested.name])

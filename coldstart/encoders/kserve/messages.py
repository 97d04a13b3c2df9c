"""The messages of the v2 protocol over gRPC that a client needs, made when this is imported.

Field names and numbers are those of KServe's ``open_inference_grpc.proto`` and of Triton's ``ModelConfig``; the fields
left out are skipped by whoever reads. Code generated from those files is bound to some versions of protobuf, and the
package that carries it, ``tritonclient``, to old ones.
"""

from typing import Any

from google.protobuf import descriptor_pool, message_factory
from google.protobuf.descriptor_pb2 import DescriptorProto, FieldDescriptorProto, FileDescriptorProto

_PACKAGE = "coldstart.kserve"  # not theirs, "inference": messages of one name cannot be registered twice in a process
_NUMBERS = {bool: FieldDescriptorProto.TYPE_BOOL, bytes: FieldDescriptorProto.TYPE_BYTES,
            float: FieldDescriptorProto.TYPE_FLOAT, int: FieldDescriptorProto.TYPE_INT64,
            str: FieldDescriptorProto.TYPE_STRING}  # fmt: skip

# Name -> number and type; a list where it is repeated, a text where it is another message.
MESSAGES: dict[str, dict[str, tuple[int, Any]]] = {
    "ServerReadyRequest": {},
    "ServerReadyResponse": {"ready": (1, bool)},
    "ModelReadyRequest": {"name": (1, str), "version": (2, str)},
    "ModelReadyResponse": {"ready": (1, bool)},
    "ModelMetadataRequest": {"name": (1, str), "version": (2, str)},
    "ModelMetadataResponse": {"name": (1, str), "versions": (2, [str])},
    "ModelConfigRequest": {"name": (1, str), "version": (2, str)},
    "ModelConfigResponse": {"config": (1, "ModelConfig")},
    "ModelConfig": {"name": (1, str), "max_batch_size": (4, int)},
    "ModelInferRequest": {
        "model_name": (1, str),
        "model_version": (2, str),
        "inputs": (5, ["InferTensor"]),
        "raw_input_contents": (7, [bytes]),
    },
    "ModelInferResponse": {"outputs": (5, ["InferTensor"]), "raw_output_contents": (6, [bytes])},
    "InferTensor": {
        "name": (1, str),
        "datatype": (2, str),
        "shape": (3, [int]),
        "contents": (5, "InferTensorContents"),
    },
    "InferTensorContents": {"fp32_contents": (6, [float])},
}


def _field(name: str, number: int, kind: Any) -> FieldDescriptorProto:
    field = FieldDescriptorProto(name=name, number=number, label=FieldDescriptorProto.LABEL_OPTIONAL)
    if isinstance(kind, list):
        field.label = FieldDescriptorProto.LABEL_REPEATED
        [kind] = kind
    if isinstance(kind, str):
        field.type, field.type_name = FieldDescriptorProto.TYPE_MESSAGE, f".{_PACKAGE}.{kind}"
    else:
        field.type = _NUMBERS[kind]
    return field


_FILE = FileDescriptorProto(name="coldstart/kserve.proto", package=_PACKAGE, syntax="proto3")
for _name, _fields in MESSAGES.items():
    _FILE.message_type.append(DescriptorProto(name=_name, field=[_field(key, *row) for key, row in _fields.items()]))
_POOL = descriptor_pool.DescriptorPool()
_POOL.Add(_FILE)


def message(name: str) -> Any:
    """The class of a message.

    >>> message("ModelReadyRequest")(name="coldstart-text").SerializeToString()
    b'\\n\\x0ecoldstart-text'
    """
    return message_factory.GetMessageClass(_POOL.FindMessageTypeByName(f"{_PACKAGE}.{name}"))

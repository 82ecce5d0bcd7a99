//! Messages from JSON and back: ProtoJSON, as grpcurl and the other clients write it.

use std::sync::LazyLock;

use prost::{Message, Name};
use prost_reflect::{DescriptorPool, DynamicMessage, Kind, MessageDescriptor};
use serde_json::Value;

use crate::error::{Error, ErrorKind};

static POOL: LazyLock<DescriptorPool> = LazyLock::new(|| {
    let bytes = include_bytes!("gen/managedagents.v1.binpb").as_slice();
    DescriptorPool::decode(bytes).expect("the descriptors were generated with the messages")
});

/// A message from JSON, say an [`AgentDefinition`](crate::v1::AgentDefinition) from a file.
///
/// Names are those of the API, in snake_case or lowerCamelCase. Where a field holds JSON as text (`input_schema_json`),
/// the value may be written inline under the name without `_json`. A field that the message does not have is an error.
pub fn from_json<M: Message + Name + Default>(mut value: Value) -> Result<M, Error> {
    let wrong = |why: String| Error::new(ErrorKind::Unusable, format!("this is no {}: {why}", M::NAME));
    let kind = POOL.get_message_by_name(&M::full_name()).ok_or_else(|| wrong("not a message of this API".into()))?;
    inline(&kind, &mut value);
    let message = DynamicMessage::deserialize(kind, value).map_err(|error| wrong(error.to_string()))?;
    message.transcode_to().map_err(|error| wrong(error.to_string()))
}

/// A message as JSON: names in lowerCamelCase, 64-bit numbers as text, enum values by name, defaults left out.
///
/// # Panics
///
/// With a message that is not of [`v1`](crate::v1).
pub fn to_json<M: Message + Name>(message: &M) -> Value {
    let kind = POOL.get_message_by_name(&M::full_name()).expect("a message of this API");
    let message = DynamicMessage::decode(kind, message.encode_to_vec().as_slice()).expect("the same message");
    serde_json::to_value(message).expect("the names of all fields are text")
}

/// Turns values that are written inline into the text that their field holds.
fn inline(kind: &MessageDescriptor, value: &mut Value) {
    let Value::Object(fields) = value else { return };
    for (name, mut inner) in std::mem::take(fields) {
        let field = |name: &str| kind.get_field_by_name(name).or_else(|| kind.get_field_by_json_name(name));
        let text = [format!("{name}_json"), format!("{name}Json")].into_iter().find(|name| field(name).is_some());
        match (field(&name).map(|field| field.kind()), text) {
            (None, Some(text)) => fields.insert(text, Value::String(inner.to_string())),
            (Some(Kind::Message(kind)), _) => {
                match &mut inner {
                    Value::Array(items) => items.iter_mut().for_each(|item| inline(&kind, item)),
                    one => inline(&kind, one),
                }
                fields.insert(name, inner)
            }
            _ => fields.insert(name, inner),
        };
    }
}

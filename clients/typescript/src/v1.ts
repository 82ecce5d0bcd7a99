/** The messages of the service, `managedagents.v1`: their types, their schemas, and the bare service for Connect. */

export * from "./gen/managedagents/v1/agent_event_pb.js";
export * from "./gen/managedagents/v1/agent_pb.js";
export * from "./gen/managedagents/v1/content_pb.js";
export * from "./gen/managedagents/v1/error_pb.js";
export * from "./gen/managedagents/v1/event_pb.js";
export * from "./gen/managedagents/v1/model_pb.js";
export * from "./gen/managedagents/v1/scripted_pb.js";
export * from "./gen/managedagents/v1/service_pb.js";
export * from "./gen/managedagents/v1/session_pb.js";
export * from "./gen/managedagents/v1/status_event_pb.js";
export * from "./gen/managedagents/v1/stream_pb.js";
export * from "./gen/managedagents/v1/user_event_pb.js";

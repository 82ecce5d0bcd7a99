/** What is declared: an agent and what one session has instead, as messages or as plain values. */

import { type DescMessage, fromJson, isMessage, type JsonValue, type MessageShape } from "@bufbuild/protobuf";
import { DefinitionError } from "./errors.js";
import type { AgentDefinition, AgentDefinitionJson } from "./gen/managedagents/v1/agent_pb.js";
import type {
  EnvironmentConfig,
  EnvironmentConfigJson,
  SessionOverrides,
  SessionOverridesJson,
} from "./gen/managedagents/v1/session_pb.js";

/** An agent's definition. Plain values, say out of a file, are named as in the API, in lowerCamelCase or snake_case. */
export type Definition = AgentDefinition | AgentDefinitionJson;

/** What replaces parts of the agent's definition for one session. */
export type Overrides = SessionOverrides | SessionOverridesJson;

/** What a session's tools find around them. */
export type Environment = EnvironmentConfig | EnvironmentConfigJson;

/** The message that plain values mean; nothing stays nothing. Throws a DefinitionError where they mean no message. */
export function parse<Desc extends DescMessage>(schema: Desc, values: object): MessageShape<Desc>;
export function parse<Desc extends DescMessage>(schema: Desc, values?: object): MessageShape<Desc> | undefined;
export function parse<Desc extends DescMessage>(schema: Desc, values?: object): MessageShape<Desc> | undefined {
  if (values === undefined || isMessage(values, schema)) return values;
  try {
    return fromJson(schema, values as JsonValue);
  } catch (error) {
    throw new DefinitionError(error instanceof Error ? error.message : String(error), { cause: error });
  }
}

/** What several model requests cost together. */

import { create } from "@bufbuild/protobuf";
import { reflect } from "@bufbuild/protobuf/reflect";
import { type Duration, DurationSchema } from "@bufbuild/protobuf/wkt";
import { type Usage, UsageSchema } from "./gen/managedagents/v1/model_pb.js";

const SECOND = 1_000_000_000n;

/** Add what a request cost. Every count of the message is summed up, also one that comes to it later. */
export function addUsage(total: Usage, usage: Usage): void {
  const [sum, added] = [reflect(UsageSchema, total), reflect(UsageSchema, usage)];
  for (const field of UsageSchema.fields) {
    if (field.fieldKind === "scalar") sum.set(field, (sum.get(field) as bigint) + (added.get(field) as bigint));
  }
  const time = nanos(total.modelTime) + nanos(usage.modelTime);
  total.modelTime = create(DurationSchema, { seconds: time / SECOND, nanos: Number(time % SECOND) });
}

function nanos(time: Duration | undefined): bigint {
  return time === undefined ? 0n : time.seconds * SECOND + BigInt(time.nanos);
}

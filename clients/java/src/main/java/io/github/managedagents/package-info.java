/**
 * A client of the managed agents service. Start at {@link io.github.managedagents.Client}; the messages and the bare gRPC
 * stubs are in {@code io.github.managedagents.v1}.
 */
package io.github.managedagents;
